"""Lists runs: what tells them apart, how they stand, and what they reached.

val is the validation accuracy at the last evaluation, best the best one, test the accuracy on the
test images. A run that is going on shows its steps so far. A terminal that is narrow shows fewer
columns; --format csv and json have all, with a column for each setting that varies.

Examples:
    bnexp list                              every run folder in outputs/
    bnexp list outputs/quickstart --sort test --reverse
    bnexp list --status running unfinished failed
    bnexp list --where norm=batch optimizer.lr=0.1,1 --format csv > runs.csv
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from bnexp.command_line import Parser, one_line_errors, path
from bnexp.folders.state import STATES
from bnexp.terminal import width
from bnexp.where import settings

FORMATS = ("table", "csv", "json")


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp list`."""
    with one_line_errors():
        arguments = parser().parse_args(given)
        print(
            listed(
                arguments.folders,
                where=arguments.where,
                states=arguments.status or STATES,
                sort=arguments.sort,
                reverse=arguments.reverse,
                form=arguments.format,
            )
        )


def parser() -> Parser:
    """The options."""
    options = Parser("bnexp list", __doc__)
    add = options.add_argument
    add("folders", nargs="*", type=path, default=[Path("outputs")], help="default: outputs/")
    options.add_where()
    add("--status", nargs="+", action="extend", choices=STATES, help="only runs that stand so")
    add("--sort", metavar="COLUMN", help="of the table or a setting; default: sweep and settings")
    add("--reverse", action="store_true", help="largest first")
    add("--format", choices=FORMATS, default="table", help="default: table")
    return options


def listed(
    roots: Sequence[Path],
    *,
    where: Sequence[str] = (),
    states: Sequence[str] = STATES,
    sort: str | None = None,
    reverse: bool = False,
    form: str = "table",
) -> str:
    """The text that is asked for; what could not be read is told on stderr.

    Raises:
        RunError: a folder is not there, or there is no such run.
    """
    from bnexp.analysis.loading import SWEEP, load_runs
    from bnexp.folders import listing
    from bnexp.folders.errors import RunError

    chosen = settings(where)
    loaded = load_runs(*roots)
    for problem in loaded.problems:
        print(f"bnexp: {problem}", file=sys.stderr)
    places = ", ".join(map(str, roots))
    if loaded.runs.empty:
        raise RunError(f"no runs in {places}")
    found = loaded.where(chosen) if chosen else loaded
    table = listing.rows(found) if len(found.runs) else found.runs
    table = table[table["status"].isin(states)]
    if table.empty:
        raise RunError(f"none of the {len(loaded.runs)} runs in {places} is like that")
    if sort or reverse:
        table = listing.sorted_by(table, sort or SWEEP, reverse=reverse)
    if form == "table":
        return listing.as_text(table, width())
    return listing.as_csv(table) if form == "csv" else listing.as_json(table)
