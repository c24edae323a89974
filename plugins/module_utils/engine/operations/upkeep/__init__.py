# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on backups themselves: verify, rekey, prune, seal."""
