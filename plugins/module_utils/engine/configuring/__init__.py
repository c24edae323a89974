# SPDX-License-Identifier: GPL-3.0-or-later
"""Each part of a configuration mapping, checked and made ready to use; `config` beside it has the whole."""
