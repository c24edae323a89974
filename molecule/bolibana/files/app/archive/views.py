import hashlib

from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from archive.models import Author, Document


def health(_request):
    newest = Document.objects.order_by("pk").last()
    return JsonResponse({"documents": Document.objects.count(), "newest": newest and newest.title})


@csrf_exempt
def documents(request):
    """An upload: a title, an author, and the scan as a file."""
    scan = request.FILES["scan"]
    author, _new = Author.objects.get_or_create(name=request.POST["author"])
    sha256 = hashlib.sha256(scan.read()).hexdigest()
    scan.seek(0)
    made = Document.objects.create(
        author=author, title=request.POST["title"], scan=scan, scan_sha256=sha256
    )
    return JsonResponse({"id": made.pk, "sha256": sha256}, status=201)
