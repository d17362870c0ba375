"""Times bnexp beside what a user would write instead, and holds it against its targets.

Contenders are processes of their own, each pinned to as many cores as it has threads; they take
turns, and what is quoted is the median of the ratios, turn by turn. Rivals whose package is not
installed are left out and named (PyTorch: pip install torch).

Examples:
    python scripts/benchmark.py               everything: steps, sweeps, start, memory; 9 minutes
    python scripts/benchmark.py --quick       training steps alone, under 2 minutes
    python scripts/benchmark.py --quick --check     exit code 1 on a gross loss of speed
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rivals import contenders, peak, task
from rivals.contenders import OURS, ContenderError, ready, sweep_seconds

from bnexp.command_line import Parser, one_line_errors, path, whole
from bnexp.folders import runs
from bnexp.training import backend

PEAK = "matrix product"
STEPS = {"mlp": 1000, "cnn": 20, "cnn-bfloat16": 20}  # of one turn
SWEEPS = {"mlp": (40, 1000), "cnn": (8, 200)}  # runs, steps of each
RIVALS = [name for name in contenders.KINDS if name not in (OURS, PEAK)]
QUICK_RIVALS = ("Keras fit", "PyTorch")
SWEEP_RIVALS = ("Keras fit", "PyTorch", "TF 1 style")

# What is aimed at: section, workload, rival, at least (of `ratio`) or at most (of the others).
TARGETS: tuple[tuple[str, str, str, float], ...] = (
    ("step", "mlp", "Keras fit", 4.0),
    ("step", "mlp", "PyTorch", 3.0),
    ("step", "mlp", PEAK, 0.6),
    ("step", "cnn", "Keras fit", 1.4),
    ("step", "cnn", "PyTorch", 1.6),
    ("step", "cnn", PEAK, 0.8),
    ("step", "cnn-bfloat16", "PyTorch", 2.0),
    ("sweep", "mlp", "Keras fit", 5.0),
    ("sweep", "mlp", "PyTorch", 4.0),
)
GROSS = 0.5  # of a target: below that, --check fails


def main() -> None:
    """The command."""
    parser = Parser(None, __doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="training steps alone, fewer rivals and turns")
    add("--check", action="store_true", help=f"exit code 1 below {GROSS:g} of a target")
    add("--repeats", type=whole("[1, 1000]"), help="of each contender (default: 5; quick: 3)")
    add("--out", type=path, default=Path("outputs/benchmark"))
    with one_line_errors():
        measure(parser.parse_args())


def measure(arguments: argparse.Namespace) -> None:
    """Measures, writes down and shows what was asked for."""
    runs.make_folder(arguments.out)
    report = measured(arguments.quick, arguments.repeats or (3 if arguments.quick else 5))
    text = json.dumps(report, indent=2) + "\n"
    runs.write_atomically(arguments.out / "benchmark.json", text)
    runs.write_atomically(arguments.out / "benchmark.md", tables(report) + "\n")
    if not arguments.quick:
        draw(report, arguments.out / "benchmark")
    print(tables(report))
    lost = gross_losses(report["targets"])
    if arguments.check and lost:
        print(f"benchmark: gross loss of speed: {', '.join(map(str, lost))}", file=sys.stderr)
        sys.exit(1)


def gross_losses(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The targets missed by far; not those against the matrix product.

    How near to that any program comes differs from CPU to CPU: convolutions reach 73% of it with
    AVX-512 and 40% without, and so do the rivals'.
    """
    compared = (row for row in rows if row["rival"] != PEAK)
    return [row for row in compared if row["reached"] < GROSS * row["target"]]


def measured(quick: bool, repeats: int) -> dict[str, Any]:
    """Everything that is measured, for JSON."""
    rivals = QUICK_RIVALS if quick else RIVALS
    report: dict[str, Any] = {
        "form": "quick" if quick else "full",
        "machine": {"cpu": backend.cpu_name(), "cores": os.cpu_count(), "threads": 1},
        **versions(),
        "step": {name: steps(name, [OURS, *rivals, PEAK], repeats) for name in workloads()},
    }
    if not quick:
        report["sweep"] = {name: sweeps(name) for name in SWEEPS}
        report["run"] = whole_runs()
    report["targets"] = targets(report)
    return report


def workloads() -> list[str]:
    """The networks whose steps are timed; bfloat16 only where the CPU does not have to emulate it.

    Without AVX-512 a step in bfloat16 takes seven times as long as in float32, whoever makes it.
    """
    if backend.vector_unit() != "AVX2":
        return list(STEPS)
    print("bfloat16: left out, as this CPU has no AVX-512", file=sys.stderr)
    return [name for name in STEPS if task.TASKS[name].precision != "bfloat16"]


def versions() -> dict[str, Any]:
    """Versions of this program, of TensorFlow and of the rivals."""
    from importlib.metadata import PackageNotFoundError, version

    found = runs.provenance()
    try:
        found["versions"]["torch"] = version("torch")
    except PackageNotFoundError:
        found["versions"]["torch"] = None
    return found


def available(workload: str, names: Sequence[str], results: dict[str, Any]) -> list[str]:
    """The contenders that can take part; why another cannot is noted in the results."""
    precision = task.TASKS[workload].precision
    absent = {name: contenders.missing(name, precision) for name in names}
    results |= {name: {"missing": reason} for name, reason in absent.items() if reason}
    return [name for name in names if not absent[name]]


def steps(name: str, names: Sequence[str], repeats: int) -> dict[str, Any]:
    """Seconds of a training step of every contender, turn by turn, on one core."""
    results: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {}
    with ready(available(name, names, results), name, threads=1) as field:
        for turn in range(1 + repeats):
            for contender in field:
                count = STEPS[name] if contender.name != PEAK else 10
                took = contender.seconds(count) / count
                if turn:  # the first compiles and warms up
                    seconds.setdefault(contender.name, []).append(took)
    print(f"{name}: {repeats} turns of {len(seconds)} contenders", file=sys.stderr)
    rate = peak.FLOP / statistics.median(seconds.pop(PEAK))
    ours = seconds[OURS]
    for contender_name, values in seconds.items():
        ratios = [theirs / mine for theirs, mine in zip(values, ours, strict=True)]
        results[contender_name] = spread(values) | {
            "ratio": statistics.median(ratios),
            "ratio_low": min(ratios),
            "ratio_high": max(ratios),
            "of_peak": flop(name) / statistics.median(values) / rate,
        }
    in_order = {each: results[each] for each in names if each in results}
    return {"contenders": in_order, "flop": flop(name), "peak_flop_per_second": rate}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"seconds": statistics.median(values), "low": min(values), "high": max(values)}


def flop(name: str) -> float:
    """Floating-point operations of the products of one training step (forward and backward).

    The gradient for the first layer's inputs is not needed, nor computed by any contender.
    """
    chosen = task.TASKS[name]
    if chosen.network == "mlp":
        products = [a * b for a, b in pairwise((784, *task.HIDDEN, 10))]
    else:
        first, second = task.FILTERS
        area = task.KERNEL**2
        products = [784 * area * first, 196 * area * first * second]
        products += [49 * second * task.DENSE, task.DENSE * 10]
    return 2.0 * chosen.batch_size * (3 * sum(products) - products[0])


def sweeps(name: str) -> dict[str, Any]:
    """Runs a minute of a sweep on all cores: bnexp's against a process per run."""
    count, length = SWEEPS[name]
    cores = os.cpu_count() or 1
    results: dict[str, Any] = {}
    rivals = available(name, SWEEP_RIVALS, results)
    mine = [our_sweep(name, count, length) for _ in range(2)]
    rate = 60 * count / statistics.median(mine)
    results[OURS] = {"runs_per_minute": rate, "seconds": mine, "runs": count, "ratio": 1.0}
    for rival in rivals:
        part = max(cores, count // 4)  # rivals' runs are alike: a part tells their pace
        took = sweep_seconds(rival, name, length, part, cores)
        theirs = 60 * part / took
        entry = {"runs_per_minute": theirs, "seconds": [took], "runs": part}
        results[rival] = entry | {"ratio": rate / theirs}
        print(f"sweep {name}: {rival} {theirs:.3g} runs a minute", file=sys.stderr)
    return {"contenders": results, "steps": length}


def our_sweep(name: str, count: int, length: int) -> float:
    """Seconds of the command that a user of bnexp gives."""
    seeds = ",".join(map(str, range(count)))
    overrides = (*task.TASKS[name].overrides, f"seed={seeds}", f"trainer.steps={length}")
    return run_command("--multirun", *overrides)["wall"]


def run_command(*overrides: str) -> dict[str, Any]:
    """Gives one command of bnexp in an empty folder: its wall time, memory and profile."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*overrides, f"output_dir={folder}", "trainer.profile=true"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "bnexp.run", *arguments],
            env=contenders.environment(),
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        if status:
            raise ContenderError(f"bnexp: {' '.join(arguments)} failed")
        profiles = [json.loads(path.read_text()) for path in Path(folder).rglob("profile.json")]
    return {"wall": wall, "megabytes": usage.ru_maxrss / 1000, "profile": profiles[0]}


def whole_runs() -> dict[str, Any]:
    """Start, memory, and the share of evaluation in single runs on one core."""
    found: dict[str, Any] = {}
    for name, length in (("mlp", 5000), ("cnn", 600)):
        more = (f"trainer.steps={length}", "data.val_size=10000", "trainer.threads=1")
        done = run_command(*task.TASKS[name].overrides, *more)
        profile = done["profile"]
        working = profile["train"] + profile["evaluate"]
        found[name] = {"evaluation_share": profile["evaluate"] / working, **done}
    starts, imports = [], []
    for _ in range(3):
        done = run_command(*task.TASKS["mlp"].overrides, "trainer.steps=1")
        before = done["wall"] - done["profile"]["total"]
        starts.append(before + done["profile"]["first_step"])
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import tensorflow"], check=True, capture_output=True)
        imports.append(time.perf_counter() - started)
    found["start"] = {"to_first_step": spread(starts), "import_tensorflow": spread(imports)}
    return found


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target that this report can be held against."""
    rows = []
    for section, name, rival, wanted in TARGETS:
        found = report.get(section, {}).get(name, {}).get("contenders", {})
        key = "of_peak" if rival == PEAK else "ratio"
        entry = found.get(OURS if rival == PEAK else rival, {})
        if key in entry:
            row = {"section": section, "workload": name, "rival": rival, "target": wanted}
            rows.append(row | {"reached": entry[key], "met": entry[key] >= wanted})
    rows += _across(report)
    return rows


def _across(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The bfloat16 targets that compare with float32 contenders."""
    if "cnn-bfloat16" not in report["step"]:
        return []
    full, half = (report["step"][name]["contenders"] for name in ("cnn", "cnn-bfloat16"))
    rows = []
    for rival, wanted in (("Keras fit", 2.4), (OURS, 1.7)):
        reached = full[rival]["seconds"] / half[OURS]["seconds"]
        row = {"section": "step", "workload": "cnn-bfloat16", "rival": f"{rival}, float32"}
        rows.append(row | {"target": wanted, "reached": reached, "met": reached >= wanted})
    return rows


def tables(report: dict[str, Any]) -> str:
    """The report as Markdown: steps, sweeps, targets."""
    parts = [step_table(report["step"])]
    if "sweep" in report:
        parts += [sweep_table(report["sweep"]), run_table(report["run"])]
    parts.append(target_table(report["targets"]))
    return "\n\n".join(parts)


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Rows of text as a table."""
    import pandas as pd

    return str(pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True))


def step_table(results: dict[str, Any]) -> str:
    """Microseconds of a training step."""
    rows = []
    for name, found in results.items():
        for contender, row in found["contenders"].items():
            shown = {"network": name, "": contender}
            if "missing" in row:
                rows.append(shown | {"µs a step": row["missing"]})
                continue
            micro = {key: 1e6 * row[key] for key in ("seconds", "low", "high")}
            rows.append(
                shown
                | {
                    "µs a step": f"{micro['seconds']:,.0f}",
                    "lowest to highest": f"{micro['low']:,.0f} to {micro['high']:,.0f}",
                    "times bnexp's": f"{row['ratio']:.2f}",
                    "of a matrix product's rate": f"{row['of_peak']:.0%}",
                }
            )
    columns = max(rows, key=len)
    return markdown([{key: row.get(key, "") for key in columns} for row in rows])


def sweep_table(results: dict[str, Any]) -> str:
    """Runs a minute of a sweep."""
    rows = [
        {
            "sweep": f"{name}, {found['steps']:,} steps a run",
            "": contender,
            "runs a minute": row.get("missing") or f"{row['runs_per_minute']:.1f}",
            "bnexp is faster by": f"{row['ratio']:.1f}" if "ratio" in row else "",
        }
        for name, found in results.items()
        for contender, row in found["contenders"].items()
    ]
    return markdown(rows)


def run_table(found: dict[str, Any]) -> str:
    """Start, memory and the share of evaluation of single runs."""
    start, imports = (found["start"][key] for key in ("to_first_step", "import_tensorflow"))
    later = start["seconds"] - imports["seconds"]
    rows = [("first step, after importing TensorFlow alone would be done", f"{later:.1f} s", 1.5)]
    rows.append(("memory of a CNN run", f"{found['cnn']['megabytes']:,.0f} MB", 1200))
    for name, most in (("mlp", 5), ("cnn", 15)):
        share = found[name]["evaluation_share"]
        what = f"share of evaluating 10,000 images every 200 steps, {name}"
        rows.append((what, f"{share:.0%}", most))
    return markdown([{"": a, "measured": b, "target at most": f"{c:g}"} for a, b, c in rows])


def target_table(rows: Sequence[dict[str, Any]]) -> str:
    """What was aimed at, and what was reached."""
    return markdown(
        [
            {
                "": f"{row['section']}, {row['workload']}",
                "against": row["rival"],
                "target": f"≥ {row['target']:g}",
                "reached": f"{row['reached']:.2f}",
                "met": "yes" if row["met"] else "no",
            }
            for row in rows
        ]
    )


def draw(report: dict[str, Any], path: Path) -> None:
    """The ratios of training steps as bars, PNG and SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    from bnexp.analysis import style

    everyone = [OURS, *RIVALS]
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=(7.5, 2.6), layout="constrained")
        axes = figure.subplots(1, len(report["step"]), sharey=True)
        for axis, (name, found) in zip(axes, report["step"].items(), strict=True):
            rows = {key: row for key, row in found["contenders"].items() if "ratio" in row}
            y = [everyone.index(key) for key in rows]
            ratios = [row["ratio"] for row in rows.values()]
            low = [row["ratio"] - row["ratio_low"] for row in rows.values()]
            high = [row["ratio_high"] - row["ratio"] for row in rows.values()]
            colours = [style.ARM_COLOURS["batch"] if key == OURS else "#999999" for key in rows]
            axis.barh(y, ratios, xerr=(low, high), color=colours, error_kw={"linewidth": 1})
            axis.set_yticks(range(len(everyone)), everyone)
            axis.set_title(name)
            axis.set_xlabel("time of a step, bnexp = 1")
            axis.grid(axis="y", visible=False)
        axes[0].invert_yaxis()
        for kind in ("png", "svg"):
            figure.savefig(
                path.with_suffix(f".{kind}"), metadata={"Date": None} if kind == "svg" else {}
            )


if __name__ == "__main__":
    main()
