"""bnexp from Python: the command line's words, results as objects, no signal taken over."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import SMALL, environment

import bnexp
from bnexp.analysis import sweep_figures
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


NESTED = """
import keras


def block(x, maps):
    inner = keras.Sequential(
        [keras.layers.Conv2D(maps, 3, padding="same", use_bias=False),
         keras.layers.BatchNormalization(), keras.layers.ReLU()]
    )
    return keras.layers.Add()([keras.layers.Conv2D(maps, 1)(x), inner(x)])


def resnet(input_shape, classes, blocks=2):
    x = images = keras.Input(input_shape)
    for maps in range(4, 4 + blocks):
        inputs = keras.Input(x.shape[1:])
        x = keras.Model(inputs, block(inputs, maps))(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(classes, activation="softmax")(x))
"""


def test_a_users_network_with_nested_blocks_is_swept_probed_and_drawn(tmp_path, npz, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nested_net.py").write_text(NESTED)
    runs = bnexp.sweep(
        "model=keras",
        "model.builder=own_nested_net:resnet",
        "model.arguments={blocks: 3}",
        "norm=none,batch,group",
        "norm.groups=1",
        "data=npz",
        f"data.path={npz}",
        "probes.record=[gradients,population]",
        "trainer.steps=10",
        "trainer.batch_size=20",
        "trainer.eval_every=5",
        f"output_dir={tmp_path}",
    )
    assert sorted(runs.runs["arm"]) == ["batch", "group", "none"]
    assert (runs.runs["status"] == "finished").all()
    norms = runs.probes[(runs.probes["statistic"] == "weight_norm") & (runs.probes["step"] == 0)]
    assert norms.groupby("layer")["value"].nunique().max() == 1  # the arms start alike
    assert norms["layer"].nunique() == 6
    names = {drawing.name for drawing in sweep_figures(runs)}
    assert {"val_accuracy", "gradient_norm", "population_gap"} <= names


def test_a_script_needs_no_guard_to_sweep(tmp_path, npz):
    script = tmp_path / "plain_script.py"
    words = [*SMALL, "norm=none,batch", "data=npz", f"data.path={npz}", "trainer.steps=10"]
    script.write_text(
        f"import bnexp\nprint('started')\nruns = bnexp.sweep(*{words!r})\nprint(len(runs.runs))\n"
    )
    finished = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("started") == 1
    assert finished.stdout.split()[-1] == "2"
