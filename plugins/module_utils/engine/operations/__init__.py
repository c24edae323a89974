# SPDX-License-Identifier: GPL-3.0-or-later
"""Use cases. They take ports and name no adapter.

Packages; each imports only itself and those above it (tests/unit/structure holds this):

    copies      what destinations hold, how it is found, proved and brought here
    backup      read once, store everywhere, the manifest last
    restore     plan, restore beside, compare, swap; then confirm or undo, also what was cut off
    standing    how jobs stand, and what happened on this host
    upkeep      of backups that are there: verify, rekey, prune, seal
    drills      restores into throw-away places, timed and compared
    watching    what people and their monitoring are told
    reports     the monthly report, the evidence under it, and the runbook
"""
