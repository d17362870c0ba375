"""Draws figures and a summary table from run folders.

Examples:
    python scripts/plot.py                       everything in outputs/
    python scripts/plot.py outputs/quickstart    one sweep
    python scripts/plot.py outputs/a outputs/b --out comparison
"""

import argparse
import sys
from pathlib import Path

from bnexp.analysis import Runs, load_runs
from bnexp.analysis.loading import SWEEP
from bnexp.command_line import one_line_errors
from bnexp.runs import RunError, make_folder

FORMATS = ("png", "svg")
METRICS = ("val_accuracy", "val_loss")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, default=[Path("outputs")], help="default: outputs/"
    )
    parser.add_argument(
        "--out", type=Path, help="where to write; default: report/ in the (first) folder"
    )
    arguments = parser.parse_args()
    with one_line_errors():
        report(arguments.folders, arguments.out or arguments.folders[0] / "report")


def report(folders: list[Path], out: Path) -> None:
    """Writes figures and tables of every sweep found, and prints the tables."""
    found = load_runs(*folders)
    for problem in found.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    if found.runs.empty:
        listed = ", ".join(map(str, folders))
        raise RunError(f"no runs in {listed}; start some with python -m bnexp.run")
    make_folder(out)
    for sweep in found.runs[SWEEP].unique():
        write_sweep(found.of_sweep(sweep), sweep, out)


def write_sweep(runs: Runs, sweep: str, out: Path) -> None:
    """One sweep's table (CSV, Markdown) and curves (PNG, SVG)."""
    from bnexp.analysis import tables  # after the options are read: --help is quick

    summary = tables.summarize(runs)
    text = tables.as_text(summary).to_markdown(index=False)
    written = [out / f"{sweep}_summary.csv", out / f"{sweep}_summary.md"]
    summary.to_csv(written[0], index=False)
    written[1].write_text(f"{text}\n", encoding="utf-8")
    print(f"{sweep}: {len(runs.runs)} runs\n\n{text}\n")
    if not runs.history.empty:
        written += write_curves(runs, sweep, out)
    print("\n".join(str(path) for path in written) + "\n")


def write_curves(runs: Runs, sweep: str, out: Path) -> list[Path]:
    """Every metric in every format."""
    from bnexp.analysis import figures

    written = []
    for metric in METRICS:
        for page, figure in enumerate(figures.curves(runs, metric), start=1):
            number = f"_{page}" if page > 1 else ""
            for kind in FORMATS:
                written.append(out / f"{sweep}_{metric}{number}.{kind}")
                metadata = {"Date": None} if kind == "svg" else {}
                figure.savefig(written[-1], metadata=metadata)
    return written


if __name__ == "__main__":
    main()
