"""Times bnexp beside what a user would write instead, and holds it against its targets.

Contenders are processes of their own, each pinned to as many cores as it has threads; they take
turns, and what is quoted is the median of the ratios, turn by turn. Rivals whose package is not
installed are left out and named (pip install torch jax).

Examples:
    python scripts/benchmark.py               everything: steps, sweeps, start, memory; 30 minutes
    python scripts/benchmark.py --quick       training steps in float32 alone, under 3 minutes
    python scripts/benchmark.py --quick --check     exit code 1 on a gross loss of speed
    python scripts/benchmark.py --only step plain "Keras fit" PyTorch    these alone
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rivals.kinds import EVERY_RIVAL
from rivals.task import TASKS
from timing import steps, sweeps, tables, targets

from bnexp.command_line import Parser, one_line_errors, path, whole
from bnexp.folders import runs
from bnexp.training import backend

SECTIONS = ("step", "sweep", "run")
QUICK_RIVALS = ("Keras fit", "PyTorch", "JAX")


def main() -> None:
    """The command."""
    parser = Parser(None, __doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="training steps in float32 alone, fewer rivals, turns")
    add("--check", action="store_true", help=f"exit code 1 below {targets.GROSS:g} of a target")
    add("--repeats", type=whole("[1, 1000]"), help="of each contender (default: 5; quick: 3)")
    add("--out", type=path, default=Path("outputs/benchmark"))
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        choices=[*SECTIONS, *steps.WORKLOADS, *EVERY_RIVAL],
        help="these sections (step, sweep, run), workloads (mlp, plain-bfloat16) and rivals",
    )
    with one_line_errors():
        measure(parser.parse_args())


def measure(arguments: argparse.Namespace) -> None:
    """Measures, writes down and shows what was asked for."""
    runs.make_folder(arguments.out)
    repeats = arguments.repeats or (3 if arguments.quick else 5)
    report = measured(arguments.quick, repeats, arguments.only)
    text = json.dumps(report, indent=2) + "\n"
    runs.write_atomically(arguments.out / "benchmark.json", text)
    runs.write_atomically(arguments.out / "benchmark.md", tables.tables(report) + "\n")
    if report["step"] and not arguments.quick:
        tables.draw(report["step"], arguments.out / "benchmark")
    print(tables.tables(report))
    lost = targets.gross_losses(report["targets"])
    if arguments.check and lost:
        print(f"benchmark: gross loss of speed: {', '.join(map(str, lost))}", file=sys.stderr)
        sys.exit(1)


def measured(quick: bool, repeats: int, only: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that is measured, for JSON.

    Args:
        quick: training steps in float32 alone, of fewer rivals.
        repeats: turns of each contender.
        only: sections, workloads and rivals; of a kind that is not named, all.
    """
    sections = kept(("step",) if quick else SECTIONS, only)
    rivals = kept(QUICK_RIVALS if quick else EVERY_RIVAL, only)
    workloads = kept(steps.timed(), only)
    if quick:
        workloads = [name for name in workloads if TASKS[name].precision == "float32"]
    report: dict[str, Any] = {
        "form": "quick" if quick else "full",
        "machine": {"cpu": backend.cpu_name(), "cores": os.cpu_count(), "threads": 1},
        **versions(),
        "step": {},
    }
    if "step" in sections:
        for name in workloads:
            chosen = [each for each in steps.rivals_in(name) if each in rivals]
            report["step"][name] = steps.steps(name, chosen, repeats)
    if "sweep" in sections:
        named = [name for name in sweeps.SWEEPS if name in workloads]
        report["sweep"] = {name: sweeps.sweeps(name, rivals) for name in named}
    if "run" in sections:
        report["run"] = sweeps.whole_runs()
    report["targets"] = targets.held_against(report)
    return report


def kept(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """The names that `only` has, or all if it has none of them."""
    return [name for name in names if name in only] or list(names)


def versions() -> dict[str, Any]:
    """Versions of this program, of TensorFlow and of the rivals."""
    from importlib.metadata import PackageNotFoundError, version

    found = runs.provenance()
    for package in ("torch", "jax"):
        try:
            found["versions"][package] = version(package)
        except PackageNotFoundError:
            found["versions"][package] = None
    return found


if __name__ == "__main__":
    main()
