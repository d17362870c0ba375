"""Tables: numbers, text for people, Markdown and LaTeX."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import run, runs
from test_claims_recipe import fewer_steps

from bnexp.analysis import measures, tables
from bnexp.analysis.claims.deep import figure3
from bnexp.analysis.claims.judge import all_claims
from bnexp.analysis.claims.model import POINTS, Judgement, by_rule_r
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.statistics import t_interval
from bnexp.folders.runs import DIVERGED, FAILED


def test_summary_counts_censors_and_never_drops(monkeypatch):
    monkeypatch.setattr(tables, "targets", lambda runs: (0.9, 0.95))
    made = [[0.5, 0.91], [0.92, 0.96], [0.3, 0.4]]
    table = runs([run({}, curve, seed=i) for i, curve in enumerate(made)])
    [row] = tables.summarize(table).to_dict("records")
    assert row["n"] == 3
    assert (row["steps_to_90_median"], row["steps_to_90_reached"]) == (200, 2)
    assert (row["steps_to_90_low"], row["steps_to_90_high"]) == (100, np.inf)
    assert (row["steps_to_95_median"], row["steps_to_95_reached"]) == (np.inf, 1)
    [text] = tables.as_text(tables.summarize(table)).to_dict("records")
    assert text["steps to 90%"] == "200 (2/3)"
    assert text["steps to 95%"] == "> 3000 (1/3)"
    assert text["test accuracy"] == "0.7567 ± 0.7698"
    assert text["ended"] == "3 finished"


def test_diverged_runs_count_as_chance_and_no_loss_is_one_of_survivors():
    made = [run({}, [], seed=0, status=DIVERGED, classes=4), run({}, [0.5], seed=1, classes=4)]
    [row] = tables.summarize(runs(made)).to_dict("records")
    assert (row["n"], row["diverged"], row["finished"], row["test_accuracy_n"]) == (2, 1, 1, 2)
    assert row["test_accuracy_mean"] == row["final_val_accuracy_mean"] == (0.25 + 0.5) / 2
    assert (row["test_log_loss_n"], str(row["test_log_loss_mean"])) == (0, "nan")
    [text] = tables.as_text(tables.summarize(runs(made))).to_dict("records")
    assert text["ended"] == "1 finished, 1 diverged"
    assert text["test accuracy"] == "0.3750"  # no interval of two
    assert text["test log loss"] == "– (1 diverged)"


def test_a_mean_of_fewer_runs_than_there_are_says_so():
    made = [run({}, [0.5], seed=seed) for seed in range(3)]
    made += [run({}, [], seed=3, status=FAILED), run({}, [0.9], seed=4, status="unfinished")]
    [text] = tables.as_text(tables.summarize(runs(made))).to_dict("records")
    assert text["test accuracy"] == "0.5000 ± 0.0000 (n = 3)"
    assert (text["n"], text["ended"]) == (5, "3 finished, 1 failed, 1 unfinished")


def test_figure_3_for_people():
    made = runs(list(fewer_steps(1, 3)))
    [(part, chosen)] = measures.parts(made, "optimizer.lr")
    text = tables.figure3_text(figure3(chosen).assign(network=part))
    assert list(text["learning rate"]) == ["0.07 (1×)", "0.35 (5×)", "2.1 (30×)"] * 2
    assert list(text["steps to the baseline's maximum"])[1] == "> 3000 (0/3)"
    assert "network" not in text
    told = ["31.0M, 72.2%", "diverged", "", "13.3M, 72.7%", "2.1M, 73.0%", "2.7M, 74.8%"]
    assert list(text["in the paper"]) == told
    without = figure3(chosen).assign(network=part).iloc[:5]
    assert "in the paper" not in tables.figure3_text(without)


def test_tables_are_written_in_three_forms(tmp_path: Path):
    effect = t_interval([1.0, 1.2, 0.9, 1.1, 1.0, 0.8])
    sentence = "Test accuracy is 97.00% with BN."
    found = by_rule_r("tuned", "test accuracy", POINTS, effect, sentence, primary=True)
    absent = [claim for claim in all_claims() if claim.id != "higher-accuracy"]
    [judged] = [claim for claim in all_claims() if claim.id == "higher-accuracy"]
    claims = claims_table(
        [Judgement(judged, [found]), *(Judgement(claim, [], "no runs") for claim in absent)]
    )
    written = tables.write_table(tmp_path / "claims", claims, tables.claims_text(claims))
    assert [path.suffix for path in written] == [".csv", ".md", ".tex"]
    csv = pd.read_csv(written[0])
    assert csv["effect"][0] == pytest.approx(claims["effect"][0])
    markdown = written[1].read_text(encoding="utf-8")
    assert markdown.startswith("| claim ")
    assert "| higher-accuracy" in markdown
    latex = written[2].read_text(encoding="utf-8")
    assert latex.startswith(r"\begin{tabular}")
    assert r"\%" in latex


HOSTILE = pd.DataFrame({"a_b": ["50% & more_$x$ #1 {y} ~^\\", "± − σ × 0.5"]})


def test_latex_is_escaped():
    text = tables.as_latex(HOSTILE)
    assert r"50\% \& more\_\$x\$ \#1 \{y\}" in text
    assert r"$\pm$ $-$ $\sigma$ $\times$ 0.5" in text
    assert r"a\_b" in text
    assert text.isascii()
