"""Run the lifeboat of this host at the instant that stands in /srv/past: months that nobody waits for.

Nothing else of it is changed. The arguments are those of the command.
"""

from datetime import datetime, timezone
from pathlib import Path

began = datetime.now(timezone.utc)
past = datetime.fromisoformat(Path("/srv/past").read_text().strip())
main = "from lifeboat.cli.main"
places, _word, rest = Path("/usr/local/bin/lifeboat").read_text().partition(main)
exec(places)

from lifeboat.cli import session  # noqa: E402 -- where the launcher says that it is

session.now = lambda: past + (datetime.now(timezone.utc) - began)
exec(main + rest)
