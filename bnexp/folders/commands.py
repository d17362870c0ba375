"""commands.log in a sweep's folder: which commands started runs there, and when."""

import functools
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path

FILE = "commands.log"
typed: list[str] = []  # what `bnexp run` was given, before it was put into Hydra's words


@functools.cache  # a line per command, however many batches of runs it starts
def record(sweep_dir: Path) -> None:
    """Appends this process's command, as one would type it, with the time.

    Not being able to is told, but stops no run.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    command = shlex.join(["python", "-m", "bnexp.run", *(typed or sys.argv[1:])])
    try:
        sweep_dir.mkdir(parents=True, exist_ok=True)
        with (sweep_dir / FILE).open("a", encoding="utf-8") as file:
            file.write(f"{now} {command}\n")
    except OSError as error:
        print(f"bnexp: {sweep_dir / FILE}: not written ({error.strerror})", file=sys.stderr)
