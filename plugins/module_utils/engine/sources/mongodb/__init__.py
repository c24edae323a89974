# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `mongodb`: the databases of one server."""
