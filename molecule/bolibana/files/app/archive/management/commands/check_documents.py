import hashlib
import os

from django.core.management.base import BaseCommand, CommandError

from archive.models import Document


class Command(BaseCommand):
    help = "Every scan that the database knows is there, and is what was uploaded."

    def handle(self, **_options):
        scans = Document.objects.exclude(scan="")
        for one in scans.iterator():
            if not os.path.exists(one.scan.path):
                raise CommandError(f"the scan of {one.title} is missing: {one.scan.name}")
            with one.scan.open("rb") as opened:
                if hashlib.sha256(opened.read()).hexdigest() != one.scan_sha256:
                    raise CommandError(f"the scan of {one.title} is not what was uploaded")
        self.stdout.write(
            f"{scans.count()} scans of {Document.objects.count()} documents are there"
        )
