# SPDX-License-Identifier: GPL-3.0-or-later
"""The product: back up, verify, restore, prune. Standard library only at load; knows no door.

Layers; a file imports only from lower numbers (tests/unit/structure holds this):

    0  errors model stored policy units version entries                           values
    1  naming listed options manifest inventory retention sweeping trend copies gate
    1  ports job keys                        pure and Protocols
    2  process signing revision pipeline containers stopped placement packages
    2  files fleeting anchor ownership occupied sealing spool paths disks
    2  throwaway credentials progress services web health
    2  s3_identity s3_client                 all subprocess and disk code
    3  sources/ filters/ destinations/ notifiers/       adapters: one file, or one package, a kind
    4  operations/                           use cases: take ports, name no adapter
    5  registry placed configuring config receiving   the only list of kinds; mapping -> Job, for both doors
    6  cli/                                  the lifeboat command
"""
