# SPDX-License-Identifier: GPL-3.0-or-later
"""Read how archives are packed and for whom they are encrypted: a job's own words, else those for all."""

from __future__ import annotations

from ..errors import ConfigError
from ..filters.age import Age
from ..filters.gpg import Gpg
from ..filters.zstd import Zstd
from ..model import Option
from ..options import check_options
from ..ports import Filter
from .reading import Mapped, Reading

ENCRYPTION = (
    Option("age_recipients", "texts"),
    Option("gpg_recipients", "texts"),
    Option("gpg_keys", "texts"),
    Option("none", "boolean", default=False),
)
COMPRESSION = (Option("level", "integer", default=3), Option("threads", "integer", default=0))


def filters(reading: Reading, where: str, given: Mapped) -> tuple[Filter, ...]:
    """In the order of encoding. `given`: the checked keys of the job at `where`."""
    at = f"{where}." if given["encryption"] is not None else ""
    encryption = given["encryption"]
    if encryption is None:
        encryption = reading.top["encryption"]
    if encryption is None:
        raise ConfigError(
            f"{at}encryption: not configured",
            hint="name age_recipients or gpg_recipients, or say `none: true` if backups shall be "
            "readable by anybody",
        )
    chosen = check_options(f"{at}encryption", encryption, ENCRYPTION)
    level = check_options(
        f"{where}.compression", given["compression"] or reading.top["compression"], COMPRESSION
    )
    packer: Filter = Zstd(level["level"], level["threads"])
    return (packer, *_encryptor(f"{at}encryption", chosen))


def _encryptor(where: str, chosen: Mapped) -> tuple[Filter, ...]:
    """The one encryptor that was chosen, or none of them."""
    ways = ("age_recipients", "gpg_recipients", "none")
    said = [one for one in ways if chosen[one]]
    if len(said) != 1:
        raise ConfigError(
            f"{where}: name age_recipients or gpg_recipients, or say `none: true`; here "
            + (" and ".join(said) + " are given" if said else "none of them is given"),
            hint="an archive is encrypted by one program: its recipients are all of one kind",
        )
    if chosen["gpg_keys"] and said != ["gpg_recipients"]:
        raise ConfigError(f"{where}.gpg_keys: only gpg_recipients use it")
    if said == ["age_recipients"]:
        return (Age(tuple(chosen["age_recipients"])),)
    if said == ["gpg_recipients"]:
        return (Gpg(tuple(chosen["gpg_recipients"]), tuple(chosen["gpg_keys"] or ())),)
    return ()
