# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources: one file a kind, each one thing to protect."""
