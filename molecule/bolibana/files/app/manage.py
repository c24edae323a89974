#!/usr/bin/python3
"""Django's command line for Bolibana."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bolibana.settings")
execute_from_command_line(sys.argv)
