# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources: one file a kind, or one package where a kind has several; `trees` is for all that have trees."""
