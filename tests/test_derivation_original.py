"""What docs/results.md says of the original repository's run is what the packed runs say."""

import re

import pandas as pd
import pytest
from conftest import ROOT
from derived import COMMITTED, RAW_PAGE, effect_in_words, points, stands, with_tables

from bnexp.analysis import load_runs, tables

STEPS = (200, 400, 1600, 2000, 4000, 5000)  # that the original logged
RULES = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
LOGGED = re.findall(r"^\| validation accuracy \| (.*) \|$", RULES, re.MULTILINE)[0].split(" | ")
TEST, LOSS = re.findall(r"Test accuracy ([\d.]+), log loss ([\d.]+)\.", RULES)[0]


@pytest.fixture(scope="module")
def arms() -> dict[str, pd.DataFrame]:
    return dict(list(with_tables("original").groupby("arm")))


def validation(runs: pd.DataFrame) -> pd.Series:
    """By step, mean over seeds."""
    assert list(runs.index) == [0, 1, 2]
    return pd.concat(list(runs["history"])).groupby("step")["val_accuracy"].mean()[list(STEPS)]


def test_the_tables_of_docs_are_those_of_the_runs(arms):
    found = load_runs(COMMITTED).of_sweep("original")
    assert tables.as_text(tables.summarize(found)).to_markdown(index=False) in RAW_PAGE
    stands(f"| the original's log | {' | '.join(LOGGED)} | {TEST} | {LOSS} |")
    for arm, name in (("batch", "with BN"), ("none", "without BN")):
        ends = [arms[arm][column].mean() for column in ("test", "loss")]
        cells = [f"{value:.4f}" for value in [*validation(arms[arm]), *ends]]
        stands(f"| {name} | {' | '.join(cells)} |")


def test_the_log_is_matched_but_for_what_docs_name(arms):
    batch, log = arms["batch"], pd.Series(map(float, LOGGED), STEPS)
    missing = log - validation(batch)
    assert list(missing.index[missing > 0]) == [4000]
    assert 5000 * missing[4000] == pytest.approx(1 / 3)  # images
    assert batch["test"].mean() >= float(TEST)
    assert round(batch["loss"].mean(), 4) <= float(LOSS)
    off = {arm: (validation(runs) - log).abs() for arm, runs in arms.items()}
    assert (off["none"][[200, 400]] < off["batch"][[200, 400]] / 4).all()
    stands(
        f"from {batch['test'].min():.4f} to {batch['test'].max():.4f} in test accuracy",
        f"{effect_in_words(points(batch, arms['none']))} points of test accuracy",
    )


def test_the_runs_are_those_of_version_0_1_to_the_last_digit(version_0_1):
    now, before = (load_runs(folder).of_sweep("original") for folder in (COMMITTED, version_0_1))
    key, columns = ["norm.kind", "seed"], ["step", "train_loss", "val_loss", "val_accuracy"]
    mine, theirs = (found.runs.sort_values(key) for found in (now, before))
    for name in (*key, "test_loss", "test_accuracy"):
        assert list(mine[name]) == list(theirs[name]), name
    histories = [
        [found.history.loc[found.history["run"] == run, columns] for run in runs.index]
        for found, runs in ((now, mine), (before, theirs))
    ]
    for one, other in zip(*histories, strict=True):
        assert one.to_numpy().tolist() == other.to_numpy().tolist()
    assert mine["git_commit"].nunique() == 1 and mine["machine"].notna().all()
    stands("Histories and tests are those that version 0.1 had, to the last digit.")
