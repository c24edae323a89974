# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 bucket."""
