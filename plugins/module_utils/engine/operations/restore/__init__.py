# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring data back: plan, restore beside, compare, swap, undo."""
