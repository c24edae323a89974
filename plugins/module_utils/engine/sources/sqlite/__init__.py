# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `sqlite`: one database file."""
