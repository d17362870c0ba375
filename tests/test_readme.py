"""The README keeps its word: its numbers are the committed results', its recipes run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from conftest import ROOT, SMALL, environment, write_npz

from bnexp.analysis import load_runs, tables
from bnexp.folders.runs import HISTORY_COLUMNS, PROBE_COLUMNS

sys.path.insert(0, str(ROOT / "scripts"))
import benchmark

README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "outputs" / "reference"


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


def test_the_table_of_the_original_run_is_that_of_the_committed_runs():
    found = load_runs(REFERENCE)
    assert found.problems == []
    runs = found.of_sweep("original")
    text = tables.as_text(tables.summarize(runs)).to_markdown(index=False)
    assert text in README
    assert text + "\n" == (REFERENCE / "report/tables/original_summary.md").read_text(
        encoding="utf-8"
    )

    batch = runs.runs[runs.runs["arm"] == "batch"]
    early = runs.history[runs.history["step"] == 200].set_index("run")["val_accuracy"]
    listed = ", ".join(f"{value:.4f}" for value in early[batch.index])
    assert f"{listed} at step 200" in README
    assert batch["test_accuracy"].mean() >= 0.9890
    assert (early[batch.index] >= 0.955).all()


def test_the_benchmark_tables_are_the_committed_ones():
    report = json.loads((REFERENCE / "benchmark/benchmark.json").read_text())
    assert report["form"] == "full"
    for table in benchmark.tables(report).split("\n\n"):
        assert table in README


def test_every_figure_shown_is_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()


def test_the_preset_of_the_recipe_runs(tmp_path: Path):
    experiments = tmp_path / "conf" / "experiment"
    experiments.mkdir(parents=True)
    (experiments / "epsilon.yaml").write_text(block("yaml", "name: epsilon"))
    write_npz(tmp_path / "tiny.npz")
    overrides = [o for o in SMALL if o != "model=mlp" and not o.startswith("optimizer")]
    arguments = ["--config-dir", "conf", "experiment=epsilon", *overrides]
    data = ["data=npz", "data.path=tiny.npz", "data.val_size=64"]
    done = subprocess.run(
        [sys.executable, "-m", "bnexp.run", *arguments, *data],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = load_runs(tmp_path / "outputs" / "epsilon").runs
    assert sorted(results["norm.epsilon"].unique()) == [1e-5, 1e-3, 1e-1]
    assert (results["status"] == "finished").all()
    assert len(results) == 9


def test_the_layers_example_runs():
    import keras

    names: dict = {}
    exec(block("python", "BatchNorm()"), names)
    model: keras.Model = names["model"]
    outputs = model(np.ones((4, 7), "float32"), training=True)
    assert outputs.shape == (4, 100)


def test_the_notebooks_example_runs(reference, monkeypatch):
    monkeypatch.chdir(reference)
    example = block("python", "load_runs(").replace("outputs/", "")
    *statements, last = example.strip().splitlines()
    names: dict = {}
    exec("\n".join(statements), names)
    compared = names["compare"](names["runs"], "test_accuracy")
    assert list(compared["verdict"]) == ["supported", "supported"]
    assert eval(last, names)._repr_png_().startswith(b"\x89PNG")


def test_columns_of_tables_are_those_listed():
    for columns in (HISTORY_COLUMNS, PROBE_COLUMNS):
        assert f"`{','.join(columns)}`" in README
