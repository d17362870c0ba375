"""Draws figures, tables, verdicts and a report page from run folders.

Examples:
    python scripts/plot.py                                every run folder in outputs/
    python scripts/plot.py outputs/quickstart             one sweep
    python scripts/plot.py outputs/a outputs/b --out comparison
    python scripts/plot.py outputs/fig1 --x seconds --metric val_loss --format pdf
    python scripts/plot.py --where norm=batch optimizer.lr=0.1,1
    python scripts/plot.py --strict                       exit code 1 if a run is missing
"""

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from bnexp.command_line import one_line_errors
from bnexp.training import interrupt

FORMATS = ("png", "svg", "pdf")
METRICS = ("val_accuracy", "val_loss", "train_loss")
X_AXES = ("step", "epoch", "seconds")


def main() -> None:
    """The command."""
    arguments = parser().parse_args()
    with one_line_errors():
        interrupt.stop_on(signal.SIGINT, signal.SIGTERM)
        # after the options are read: --help is quick
        from bnexp.analysis.build import Options, make_report

        incomplete = make_report(
            arguments.folders,
            arguments.out or arguments.folders[0] / "report",
            Options(arguments.format, arguments.metric, arguments.x),
            where=dict(map(setting, arguments.where)),
            command=shlex.join(["python", "scripts/plot.py", *sys.argv[1:]]),
        )
    if arguments.strict and incomplete:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("folders", nargs="*", type=Path, default=[Path("outputs")], help="default: outputs/")
    add("--out", type=Path, help="where to write; default: report/ in the (first) folder")
    add("--format", nargs="+", choices=FORMATS, default=["png", "svg"], help="of the figures")
    add("--metric", nargs="+", choices=METRICS, default=["val_accuracy", "val_loss"])
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


if __name__ == "__main__":
    main()
