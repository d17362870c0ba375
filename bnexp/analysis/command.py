"""Draws figures, tables, verdicts and a report page from run folders.

Examples:
    bnexp plot                                every run folder in outputs/
    bnexp plot outputs/quickstart             one sweep
    bnexp plot outputs/a outputs/b --out comparison
    bnexp plot outputs/fig1 --x seconds --metric val_loss --format pdf
    bnexp plot --where norm=batch optimizer.lr=0.1,1 'model.hidden=[100,100]'
    bnexp plot --strict                       exit code 1 if a run is missing
"""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bnexp.command_line import Parser, one_line_errors, path, use_folders

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
    add("--x", choices=X_AXES, default="step", help="what curves are drawn against")
    add(
        "--where",
        **more,
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="only runs that have one of the values, of every key",
    )
    add("--strict", action="store_true", help="exit code 1 if a run is damaged, failed, unfinished")
    return options


def settings(texts: Sequence[str]) -> dict[str, list[Any]]:
    """["optimizer.lr=0.1", "optimizer.lr=1"] as {"optimizer.lr": [0.1, "0.1", 1.0, "1"]}.

    A key that is given twice has the values of both.

    Raises:
        ConfigError: a text that is no KEY=VALUE.
    """
    from bnexp.config import ConfigError

    found: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not (key and equals and values):
            raise ConfigError(f"--where {text}: needs KEY=VALUE")
        words = re.split(r",(?![^\[]*\])", values)  # not within brackets
        found.setdefault(key, []).extend(one for word in words for one in _readings(word))
    return found


def _readings(word: str) -> list[Any]:
    """What a word can stand for: a text, as an id is even of digits alone; a number, a list.

    A number also as 1e-5, which YAML takes for text.
    """
    try:
        value: Any = float(word)
    except ValueError:
        try:
            value = yaml.safe_load(word)
        except yaml.YAMLError:  # an open bracket
            return [word]
    if isinstance(value, list):
        return [tuple(value), word]
    return [word] if value == word else [value, word]
