"""Removes what is of no more use: checkpoints and temporary files left behind, and runs if asked.

What goes is listed with its size before it goes. Only files that this program wrote are removed,
only in folders of runs that nobody runs just now, and never behind a link. Packs are left alone.

Examples:
    bnexp clean                             what was left behind in outputs/
    bnexp clean --failed --unfinished --dry-run
    bnexp clean outputs/mine --unfinished --older-than 7d --yes
    bnexp clean --diverged --where optimizer.lr=10
    bnexp clean outputs/mine --finished --where norm=layer optimizer.lr=1,3
"""

import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from bnexp.command_line import Parser, one_line_errors, path
from bnexp.config import ConfigError
from bnexp.folders.clean import BusyError, Removal, Search, Wanted, remove
from bnexp.folders.errors import RunError
from bnexp.folders.results import DIVERGED, FAILED, FINISHED
from bnexp.folders.state import UNFINISHED
from bnexp.terminal import counted, size
from bnexp.where import settings

SELECTED = {
    FAILED: "runs that an exception ended",
    UNFINISHED: "runs that were interrupted, and that nobody runs just now",
    DIVERGED: "runs whose loss ceased to be finite: these are results",
    FINISHED: "runs that are done; needs --where",
}
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp clean`."""
    with one_line_errors():
        arguments = parser().parse_args(given)
        wanted = _wanted(arguments)
        search = Search(wanted)(arguments.folders)
        print("\n".join(_told(search, arguments.folders)))
        if not search.found or arguments.dry_run:
            return
        if not arguments.yes and not _agreed():
            print("nothing was removed")
            sys.exit(1)
        complete = clean(search)
    sys.exit(not complete)


def parser() -> Parser:
    """The options."""
    options = Parser("bnexp clean", __doc__)
    add = options.add_argument
    add("folders", nargs="*", type=path, default=[Path("outputs")], help="default: outputs/")
    for state, what in SELECTED.items():
        add(f"--{state}", action="store_true", help=what)
    options.add_where("of these runs only those")
    add(
        "--older-than",
        type=age,
        default=0.0,
        metavar="AGE",
        help="only what nobody wrote to for so long: 12h, 7d, 4w",
    )
    add("--dry-run", action="store_true", help="list what would go, and stop")
    add("--yes", action="store_true", help="do not ask")
    return options


def age(text: str) -> float:
    """ "7d" in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", text.strip())
    if not found:
        raise ArgumentTypeError(f"{text!r}: give a number with m, h, d or w, as in 7d")
    return float(found[1]) * SECONDS[found[2]]


def _wanted(arguments: Namespace) -> Wanted:
    given = vars(arguments)
    states = [state for state in SELECTED if given[state]]
    if FINISHED in states and not given["where"]:
        raise ConfigError("--finished removes results: say which, with --where KEY=VALUE")
    if given["where"] and not states:
        flags = ", ".join(f"--{state}" for state in SELECTED)
        raise ConfigError(f"--where says which runs go: give one of {flags} too")
    return Wanted(states, settings(given["where"]), given["older_than"])


def _told(search: Search, roots: Sequence[Path]) -> Iterator[str]:
    """What is to go, by what it is, and what is left alone."""
    yield from search.notes
    kinds = dict.fromkeys(one.what for one in search.found)
    for kind in kinds:
        members = [one for one in search.found if one.what == kind]
        yield f"{_named(kind, len(members))}, {size(sum(one.bytes for one in members))}:"
        yield from (f"  {one.folder}  {size(one.bytes)}" for one in members)
    if search.found:
        yield f"in all {size(sum(one.bytes for one in search.found))}"
    else:
        yield f"nothing to remove in {', '.join(map(str, roots))}"
    yield from _hints(search)


def _named(kind: str, count: int) -> str:
    if kind in SELECTED:
        return f"{count} {kind} {'run' if count == 1 else 'runs'}"
    return kind if count == 1 else f"{kind} ({counted(count, 'time')})"


def _hints(search: Search) -> Iterator[str]:
    """What else one could remove."""
    counts = Counter(search.states)
    kept = [one for one in (FAILED, UNFINISHED) if counts[one] and one not in search.wanted.states]
    if kept:
        told = ", ".join(f"{counts[state]} {state} (--{state})" for state in kept)
        yield f"there are also runs: {told}"


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise RunError("--yes removes this without asking; nothing was removed")
    try:
        return input("Remove all of this? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def clean(search: Search) -> bool:
    """Removes what was found, and says so; whether all of it went."""
    gained, failed = 0, 0
    for one in search.found:
        try:
            gained += remove(one, search.wanted)
        except (BusyError, OSError) as error:
            failed += 1
            print(f"bnexp: {_not_removed(one, error)}", file=sys.stderr)
    print(f"removed {size(gained)}" + (f"; {failed} left alone" if failed else ""))
    return not failed


def _not_removed(one: Removal, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"{one.folder}: not removed ({reason})"
