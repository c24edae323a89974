# SPDX-License-Identifier: GPL-3.0-or-later
"""The source `s3_bucket`: the objects of one bucket."""
