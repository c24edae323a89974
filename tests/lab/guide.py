"""Follow a page of docs/guides word by word, at a controller with a home of its own and on hosts of the lab."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from tests.lab import hosts, users
from tests.typed import blocks, typed

ROOT = Path(__file__).resolve().parents[2]
NOTHING: Mapping[str, str] = {}
_REMEMBER = Lock()
_TELL = "trap 'echo \"ended with $?: $BASH_COMMAND\"' ERR\n"  # which of a block's lines it was


class Guide:
    """docs/guides/NAME.md. Its reader works at the controller in ~/NAME, a copy of examples/NAME.

    Blocks are named by their heading and their number below it. What was typed is remembered for the
    processes that come later, until the scenario is destroyed.
    """

    def __init__(self, name: str) -> None:
        self.text = (ROOT / f"docs/guides/{name}.md").read_text(encoding="utf-8")
        made = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
        self.home, self._typed = made / "home", made / "typed.json"
        self.place = self.home / name
        self.home.mkdir(exist_ok=True)

    def at_controller(
        self,
        title: str,
        number: int = 0,
        instead: Mapping[str, str] = NOTHING,
        codes: tuple[int, ...] = (0,),
    ) -> str:
        """Type a block, with some of its words as a reader changes them; what was on the screen.

        It has to end with one of `codes`.
        """
        where = self.place if self.place.exists() else ROOT
        script = f"{_TELL}cd {where}\n{self._block(title, number, instead)}"
        return self._screen(["bash", "-e", "-c", script], NOTHING, codes)

    def on_host(
        self,
        host: str,
        title: str,
        number: int = 0,
        answers: Mapping[str, str] = NOTHING,
        codes: tuple[int, ...] = (0,),
        instead: Mapping[str, str] = NOTHING,
        user: str = "",
    ) -> str:
        """The same on a host, as `user` (root), answering what is asked; it has to end with one of `codes`."""
        shell = [*users.become(host, user), "bash", "-l"] if user else ["bash"]
        script = ["-e", "-c", _TELL + self._block(title, number, instead)]
        words = ["podman", "exec", "-it", hosts.container(host), *shell, *script]
        return self._screen(words, answers, codes)

    def left(self) -> list[str]:
        """The blocks that nobody has typed yet."""
        done = self._done()
        return [one for one in blocks(self.text) if one not in done]

    def _block(self, title: str, number: int, instead: Mapping[str, str]) -> str:
        found = blocks(self.text, f"\n## {title}\n")[number]
        with _REMEMBER:  # two hosts may be typed at, at once
            self._typed.write_text(json.dumps([*self._done(), found]))
        for word, other in instead.items():
            assert word in found, f"{word} is not in what is typed: {found}"
            found = found.replace(word, other)
        return found

    def _screen(self, argv: list[str], answers: Mapping[str, str], codes: tuple[int, ...]) -> str:
        code, said = typed(argv, answers, self._environment(), timeout_s=300)
        shown = said[-6000:].replace("\r", "")
        # a summary keeps the first line alone, so that the last words stand there
        assert code in codes, f"it ended with {code}, {shown.splitlines()[-2:]}\n{shown}"
        return said.replace("\r\n", "\n")

    def _done(self) -> list[str]:
        done: list[str] = json.loads(self._typed.read_text()) if self._typed.exists() else []
        return done

    def _environment(self) -> dict[str, str]:
        """The reader's home and settings, and the lab's inventories beside the example's own."""
        inventories = [word.partition("=")[2] for word in hosts.inventories()]
        return {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "ANSIBLE_CONFIG": str(self.place / "ansible.cfg"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_INVENTORY": ",".join([str(self.place / "hosts.yml"), *inventories[1:]]),
        }
