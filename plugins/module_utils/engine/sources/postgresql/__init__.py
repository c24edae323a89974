# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `postgresql`: one database of a server, and its globals."""
