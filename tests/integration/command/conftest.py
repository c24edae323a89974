# SPDX-License-Identifier: GPL-3.0-or-later
"""A Django application of its own, on a host in a temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.rescue.host import Host

_APPLICATION = {
    "manage.py": """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "settings.py": """
import os
SECRET_KEY = os.environ["SHOP_KEY"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.sqlite"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
""",
    "shop/__init__.py": "",
    "shop/models.py": """
from django.contrib.auth.models import User
from django.db import models

class Author(models.Model):
    name = models.CharField(max_length=200, unique=True)

class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE)
    owner = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    bought_at = models.DateTimeField(null=True)
    cover = models.BinaryField(default=b"")
    facts = models.JSONField(default=dict)
    translations = models.ManyToManyField("self")
""",
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/count_rows.py": """
import json
from django.apps import apps
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def handle(self, **_options):
        for model in apps.get_models():
            entry = {"kind": "table", "name": model._meta.label, "rows": model.objects.count()}
            self.stdout.write(json.dumps(entry))
""",
    "shop/management/commands/fill.py": """
from datetime import datetime, timezone
from decimal import Decimal
from django.contrib.auth.models import Group, Permission, User
from django.core.management.base import BaseCommand
from shop.models import Author, Book

class Command(BaseCommand):
    def handle(self, **_options):
        group = Group.objects.create(name="keepers")
        group.permissions.add(Permission.objects.get(codename="add_book"))
        user = User.objects.create_user("zoë", password="correct horse")
        user.groups.add(group)
        author = Author.objects.create(name="Ünïcödé “quoted”, \\\\ and a\\nline")
        for number in range(300):
            book = Book.objects.create(
                author=author, owner=user if number % 2 else None, price=Decimal(number) / 7,
                title="" if number == 0 else "title %d \\U0001f6df ]" % number,
                bought_at=datetime(2026, 3, 29, 1, 30, tzinfo=timezone.utc), cover=bytes(range(256)),
                facts={"nested": [number, None, "\\u2028"]})
            if number % 50 == 1:
                book.translations.add(Book.objects.first())
""",
}
DUMP = ["dumpdata", "--natural-foreign", "--natural-primary"]
LEFT_OUT = ["--exclude", "contenttypes", "--exclude", "auth.permission"]


class Shop:
    """The application, and the host that backs it up as docs/sources.md shows."""

    def __init__(self, base: Path, model: Path) -> None:
        self.host = Host(base)
        self.folder = self.host.data / "shop"
        shutil.copytree(model, self.folder)
        key = self.host.root / "config" / "credentials" / "shop_key"
        key.parent.mkdir(mode=0o700)
        key.write_text('"not-in-any-argument"')
        key.chmod(0o600)
        manage = [sys.executable, "manage.py"]
        self.host.job["sources"] = {
            "app": {
                "type": "command",
                "cwd": str(self.folder),
                "env": {"SHOP_KEY": {"credential": "shop_key"}},
                "check": [*manage, "check", "--database", "default"],
                "dump": [*manage, *DUMP, *LEFT_OUT],
                "clear": [*manage, "flush", "--no-input"],
                "restore": [*manage, "loaddata", "--format=json", "-"],
                "count": [*manage, "count_rows"],
                "extension": "json",
                "trailer": "]",
            }
        }
        self.host.configure()

    @property
    def source(self) -> dict[str, object]:
        source: dict[str, object] = self.host.job["sources"]["app"]
        return source

    def seen(self) -> str:
        """What the application holds, as it tells it."""
        return manage(self.folder, *DUMP, *LEFT_OUT)


def manage(folder: Path, *words: str) -> str:
    env = {**os.environ, "SHOP_KEY": "of-the-test", "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "manage.py", *words]
    done = subprocess.run(argv, cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The application with 300 books, made once."""
    folder = tmp_path_factory.mktemp("django")
    for name, text in _APPLICATION.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    manage(folder, "makemigrations", "shop")
    manage(folder, "migrate")
    manage(folder, "fill")
    return folder


@pytest.fixture
def shop(tmp_path: Path, model: Path) -> Shop:
    return Shop(tmp_path, model)
