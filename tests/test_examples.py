"""The examples run as they stand, and show what they say they show."""

import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import ROOT, environment
from nbclient import NotebookClient

from bnexp.analysis import load_runs

EXAMPLES = ROOT / "examples"
TINY = ("trainer.steps=20", "trainer.eval_every=10", "data.train_size=640", "data.val_size=64")
ONE_BY_ONE = "hydra.launcher.n_jobs=1"  # each arm is compiled once


def run(script: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_in_60_lines_has_bn_ahead_at_every_step_shown(tmp_path: Path):
    assert len((EXAMPLES / "run_in_60_lines.py").read_text().splitlines()) <= 60
    title, *lines = run("run_in_60_lines.py", cwd=tmp_path).splitlines()
    assert title.split() == ["step", "without", "BN", "with", "BN"]
    steps, without, with_bn = np.array([line.split() for line in lines], float).T
    assert list(steps) == list(range(100, 1001, 100))
    assert (with_bn > without).all()
    assert with_bn[-1] > 0.9
    assert list(tmp_path.iterdir()) == []


def test_both_networks_of_the_60_lines_start_from_the_same_kernels(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.syspath_prepend(EXAMPLES)
    import run_in_60_lines

    kernels = [
        [w.numpy() for w in run_in_60_lines.network(normalized).weights if w.name == "kernel"]
        for normalized in (False, True)
    ]
    assert len(kernels[0]) == len(kernels[1]) == 4
    for without, with_bn in zip(*kernels, strict=True):
        np.testing.assert_array_equal(without, with_bn)


def test_the_own_network_is_compared_in_three_arms(tmp_path: Path):
    printed = run("own_network.py", *TINY, ONE_BY_ONE, cwd=tmp_path)
    assert "9 finished" in printed
    table = printed.splitlines()[-3:]
    assert table[0].split() == ["arm", "n", "difference", "low", "high", "verdict"]
    assert {line.split()[1] for line in table[1:]} == {"batch", "group"}
    assert all(line.split()[2] == "3" for line in table[1:])
    runs = load_runs(tmp_path / "outputs" / "own_network").runs
    assert sorted(runs["arm"].unique()) == ["batch", "group", "none"]
    assert (runs["status"] == "finished").all()

    again = run("own_network.py", *TINY, ONE_BY_ONE, cwd=tmp_path)
    assert again.splitlines()[0].endswith("9 runs: 9 done, 0 to do")
    assert again.splitlines()[-3:] == table


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter's own packages
def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # committed without outputs
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises where a cell does
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("difference" in output.get("data", {}).get("text/plain", "") for output in shown)
    assert len(load_runs(tmp_path / "outputs" / "notebook").runs) == 12
