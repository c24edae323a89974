# SPDX-License-Identifier: GPL-3.0-or-later
"""Write RESTORE.md: how to restore this very backup where there is no lifeboat and no Ansible."""

from __future__ import annotations

from ...model import Archive, Manifest
from ...units import human_size, iso

_DECODERS = {
    "age": "age -d -i identity.txt",
    "gpg": "gpg --quiet --decrypt",
    "zstd": "zstd -d -q -c",
}


# docs/format.md#stored-again
_AGAIN = (
    "Where a line does not say OK, see whether there are files `NAME.mended-…`: the same, stored again since",
    "NAME had proved bad. The right one of them takes its place by this, for bash; what was wrong stays as",
    "`NAME.bad`. (Is `SHA256SUMS` itself what is wrong, copy `SHA256SUMS.mended-…` over it first.)",
    "",
    "```bash",
    "for again in $(ls -r | grep '[.]mended-'); do  # the newest first",
    '  name=${again%.mended-*}; line=$(grep "  $name\\$" SHA256SUMS) || continue',
    '  sha256sum --status -c <<<"$line" 2>/dev/null && continue',
    '  [ ! -e "$name" ] || mv "$name" "$name.bad"',
    '  cp "$again" "$name"',
    "done",
    "sha256sum -c SHA256SUMS",
    "```",
)


def restore_note(manifest: Manifest) -> bytes:
    """Markdown, with one command block for each archive. `identity.txt` is the private key's file."""
    lines = [
        f"# Restore backup {manifest.id}",
        "",
        f"Taken {iso(manifest.taken_at)} of job `{manifest.job}` on host `{manifest.host}`, "
        f"environment {manifest.environment}.",
        *_code(manifest),
        "",
        "You need: the files of this directory, `zstd`, and, where names end in `.age`, `age` and the",
        "private key in `identity.txt`; where they end in `.gpg`, `gpg`, with the private key imported",
        "(`gpg --import`). Keep the key on a disk that is not the broken one.",
        "",
        "First prove that the files are whole (every line must say OK):",
        "",
        "```sh",
        "sha256sum -c SHA256SUMS",
        "```",
        "",
        *_AGAIN,
        "",
        "The blocks below are for bash, to be run in this directory, in this order. NEW_… are names that you",
        "choose: nothing that is there is to be overwritten. Look at what came out, then rename it. What",
        "is written here in clear is as secret as the data was: `umask 077` first.",
    ]
    for source in manifest.sources:
        lines += ["", f"## {source.name} ({source.kind})"]
        if source.status != "good":
            lines += ["", f"Not in this backup: {source.status}. {source.error}"]
        for key in sorted(source.facts):
            if isinstance(source.facts[key], (str, int)) and "\n" not in str(source.facts[key]):
                lines.append("- {}: {}".format(key.replace("_", " "), source.facts[key]))
        packages = source.facts.get("packages")
        if isinstance(packages, dict) and packages:
            listed = ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))
            lines.append(f"- packages there: {listed}")
        archives = manifest.of_source(source.name)
        lines += [f"- warning: {told}" for one in archives for told in one.warnings]
        # what was dumped last comes first: roles before the database that they own
        for archive in reversed(archives):
            if archive.part != "inventory":
                lines += _archive(archive)
        lines += ["", "The inventory archive says what the source held: one JSON line an object."]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _code(manifest: Manifest) -> list[str]:
    found = manifest.repository
    if not found.get("commit"):
        return []
    where = f", which `{found['remote']}` has" if found.get("pushed") else ""
    return ["", f"The application in `{found['path']}` was at commit `{found['commit']}`{where}."]


def _archive(archive: Archive) -> list[str]:
    chain = [f"cat {archive.name}"]
    chain += [_DECODERS.get(one["kind"], one["kind"]) for one in reversed(archive.filters)]
    *before, last = archive.by_hand.split("\n")  # lines before the last prepare what it needs
    if last:
        command = "\n".join([*before, " | ".join([*chain, last])])
    else:
        command = " | ".join(chain) + f" > {archive.source}.{archive.part}.{archive.format}"
    return [
        "",
        f"{archive.name}, {human_size(archive.size_bytes)} ({human_size(archive.plain_bytes)} of plain data):",
        "",
        "```bash",
        "set -o pipefail",
        command,
        "```",
    ]
