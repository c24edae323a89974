"""Bolibana's settings. Where a drill or an export tells of another database, that one is meant."""

import os

told = os.environ.get
BASE = "/srv/bolibana"
SECRET_KEY = told("BOLIBANA_SECRET_KEY", "")  # only what signs needs it: no export does
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "archive",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
ROOT_URLCONF = "bolibana.urls"
WSGI_APPLICATION = "bolibana.wsgi.application"
DATABASES = {
    "default": {  # without USER: who asks is who the system says, so an export only reads
        "ENGINE": "django.db.backends.postgresql",
        "NAME": told("LIFEBOAT_DRILL_DB_DATABASE", "bolibana"),
        "HOST": told("LIFEBOAT_DRILL_DB_HOST", ""),
        "PORT": told("LIFEBOAT_DRILL_DB_PORT", ""),
        "USER": told("LIFEBOAT_DRILL_DB_USER", ""),
    }
}
if told("BOLIBANA_SQLITE"):
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": told("BOLIBANA_SQLITE"),
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
MEDIA_ROOT = told("LIFEBOAT_DRILL_MEDIA_PATH", "") + f"{BASE}/media"
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "data_folder_in": "/var/lib/bolibana/queue",
    "data_folder_out": "/var/lib/bolibana/queue",
    "control_folder": "/var/lib/bolibana/control",
}
CELERY_RESULT_BACKEND = "file:///var/lib/bolibana/results"
