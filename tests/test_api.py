"""bnexp from Python: the command line's words, results as objects, no signal taken over."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import SMALL, environment

import bnexp
from bnexp.config import ConfigError
from bnexp.folders.errors import RunError

TINY = (*SMALL, "trainer.steps=20", "data.train_size=320", "data.val_size=64")


def test_a_run_gives_its_folder_result_and_history(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run = bnexp.run(*TINY, f"output_dir={tmp_path}", progress=False)
    assert run.folder.parent == tmp_path / "default"
    assert run.result["status"] == "finished"
    assert run.test_accuracy == run.result["test_accuracy"]
    assert list(run.history["step"]) == [20]
    assert "test accuracy" in repr(run)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    again = bnexp.run(*TINY, f"output_dir={tmp_path}", progress=False)
    assert again.result["run_id"] == run.result["run_id"]
    assert again.result["total_seconds"] == run.result["total_seconds"]  # found, not made


def test_errors_are_exceptions_with_the_same_line(tmp_path):
    with pytest.raises(ConfigError, match=r"did you mean 'norm\.momentum'"):
        bnexp.run("norm.momentun=1", f"output_dir={tmp_path}")
    with pytest.raises(ConfigError, match="give it to"):
        bnexp.run("norm=none,batch")
    with pytest.raises(ConfigError, match="is not one of"):
        bnexp.sweep("norm=none,batch", "trainer.precision=float15", f"output_dir={tmp_path}")


def test_a_failed_run_is_an_exception_that_names_the_log(tmp_path, monkeypatch):
    (tmp_path / "own_failing.py").write_text(
        "def failing(unit, input_shape, classes):\n    raise RuntimeError('no such luck')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = [word for word in TINY if not word.startswith("model")]
    with pytest.raises(RunError, match=r"RuntimeError: no such luck \(traceback: .*run\.log\)"):
        bnexp.run(*words, "model=own_failing:failing", f"output_dir={tmp_path}", progress=False)


def test_a_sweep_gives_its_runs_alone_to_compare(tmp_path):
    words = (*TINY, f"output_dir={tmp_path}")
    bnexp.run(*words, "seed=7", progress=False)
    runs = bnexp.sweep(*words, "norm=none,batch", "seed=0,1")
    assert sorted(runs.runs["seed"]) == [0, 0, 1, 1]
    table = bnexp.compare(runs)
    assert table["arm"].tolist() == ["batch"]
    assert table["n"].tolist() == [2]
    assert len(bnexp.load_runs(tmp_path).runs) == 5


def python(code: str, folder, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
    )


def test_tensorflow_may_have_been_started_already(tmp_path):
    code = (
        "import tensorflow as tf; tf.constant(1.0) + 1\n"
        "import bnexp\n"
        f"run = bnexp.run(*{TINY!r}, progress=False)\n"
        "print(run.result['status'], run.result['threads'])"
    )
    finished = python(code, tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == ["finished", str(len(os.sched_getaffinity(0)))]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_keras_backend_is_one_line(tmp_path, backend):
    code = "from bnexp.run import main; main(['model=mlp'])"
    finished = python(code, tmp_path, KERAS_BACKEND=backend)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert f"KERAS_BACKEND={backend}: bnexp trains with TensorFlow" in finished.stderr


def test_importing_bnexp_imports_neither_tensorflow_nor_pandas(tmp_path):
    code = "import sys, bnexp; print(sorted({'tensorflow', 'keras', 'pandas'} & set(sys.modules)))"
    assert python(code, tmp_path).stdout.strip() == "[]"


def test_a_run_of_its_own_numbers_is_the_command_lines(tmp_path):
    words = [*TINY, f"output_dir={tmp_path}"]
    run = bnexp.run(*words, progress=False)
    python(f"from bnexp.run import main; main({[*words, 'name=other']!r})", tmp_path)
    other = tmp_path / "other" / run.folder.name / "history.csv"
    lines = [path.read_text().splitlines() for path in (other, run.folder / "history.csv")]
    assert [line.rpartition(",")[0] for line in lines[0]] == [
        line.rpartition(",")[0] for line in lines[1]
    ]
    assert np.isfinite(run.history["val_loss"]).all()
