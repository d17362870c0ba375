"""The report of the benchmark as Markdown tables and as a figure."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rivals.kinds import OURS, RIVALS

LONGEST = 5.0  # a bar of the figure, in times bnexp's step


def tables(report: dict[str, Any]) -> str:
    """The report as Markdown: steps, sweeps, single runs, targets."""
    shown: dict[str, Callable[[Any], str]] = {
        "step": step_table,
        "sweep": sweep_table,
        "run": run_table,
        "targets": target_table,
    }
    return "\n\n".join(table(report[key]) for key, table in shown.items() if report.get(key))


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
                "against": row["rivals"],
                "target": f"≥ {row['target']:g}",
                "reached": f"{row['reached']:.2f}",
                "nearest rival": row["nearest"],
                "met": "yes" if row["met"] else "no",
            }
            for row in rows
        ]
    )


def draw(results: dict[str, Any], path: Path) -> None:
    """The ratios of training steps as bars, a network a column: PNG and SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    from bnexp.analysis import style

    everyone = [
        name for name in (OURS, *RIVALS) if any(name in ratios(results[w]) for w in results)
    ]
    columns = -(-len(results) // 2)
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=(9, 5), layout="constrained")
        grid = figure.subplots(2, columns, sharey=True, squeeze=False)
        for axis, (name, found) in zip(grid.T.flat, results.items(), strict=False):
            rows = ratios(found)
            y = [everyone.index(key) for key in rows]
            values = [row["ratio"] for row in rows.values()]
            low = [row["ratio"] - row["ratio_low"] for row in rows.values()]
            high = [row["ratio_high"] - row["ratio"] for row in rows.values()]
            colours = [style.ARM_COLOURS["batch"] if key == OURS else "#999999" for key in rows]
            axis.barh(y, values, xerr=(low, high), color=colours, error_kw={"linewidth": 1})
            for place, ratio, above in zip(y, values, high, strict=True):
                end = min(ratio + above, LONGEST)
                told = f" {ratio:.1f}" if ratio > LONGEST else f" {ratio:.2f}"
                axis.text(end, place, told, va="center", fontsize="small")
            axis.set_xlim(0, 1.25 * LONGEST)  # what is longer says how long
            axis.set_yticks(range(len(everyone)), everyone)
            axis.set_title(name)
            axis.grid(axis="y", visible=False)
        grid[0, 0].invert_yaxis()
        figure.supxlabel("time of a step, bnexp = 1; median and range", fontsize="medium")
        for kind in ("png", "svg"):
            figure.savefig(
                path.with_suffix(f".{kind}"), metadata={"Date": None} if kind == "svg" else {}
            )


def ratios(found: dict[str, Any]) -> dict[str, Any]:
    """The contenders that were timed, but for those in another precision than the workload's."""
    contenders = found["contenders"].items()
    return {key: row for key, row in contenders if "ratio" in row and key in (OURS, *RIVALS)}
