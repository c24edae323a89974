from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand

from archive.models import Author, Document


class Command(BaseCommand):
    help = "Documents as somebody would have typed them; what has a scan is uploaded."

    def add_arguments(self, parser):
        parser.add_argument("count", type=int)

    def handle(self, count, **_options):
        group, _new = Group.objects.get_or_create(name="gardiens")
        group.permissions.add(Permission.objects.get(codename="add_document"))
        keeper, _new = User.objects.get_or_create(username="aïssata")
        keeper.groups.add(group)
        author, _new = Author.objects.get_or_create(name='Cheick "Bâ", \\ et fils')
        begun = Document.objects.count()
        Document.objects.bulk_create(
            Document(
                author=author,
                keeper=keeper if number % 2 else None,
                title=f"Manuscrit {number} \U0001f6df ]",
                text=f"ligne {number}\n" * 20,
                facts={"nested": [number, None, "\u2028"]},
            )
            for number in range(begun, begun + count)
        )
