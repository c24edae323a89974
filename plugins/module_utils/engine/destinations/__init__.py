# SPDX-License-Identifier: GPL-3.0-or-later
"""Places where copies of backups live: one file a kind. The list of kinds is registry.py's."""
