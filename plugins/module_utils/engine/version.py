# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of this engine: that of the collection it came with (galaxy.yml; a test compares them)."""

VERSION = "0.1.0"
