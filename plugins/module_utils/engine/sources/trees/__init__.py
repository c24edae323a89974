# SPDX-License-Identifier: GPL-3.0-or-later
"""File trees, for every source that has them: listed, packed, judged, unpacked, swapped, merged."""
