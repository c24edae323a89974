# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of arguments.encryption()."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  encryption:
    description: How archives are encrypted. One of O(encryption.age_recipients), O(encryption.gpg_recipients) and
      O(encryption.none) has to be said.
    type: dict
    required: true
    version_added: 0.1.0
    suboptions:
      age_recipients:
        description: Public keys of age. Each of their private keys opens the archives; two are better than one.
        type: list
        elements: str
        version_added: 0.1.0
      gpg_recipients:
        description: Fingerprints of keys of GnuPG, instead of O(encryption.age_recipients). They are of
          O(encryption.gpg_keys), and no other keyring is used.
        type: list
        elements: str
        version_added: 0.1.0
      gpg_keys:
        description: The public keys of O(encryption.gpg_recipients), armoured, or absolute paths of such files on
          the host.
        type: list
        elements: str
        version_added: 0.1.0
      none:
        description: Archives shall be readable by anybody who gets hold of them.
        type: bool
        default: false
        version_added: 0.1.0
  compression:
    description: How archives are compressed, by zstd.
    type: dict
    version_added: 0.1.0
    suboptions:
      level:
        description: From V(1), fast, to V(19), small.
        type: int
        default: 3
        version_added: 0.1.0
      threads:
        description: How many processors it may use. V(0) means all.
        type: int
        default: 0
        version_added: 0.1.0
"""
