"""The reference reproduction: whole, judged as committed, and had again bit for bit."""

import io
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT, Lines

from bnexp.analysis import Runs, load_runs, tables
from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.model import NOT_RUN
from bnexp.analysis.claims.table import claims_table
from bnexp.config import scientific
from bnexp.config.compose import compose_sweep
from bnexp.folders import runs
from bnexp.folders.pack import Content, read
from bnexp.folders.runs import DIVERGED, FINISHED, PACK, PROFILE
from bnexp.sweeps import reproduce
from bnexp.training import backend
from bnexp.training.loop import train_and_evaluate

REFERENCE = ROOT / "outputs" / "reference"


@pytest.fixture(scope="module")
def packed() -> Content:
    return read(REFERENCE / PACK)


@pytest.fixture(scope="module")
def found() -> Runs:
    return load_runs(REFERENCE)


def test_every_run_ended(packed: Content):
    every = [run for sweep in packed.runs.values() for run in sweep.items()]
    statuses = {
        runs.parsed_result(files["result.json"], Path(run))["status"] for run, files in every
    }
    assert statuses <= {FINISHED, DIVERGED}


def test_every_run_tells_the_commit_that_made_it(found: Runs):
    assert found.problems == []
    assert found.runs["git_commit"].str.fullmatch("[0-9a-f]{40}").all()  # none with changes


def test_commits_and_commands_told_are_those_of_the_runs(packed: Content):
    every = [run for sweep in packed.runs.values() for run in sweep.values()]
    results = [json.loads(files["result.json"]) for files in every]
    commits = Counter(result["git_commit"] for result in results)
    told = (REFERENCE / reproduce.ENVIRONMENT).read_text(encoding="utf-8")
    for commit, count in commits.items():
        assert f"commit: {commit} ({count:,} runs)\n" in told
    assert told.count("commit: ") == len(commits)
    assert {f"cpu: {one['machine']['cpu']}" for one in results} == {
        line for line in told.splitlines() if line.startswith("cpu: ")
    }
    logs = {line for files in packed.sweeps.values() for line in files["commands.log"].splitlines()}
    *commands, last = (REFERENCE / reproduce.COMMANDS).read_text(encoding="utf-8").splitlines()
    assert set(commands) == {line.partition(" ")[2] for line in logs}
    assert last == "bnexp plot outputs/reference"


def test_times_told_are_those_of_the_runs(packed: Content):
    """Half of their own seconds, as two run side by side."""
    rows = {row["preset"]: row for row in reproduce.read_rows(REFERENCE / reproduce.TIMES)}
    assert set(rows) == set(packed.runs)
    for sweep, made in packed.runs.items():
        seconds = [json.loads(files["result.json"])["total_seconds"] for files in made.values()]
        assert int(rows[sweep]["runs"]) == len(made)
        assert float(rows[sweep]["seconds"]) == pytest.approx(sum(seconds) / 2, abs=0.1)
        profiles = [json.loads(files[PROFILE]) for files in made.values() if PROFILE in files]
        if len(profiles) == len(made):
            train = sum(profile["train"] for profile in profiles)
            assert float(rows[sweep]["train"]) == pytest.approx(train, abs=0.1)


def test_the_committed_summaries_are_those_of_the_committed_runs(found: Runs):
    for sweep in found.sweeps:
        text = tables.as_text(tables.summarize(found.of_sweep(sweep))).to_markdown(index=False)
        kept = REFERENCE / "report" / "tables" / f"{sweep}_summary.md"
        assert text + "\n" == kept.read_text(encoding="utf-8")


def test_runs_of_version_0_1_judge_nothing(version_0_1: Path):
    """Their designs are not those of today's presets: at most they are someone's own settings."""
    table = claims_table(judge(load_runs(version_0_1)))
    assert (table.loc[table["settings"] == "", "verdict"] == NOT_RUN).all()


def test_a_committed_run_is_had_again_bit_for_bit(packed: Content, tmp_path: Path):
    """On the same kind of machine; on another to within a point of accuracy."""
    [again] = compose_sweep("experiment=weight_scale", "norm=batch", "seed=0", "init.scale=1")
    wanted = reproduce.settings(yaml.safe_dump(scientific(again)), tmp_path)
    [files] = [
        files
        for files in packed.runs["weight_scale"].values()
        if reproduce.settings(files["config.yaml"], tmp_path) == wanted
    ]
    train_and_evaluate(again, tmp_path, Lines())
    history, probes = ((tmp_path / name).read_text() for name in ("history.csv", "probes.csv"))
    if json.loads(files["result.json"])["machine"]["cpu"] == backend.cpu_name():
        assert reproduce.timeless(history) == reproduce.timeless(files["history.csv"])
        assert probes == files["probes.csv"]
    ends = [
        pd.read_csv(io.StringIO(text))["val_accuracy"].iloc[-1]
        for text in (history, files["history.csv"])
    ]
    assert ends[0] == pytest.approx(ends[1], abs=0.01)
