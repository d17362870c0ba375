"""Draws figures, tables, verdicts and a report page from run folders.

Examples:
    bnexp plot                                every run folder in outputs/
    bnexp plot outputs/quickstart             one sweep
    bnexp plot outputs/a outputs/b --out comparison
    bnexp plot outputs/fig1 --x seconds --metric val_loss --format pdf
    bnexp plot --where norm=batch optimizer.lr=0.1,1
    bnexp plot --strict                       exit code 1 if a run is missing
"""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from bnexp.command_line import one_line_errors
from bnexp.config.places import importable, use_folder
from bnexp.training import interrupt

FORMATS = ("png", "svg", "pdf")
X_AXES = ("step", "epoch", "seconds")


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp plot`."""
    words = sys.argv[1:] if given is None else list(given)
    arguments = parser().parse_args(words)
    with one_line_errors():
        interrupt.stop_on(signal.SIGINT, signal.SIGTERM)
        importable(Path.cwd())
        for folder in arguments.config_dir:
            use_folder(Path(folder))
        # after the options are read: --help is quick
        from bnexp.analysis.build import Options, make_report

        incomplete = make_report(
            arguments.folders,
            arguments.out or arguments.folders[0] / "report",
            Options(arguments.format, arguments.metric, arguments.x, arguments.config_dir),
            where=dict(map(setting, arguments.where)),
            command=shlex.join(["bnexp", "plot", *words]),
        )
    if arguments.strict and incomplete:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="bnexp plot", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("folders", nargs="*", type=Path, default=[Path("outputs")], help="default: outputs/")
    add("--out", type=Path, help="where to write; default: report/ in the (first) folder")
    add("--format", nargs="+", choices=FORMATS, default=["png", "svg"], help="of the figures")
    add("--metric", nargs="+", default=["val_accuracy", "val_loss"], help="columns of the history")
    add("--config-dir", action="append", default=[], help="your own figures/, claims/, options")
    add("--x", choices=X_AXES, default="step", help="what curves are drawn against")
    add("--where", nargs="+", default=[], metavar="KEY=VALUE[,VALUE]", help="only these runs")
    add("--strict", action="store_true", help="exit code 1 if a run is damaged, failed, unfinished")
    return options


def setting(text: str) -> tuple[str, list[Any]]:
    """ "optimizer.lr=0.1,1" as ("optimizer.lr", [0.1, 1])."""
    from bnexp.config import ConfigError

    key, equals, values = text.partition("=")
    if not (key and equals and values):
        raise ConfigError(f"--where {text}: needs KEY=VALUE")
    return key, [_value(value) for value in values.split(",")]


def _value(text: str) -> Any:
    """A number where it reads as one (also 1e-5, which YAML takes for text)."""
    try:
        return float(text)
    except ValueError:
        return yaml.safe_load(text)
