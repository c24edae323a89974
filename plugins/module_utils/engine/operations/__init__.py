# SPDX-License-Identifier: GPL-3.0-or-later
"""Use cases. They take ports and name no adapter."""
