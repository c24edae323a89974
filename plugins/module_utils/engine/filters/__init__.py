# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters: one file a kind, each a program between a source and storage."""
