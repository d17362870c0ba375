"""docs/extending.md: each addition is the file shown there, in a folder outside, and no edit."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, environment

TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"\*\*`(mine/[^`]+)`\*\*\n\n```\w+\n(.*?)```", TEXT, re.DOTALL))
SECTIONS = dict(re.findall(r"^## An? ([\w ]+)$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
FEW = ("data.train_size=512", "data.val_size=64", "trainer.eval_every=20", "trainer.batch_size=32")


def commands(section: str) -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", SECTIONS[section], re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def write(folder: Path, section: str) -> list[str]:
    """Writes the files of a section into the folder, and nothing else."""
    names = [name for name in FILES if f"**`{name}`**" in SECTIONS[section]]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(FILES[name], encoding="utf-8")
    return names


def call(folder: Path, command: list[str], *more: str) -> str:
    assert command[0] == "bnexp"
    finished = subprocess.run(
        [sys.executable, "-m", "bnexp", *command[1:], *more],
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT), MPLBACKEND="agg"),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def results(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in folder.glob("outputs/*/*/result.json")]


OPTIONS = {  # section -> how many runs its command makes
    "normalizer": 3,
    "network": 2,
    "dataset": 2,
    "optimizer": 2,
    "schedule": 1,
    "initializer": 1,
    "probe": 1,
}


@pytest.mark.parametrize("section", OPTIONS)
def test_an_option_is_one_python_file_and_at_most_one_yaml(tmp_path, section):
    written = write(tmp_path, section)
    assert sorted(Path(name).suffix for name in written) in ([".py"], [".py", ".yaml"])
    [command] = commands(section)
    few = FEW if section != "dataset" else FEW[2:]
    call(tmp_path, command, *few)
    found = results(tmp_path)
    assert [result["status"] for result in found] == ["finished"] * OPTIONS[section]
    assert len({result["run_id"] for result in found}) == OPTIONS[section]
    assert "to do" not in call(tmp_path, [*command[:4], *command[4:]], *few).replace("0 to do", "")


def test_a_metric_is_one_file_and_is_recorded_tested_and_drawn(tmp_path):
    assert len(write(tmp_path, "metric")) == 1
    run, plot = commands("metric")
    call(tmp_path, run, *FEW)
    [result] = results(tmp_path)
    [history] = tmp_path.glob("outputs/*/*/history.csv")
    table = pd.read_csv(history)
    assert list(table.columns[-2:]) == ["val_margin", "val_top_5"]
    assert table["val_top_5"].between(0.3, 1).all()
    assert {"test_margin", "test_top_5"} <= set(result)
    call(tmp_path, plot)
    assert list(tmp_path.glob("outputs/report/figures/*val_margin.png"))


def test_a_figure_and_a_claim_are_one_file_each(tmp_path):
    assert len(write(tmp_path, "figure")) == 1
    assert len(write(tmp_path, "claim")) == 1
    run, plot = commands("claim")
    call(tmp_path, run, *FEW)
    call(tmp_path, plot)
    report = tmp_path / "outputs" / "quick" / "report"
    assert (report / "figures" / "quick_time.png").is_file()
    claims = pd.read_csv(report / "tables" / "claims.csv").set_index("claim")
    assert claims.loc["quick", "source"] == "my own question"
    assert claims.loc["quick", "n"] == 3
    assert claims.loc["quick", "verdict"] in ("supported", "contradicted", "inconclusive")


def test_edited_code_is_another_run_and_the_old_one_stays(tmp_path):
    write(tmp_path, "normalizer")
    command = [
        "bnexp",
        "run",
        "--config-dir",
        "mine",
        "model=mlp",
        "norm=scale",
        "trainer.steps=20",
    ]
    call(tmp_path, command, *FEW)
    [before] = results(tmp_path)
    path = tmp_path / "mine" / "scale_norm.py"
    path.write_text(path.read_text().replace('initializer="ones"', 'initializer="zeros"'))
    call(tmp_path, command, *FEW)
    after = [result for result in results(tmp_path) if result["run_id"] != before["run_id"]]
    assert len(after) == 1
    assert after[0]["test_loss"] != before["test_loss"]


def test_a_module_and_an_object_serve_without_a_yaml(tmp_path):
    write(tmp_path, "normalizer")
    call(
        tmp_path / "mine",
        ["bnexp", "run", "model=mlp", "norm=scale_norm:ScaleNorm"],
        *FEW,
        "trainer.steps=20",
    )
    assert results(tmp_path / "mine")[0]["status"] == "finished"


def test_an_options_mistakes_are_told_in_a_line_before_anything_starts(tmp_path):
    write(tmp_path, "normalizer")
    mistakes = {
        "norm.epsilon=-1": "norm.epsilon=-1 is out of range: a finite number above 0",
        "norm.epsilom=1": "did you mean 'norm.epsilon'",
        "norm=scael": "did you mean 'scale'",
    }
    for override, message in mistakes.items():
        given = ["norm=scale", override] if "." in override else [override]
        finished = subprocess.run(
            [sys.executable, "-m", "bnexp", "run", "--config-dir", "mine", "model=mlp", *given],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 2
        assert message in finished.stderr
        assert finished.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()
