"""The summary table of a sweep: a row per condition and arm, as numbers and as text."""

from pathlib import Path

import numpy as np
import pandas as pd

from bnexp.analysis import measures
from bnexp.analysis.judged import with_comparisons
from bnexp.analysis.loading import UNFINISHED, Runs
from bnexp.analysis.measures import ENDED
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.statistics import MIN_SEEDS, Estimate, bootstrap_interval
from bnexp.analysis.targets import targets
from bnexp.folders.runs import DIVERGED, FINISHED, STATUSES, write_atomically

METRICS = ("test_accuracy", "final_val_accuracy", "best_val_accuracy", "test_log_loss")
KEYS = (CONDITION, ARM, "status", "trainer.steps")
FIGURES = ("n", "mean", "sd", "low", "high")
STEPS_TO = "steps_to_"


def summarize(runs: Runs) -> pd.DataFrame:
    """One row per condition and arm.

    Columns: condition, arm, n (runs), a count per status, `<metric>_{n,mean,sd,low,high}`
    (95% Student-t over the runs that ended; a diverged one's accuracy is chance's, and where a loss
    is missing there is no mean; see `measures.estimate`), and for each target accuracy that fits
    these runs (see `targets`) `steps_to_90_{median,low,high,reached}`: a median that lies among
    runs that never got there is infinite; low and high are its 95% bootstrap interval. Runs that
    have not ended do not count. Of a trial first what it judges, comparison by comparison.
    """
    goals, runs = targets(runs), with_comparisons(runs)
    reached = {target: measures.reached(runs, target) for target in goals}
    rows = []
    table = measures.worth(runs.runs)
    table = table[[key for key in (*KEYS, *METRICS) if key in table]]  # a group copies all it has
    for (condition, arm), group in table.groupby([CONDITION, ARM], sort=False):
        row: dict[str, object] = {CONDITION: condition, ARM: arm, "n": len(group)}
        row |= {status: int((group["status"] == status).sum()) for status in ENDINGS}
        ended = group[group["status"].isin(ENDED)]
        for metric in METRICS:
            estimate = measures.estimate(ended, metric)
            row |= {f"{metric}_{name}": getattr(estimate, name) for name in FIGURES}
        for target, steps in reached.items():
            row |= _steps_to(target, steps[ended.index])
        row["budget"] = int(group["trainer.steps"].max())
        rows.append(row)
    return pd.DataFrame(rows)


ENDINGS = (*STATUSES, UNFINISHED)


def _steps_to(target: float, steps: pd.Series) -> dict[str, float]:
    low, high = bootstrap_interval(steps)
    name = f"{STEPS_TO}{100 * target:g}"
    return {
        f"{name}_median": float(np.median(steps)) if len(steps) else np.nan,
        f"{name}_low": low,
        f"{name}_high": high,
        f"{name}_reached": int(np.isfinite(steps).sum()),
    }


def as_text(summary: pd.DataFrame) -> pd.DataFrame:
    """The table for people: mean ± half the interval's width, and "> budget" where censored.

    A mean of fewer runs than the row has, as some failed or go on, says of how many.
    """
    shown = summary[[CONDITION, ARM, "n"]].copy()
    for metric, name in (
        ("test_accuracy", "test accuracy"),
        ("final_val_accuracy", "final validation accuracy"),
        ("test_log_loss", "test log loss"),
    ):
        shown[name] = [_plus_minus(row, metric) for _, row in summary.iterrows()]
    for column in summary.columns:
        if column.startswith(STEPS_TO) and column.endswith("_median"):
            key = column.removesuffix("_median")
            shown[f"{key.replace('_', ' ')}%"] = [_steps(row, key) for _, row in summary.iterrows()]
    shown["ended"] = [_endings(row) for _, row in summary.iterrows()]
    return shown if shown[CONDITION].any() else shown.drop(columns=CONDITION)


def _plus_minus(row: pd.Series, metric: str) -> str:
    estimate = Estimate(*(row[f"{metric}_{name}"] for name in FIGURES))
    if estimate.n == 0:
        return f"– ({row[DIVERGED]} diverged)" if row[DIVERGED] else "–"
    told = f" (n = {estimate.n})" if estimate.n < row["n"] else ""
    if estimate.n < MIN_SEEDS:
        return f"{estimate.mean:.4f}{told}"
    return f"{estimate.mean:.4f} ± {estimate.half_width:.4f}{told}"


def _steps(row: pd.Series, key: str) -> str:
    median, reached = row[f"{key}_median"], row[f"{key}_reached"]
    ended = row[FINISHED] + row[DIVERGED]
    return f"{censored(median, row['budget'])} ({reached}/{ended})" if ended else "–"


def censored(steps: float, budget: float) -> str:
    """ "200", or "> 5000" where the target was not reached within the budget."""
    return f"{steps:.0f}" if np.isfinite(steps) else f"> {budget:.0f}"


def _endings(row: pd.Series) -> str:
    return ", ".join(f"{row[status]} {status}" for status in ENDINGS if row[status])


# Fig. 3 of the paper (ImageNet): with BN or without, by multiple of the baseline's learning rate,
# the steps to 72.2%, the baseline's maximum, and the maximum. At 5 times the baseline diverged.
PAPERS_FIGURE_3 = {
    (False, 1): "31.0M, 72.2%",
    (False, 5): "diverged",
    (True, 1): "13.3M, 72.7%",
    (True, 5): "2.1M, 73.0%",
    (True, 30): "2.7M, 74.8%",
}


def _in_the_paper(table: pd.DataFrame) -> list[str]:
    """The paper's rows beside these; nothing where not all of its arms and rates are there."""
    keys = list(zip(table["arm"] != "none", table["times the baseline"].round(3), strict=True))
    is_there = set(table["arm"]) == {"none", "batch"} and set(PAPERS_FIGURE_3) <= set(keys)
    found = PAPERS_FIGURE_3 if is_there else {}
    return [found.get(key, "") for key in keys]


def figure3_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table of Fig. 3 for people: a row per arm and learning rate, beside the paper's."""
    steps = "steps to the baseline's maximum"
    shown = pd.DataFrame(
        {
            "network": table["network"],
            "arm": table["arm"],
            "learning rate": [
                f"{row['learning rate']:g} ({row['times the baseline']:.3g}×)"
                for _, row in table.iterrows()
            ],
            steps: [
                f"{censored(row[steps], row['budget'])} ({row['reached']}/{row['n']})"
                for _, row in table.iterrows()
            ],
            "maximum": [f"{100 * value:.2f}%" for value in table["maximum"]],
            "diverged": table["diverged"],
            "in the paper": _in_the_paper(table),
        }
    )
    return shown.drop(
        columns=[name for name in ("network", "in the paper") if not any(shown[name])]
    )


def claims_text(claims: pd.DataFrame) -> pd.DataFrame:
    """The table of claims for people: a row per judged part.

    Those of runs with other settings than the preset's come last, and are not the paper's.
    """
    judged = claims[~claims["beside"]].sort_values(
        "settings", key=lambda column: column != "", kind="stable"
    )
    return pd.DataFrame(
        {
            "claim": judged["claim"],
            "part": judged["part"],
            "primary": judged["primary"].map({True: "yes", False: ""}),
            "verdict": judged["verdict"],
            "after Holm": judged["verdict_holm"].where(judged["p_holm"].notna(), ""),
            "effect": [_effect(row) for _, row in judged.iterrows()],
            "could tell": ["" if np.isnan(one) else f"{one:.2g}" for one in judged["detectable"]],
            "n": judged["n"],
            "what was seen": judged["sentence"],
            "source": judged["source"].where(judged["settings"] == "", ""),
            "your settings": judged["settings"],
            "protocol": judged["protocol"],
        }
    )


def _effect(row: pd.Series) -> str:
    if np.isnan(row["effect"]):
        return ""
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{row['effect']:.3g}{interval} {row['unit']}"


def write_table(path: Path, numbers: pd.DataFrame, text: pd.DataFrame) -> list[Path]:
    """Writes a table as CSV (the numbers), Markdown and LaTeX (the text); returns the files."""
    contents = {
        ".csv": numbers.to_csv(index=False, lineterminator="\n"),
        ".md": text.to_markdown(index=False) + "\n",
        ".tex": as_latex(text),
    }
    for suffix, content in contents.items():
        write_atomically(path.with_name(path.name + suffix), content)
    return [path.with_name(path.name + suffix) for suffix in contents]


LATEX_SYMBOLS = {"±": r"$\pm$", "−": "$-$", "–": "--", "σ": r"$\sigma$", "×": r"$\times$"}
LATEX_SYMBOLS |= {"‖": r"$\|$", "∂": r"$\partial$", "≥": r"$\geq$", "η": r"$\eta$"}
LATEX_SYMBOLS |= {"λ": r"$\lambda$", "μ": r"$\mu$", "½": r"$\frac12$", "·": r"$\cdot$", "§": r"\S "}


LONG = 60  # characters, from which on a column of a LaTeX table breaks its lines


def as_latex(table: pd.DataFrame) -> str:
    """A booktabs table; every character that LaTeX would read as a command is escaped."""
    styled = table.style.hide(axis="index").format(escape="latex")
    styled = styled.format_index(escape="latex", axis="columns")
    widest = [int(column.astype(str).str.len().max()) for _, column in table.items()]
    columns = "".join("l" if width <= LONG else r"p{0.35\linewidth}" for width in widest)
    text = styled.to_latex(hrules=True, column_format=columns)
    for symbol, command in LATEX_SYMBOLS.items():
        text = text.replace(symbol, command)
    return text
