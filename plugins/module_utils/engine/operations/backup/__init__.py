# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up: read once, store everywhere, the manifest last."""
