"""Files of runs that somebody edited: what cannot be is listed, and the rest goes on."""

import itertools
import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from bnexp.analysis import Runs, compare, judge, load_runs
from bnexp.analysis.reading import read_folders
from bnexp.analysis.report.data import curves_data
from bnexp.analysis.tables import as_text, summarize
from bnexp.config.compose import compose

sys.path.insert(0, str(ROOT / "scripts"))
import synthetic_runs

VALUES = {
    "null": None,
    "text": "abc",
    "negative": -3,
    "huge": 10**400,
    "nan": math.nan,
    "infinite": math.inf,
    "list": [1, "a"],
    "dict": {"a": 1},
    "bool": True,
    "date": date(2026, 1, 1),
    "empty": "",
}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two arms, two networks, two seeds; a run of it is to be spoiled."""
    steps = 4 * synthetic_runs.STEPS_PER_ROW
    base = compose("model=mlp", "init=gaussian", "optimizer=sgd", f"trainer.steps={steps}")
    for config in itertools.islice(synthetic_runs.configs(base), 400):
        if config.optimizer["lr"] == 1 and config.init["stddev"] == 0.05:
            synthetic_runs._write(replace(config, output_dir=str(tmp_path)), 4)
    return tmp_path / "synthetic-0"


def analyse(found: Runs) -> None:
    """Makes of runs all that is made of them without drawing."""
    as_text(summarize(found))
    compare(found)
    judge(found)
    curves_data(found)


def paths(tree: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of nested dicts, groups too."""
    found = []
    for key, value in tree.items():
        found.append((*prefix, key))
        if isinstance(value, dict):
            found += paths(value, (*prefix, key))
    return found


def changed(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    key, *rest = place
    return {**tree, key: changed(tree[key], tuple(rest), value) if rest else value}


def fuzzed(
    sweep: Path, name: str, read: Callable[[str], Any], written: Callable[[Any], str]
) -> dict[tuple[str, str], str]:
    """For each key and value what became of the run: the problem, or empty where it counts."""
    path = min(sweep.glob(f"*/{name}"))
    tree, answers = read(path.read_text()), {}
    for place in paths(tree):
        for label, value in VALUES.items():
            path.write_text(written(changed(tree, place, value)))
            problems = read_folders([path.parent]).problems
            assert len(problems) <= 1
            answers[".".join(place), label] = problems[0] if problems else ""
            if problems:
                assert problems[0].startswith(f"{path.parent}"), problems
                assert "\n" not in problems[0]
            else:
                analyse(load_runs(sweep))
    return answers


def silent(answers: dict[tuple[str, str], str]) -> dict[str, set[str]]:
    """The values that were taken, by key."""
    found: dict[str, set[str]] = {}
    for (key, label), problem in answers.items():
        if not problem:
            found.setdefault(key, set()).add(label)
    return found


def test_every_value_of_a_config_is_checked(sweep: Path):
    answers = fuzzed(
        sweep, "config.yaml", yaml.safe_load, lambda tree: yaml.safe_dump(tree, sort_keys=False)
    )
    assert len(answers) > 500
    taken = silent(answers)
    assert taken.pop("probes") == {"dict"}  # a key of a later version, for all that is known
    for bias in ("init.bias", "model.gate_bias"):
        assert taken.pop(bias) == {"negative", "infinite"}  # as the command line has it
    assert taken.pop("model.activation") <= {"text", "empty"}
    for key, values in taken.items():
        allowed = {"text"} if key.endswith(".kind") else {"null", "bool"}  # a name; a switch
        assert values <= allowed, (key, values)
    assert not {"seed", "trainer.steps", "optimizer.lr", "norm.momentum"} & taken.keys()


def test_every_value_of_a_result_is_checked(sweep: Path):
    answers = fuzzed(sweep, "result.json", json.loads, lambda tree: json.dumps(tree, default=str))
    assert len(answers) > 180
    for key, values in silent(answers).items():
        if key.startswith("versions."):
            continue
        allowed = {"text", "empty", "date"} if key in ("run_id", "git_commit") else set()
        assert values <= {"null", "dict", "negative"} | allowed, (key, values)
        assert "negative" not in values or key == "test_loss"  # a penalty may be
        assert key not in ("status", "steps", "test_accuracy", "final_val_accuracy")


def written(path: Path, text: str) -> list[str]:
    """The problems of a run with another text in one of its files."""
    path.write_text(text, encoding="utf-8")
    return read_folders([path.parent]).problems


def test_what_could_end_the_reader_is_listed(sweep: Path):
    """Deep nesting ended the YAML parser, with the process; aliases grow without end."""
    config, result = (min(sweep.glob(f"*/{name}")) for name in ("config.yaml", "result.json"))
    text, ended = config.read_text(), result.read_text()
    bomb = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    for bad in (
        text + "x: " + "[" * 100_000,
        text + "x: " + "[" * 400 + "]" * 400,
        text + "x:\n  " + "- " * 100_000,
        text + "x: &a [*a]\n",
        text + "x: &a {b: *a}\n",
        text + "a0: &a0 [1, 2]\n" + bomb,
        text + "1: 2\n",
        text + "{1: 2, [3]: 4}: 5\n",
    ):
        [problem] = written(config, bad)
        assert problem.startswith(f"{config}: ")
        assert len(problem.splitlines()) == 1
    assert not written(config, text)
    for bad in ("[" * 100_000, ended.replace('"threads"', '"seed": 3, "threads"')):
        [problem] = written(result, bad)
        assert problem.startswith(f"{result}: ")
    half = ended.replace('"error": null', '"error": {"type": "A", "message": "\\ud800"}')
    assert not written(result, half.replace('"finished"', '"failed"'))
    load_runs(sweep).runs["error"].astype(str).str.encode("utf-8")


@pytest.mark.parametrize(
    "row",
    [
        "250,1,1,1,1.5,1",
        "250,1,inf,1,0.5,1",
        "250,1,1,1,0.5,-1",
        "200,1,1,1,0.5,1",
        "-1,1,1,1,0.5,1",
    ],
)
def test_rows_that_cannot_be_are_listed(sweep: Path, row: str):
    history = min(sweep.glob("*/history.csv"))
    lines = history.read_text().splitlines()
    [problem] = written(history, "\n".join([*lines[:2], row, *lines[3:], ""]))
    assert problem.startswith(f"{history}: damaged")
