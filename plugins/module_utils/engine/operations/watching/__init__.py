# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and their monitoring are told, and when."""
