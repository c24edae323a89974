from django.contrib.auth.models import User
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=200, unique=True)


class Document(models.Model):
    author = models.ForeignKey(Author, on_delete=models.PROTECT)
    keeper = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    title = models.TextField()
    text = models.TextField()
    facts = models.JSONField(default=dict)
    added_at = models.DateTimeField(auto_now_add=True)
    scan = models.FileField(upload_to="scans", blank=True)
    scan_sha256 = models.CharField(max_length=64, blank=True)
