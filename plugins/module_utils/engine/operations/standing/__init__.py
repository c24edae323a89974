# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of this host and its jobs: as they stand, and what happened."""
