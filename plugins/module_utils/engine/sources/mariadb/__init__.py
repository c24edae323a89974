# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources `mariadb` and `mysql`: one database of a server; what differs is data."""
