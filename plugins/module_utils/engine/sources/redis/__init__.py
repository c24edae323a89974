# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources `redis` and `valkey`: the data of one server."""
