# SPDX-License-Identifier: GPL-3.0-or-later
"""Notifiers: one file a kind, each a way to tell people, or a watcher outside, how jobs stand."""
