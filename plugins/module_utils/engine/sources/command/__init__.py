# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `command`: a program of the user's writes a stream, another reads it back."""
