# SPDX-License-Identifier: GPL-3.0-or-later
"""What destinations hold, and what is proved of it."""
