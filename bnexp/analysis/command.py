"""Draws figures, tables, verdicts and a report page from run folders.

Examples:
    bnexp plot                                every run folder in outputs/
    bnexp plot outputs/quickstart             one sweep
    bnexp plot outputs/a outputs/b --out comparison
    bnexp plot outputs/fig1 --x seconds --metric val_loss --format pdf
    bnexp plot --where norm=batch optimizer.lr=0.1,1 'model.hidden=[100,100]'
    bnexp plot outputs/mine --title "BN on our data" --no-claims
    bnexp plot --strict                       exit code 1 if a run is missing
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnexp.command_line import Parser, one_line_errors, path, use_folders
from bnexp.where import settings

FORMATS = ("png", "svg", "pdf")
X_AXES = ("step", "epoch", "seconds")


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp plot`."""
    words = sys.argv[1:] if given is None else list(given)
    with one_line_errors():
        arguments = parser().parse_args(words)
        where = settings(arguments.where)
        use_folders(arguments.config_dir)
        # after the options are read: --help is quick
        from bnexp.analysis.build import Options, make_report

        incomplete = make_report(
            arguments.folders,
            arguments.out or arguments.folders[0] / "report",
            Options(
                arguments.format or ["png", "svg"],
                arguments.metric or ["val_accuracy", "val_loss"],
                arguments.x,
                list(map(str, arguments.config_dir)),
                arguments.title,
                not arguments.no_claims,
            ),
            where=where,
            command=shlex.join(["bnexp", "plot", *words]),
        )
    if arguments.strict and incomplete:
        sys.exit(1)


def parser() -> Parser:
    """The options."""
    options = Parser("bnexp plot", __doc__)
    add = options.add_argument
    add("folders", nargs="*", type=path, default=[Path("outputs")], help="default: outputs/")
    add("--out", type=path, help="where to write; default: report/ in the (first) folder")
    more: dict[str, Any] = {"nargs": "+", "action": "extend"}  # given twice, both count
    add("--format", **more, choices=FORMATS, help="of the figures; default: png svg")
    add("--metric", **more, help="columns of the history; default: val_accuracy val_loss")
    options.add_config_dir()
    add("--title", default="", metavar="TEXT", help="of the page; default: what the runs ask")
    add("--no-claims", action="store_true", help="judge no claims of the paper, which is quicker")
    add("--x", choices=X_AXES, default="step", help="what curves are drawn against")
    options.add_where()
    add("--strict", action="store_true", help="exit code 1 if a run is damaged, failed, unfinished")
    return options
