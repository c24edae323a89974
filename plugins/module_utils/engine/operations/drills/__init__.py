# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores into throw-away places, timed and compared."""
