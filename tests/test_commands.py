"""The commands as a user types them, each in a process of its own."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import DEEP, MOMENTUM, ROOT, SMALL, environment, write_npz

from bnexp.folders import commands, runs
from bnexp.folders.runs import HISTORY_COLUMNS, LATER_FIELDS, RESULT_FIELDS

SWEEP = (*SMALL, "norm=none,batch", "optimizer.lr=0.1,1", "seed=0,1")


def command(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), **extra),
        capture_output=True,
        text=True,
        timeout=300,
    )


def run(*overrides: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return command("-m", "bnexp.run", *overrides, cwd=cwd, **extra)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny data, a finished sweep in outputs/sweep and a kept CNN."""
    folder = tmp_path_factory.mktemp("work")
    write_npz(folder / "tiny.npz")
    return folder


DATA = ("data=npz", "data.path=tiny.npz", "data.val_size=64", "data.split_seed=null")


@pytest.fixture(scope="module")
def sweep(work: Path) -> subprocess.CompletedProcess[str]:
    return run("--multirun", *DATA, *SWEEP, "name=sweep", cwd=work)


@pytest.fixture(scope="module")
def kept(work: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    done = run(*DATA, *SMALL, "trainer.save_model=true", "name=kept", cwd=work)
    [folder] = folders_of(work, "kept")
    return folder, done


def folders_of(work: Path, name: str) -> list[Path]:
    return sorted(path.parent for path in (work / "outputs" / name).glob("*/result.json"))


def run_folders(work: Path) -> list[Path]:
    return folders_of(work, "sweep")


def recorded(work: Path, name: str) -> list[list[str]]:
    """The commands in commands.log, as a shell would split them, less their times."""
    lines = (work / "outputs" / name / commands.FILE).read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line) for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def test_a_sweep_ends_with_a_folder_for_every_combination(work, sweep):
    assert sweep.returncode == 0, sweep.stderr
    assert sweep.stderr == ""
    lines = sweep.stdout.splitlines()
    assert lines[0] == "outputs/sweep: 8 runs: 0 done, 8 to do"
    assert lines[-1].startswith("8 finished in ")
    folders = run_folders(work)
    assert len(folders) == 8
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {
            ".lock",
            "config.yaml",
            "history.csv",
            "result.json",
            "run.log",
        }
        result = json.loads((folder / "result.json").read_text())
        assert tuple(result) == (*RESULT_FIELDS, *LATER_FIELDS)
        assert result["run_id"] == folder.name
        assert result["status"] == "finished"
        assert result["threads"] == 1
        assert result["steps"] == 40
        assert result["machine"]["cpu"]
        assert result["machine"]["cores"] == os.cpu_count()
        table = pd.read_csv(folder / "history.csv")
        assert tuple(table.columns) == HISTORY_COLUMNS
        assert list(table["step"]) == [20, 40]
        assert len((folder / "run.log").read_text().splitlines()) == 3


def test_the_same_sweep_again_is_done_at_once(work, sweep):
    before = {path: path.stat().st_mtime_ns for path in (work / "outputs").rglob("*")}
    started = time.perf_counter()
    again = run("--multirun", *DATA, *SWEEP, "name=sweep", cwd=work)
    assert again.stdout == "outputs/sweep: 8 runs: 8 done, 0 to do\n"
    assert time.perf_counter() - started < 5
    assert before == {path: path.stat().st_mtime_ns for path in (work / "outputs").rglob("*")}


def test_a_single_run_gives_the_sweeps_numbers(work, sweep):
    single = run(*DATA, *SMALL, "optimizer.lr=1", "name=alone", cwd=work)
    assert single.returncode == 0, single.stderr
    [folder] = folders_of(work, "alone")
    assert numbers(folder) == numbers(work / "outputs/sweep" / folder.name)


def numbers(folder: Path) -> list[str]:
    """history.csv without the seconds."""
    lines = (folder / "history.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


@pytest.mark.parametrize("network", ["plain", "inception"])
def test_a_convolutional_run_has_the_same_numbers_alone_and_in_a_sweep(work, network):
    words = (*DATA, *DEEP[network], "trainer.predictions=true")
    several = run("--multirun", *words, "seed=0,1,2,3", f"name={network}", cwd=work)
    assert several.returncode == 0, several.stderr
    single = run(*words, "seed=3", f"name={network}_alone", cwd=work)
    assert single.returncode == 0, single.stderr
    [folder] = folders_of(work, f"{network}_alone")
    same = work / "outputs" / network / folder.name
    assert numbers(folder) == numbers(same)
    assert (folder / "predictions.csv").read_text() == (same / "predictions.csv").read_text()


def test_a_single_run_prints_in_the_original_repositorys_style(kept):
    folder, done = kept
    assert done.returncode == 0
    assert done.stderr == ""
    *lines, last = done.stdout.splitlines()
    assert lines == (folder / "run.log").read_text().splitlines()
    assert re.fullmatch(
        rf"outputs/kept/{folder.name}: validation accuracy \d\.\d{{4}}, test accuracy \d\.\d{{4}}, "
        r"\d+\.\d s",
        last,
    )
    pattern = r"step    20: validation loss = \d\.\d{4}, validation accuracy = \d\.\d{4}"
    assert re.fullmatch(pattern, lines[0])
    tested = r"test loss = \d\.\d{4}, test accuracy = \d\.\d{4}, multiclass log loss = \d\.\d{4}"
    assert re.fullmatch(tested, lines[-1])


def test_a_kept_model_is_tested_again_with_the_same_numbers(work, kept):
    folder, done = kept
    again = command("-m", "bnexp.evaluate", str(folder), cwd=work)
    assert again.returncode == 0, again.stderr
    *_, tested, _ = done.stdout.splitlines()  # last is what the run says of itself
    assert again.stdout.strip() == tested


def test_a_kept_model_is_an_ordinary_keras_model(work, kept):
    folder, _ = kept
    script = f"""
import keras, bnexp, numpy as np
model = keras.models.load_model({str(folder / "model.keras")!r})
data = np.load("tiny.npz")
logits = model.predict(data["x_test"][..., None] / 255.0, verbose=0)
print((logits.argmax(1) == data["y_test"]).mean())
"""
    for order in ("keras, bnexp", "bnexp, keras"):
        loaded = command("-c", script.replace("keras, bnexp", order, 1), cwd=work)
        assert loaded.returncode == 0, loaded.stderr
        result = json.loads((folder / "result.json").read_text())
        assert float(loaded.stdout.split()[-1]) == pytest.approx(result["test_accuracy"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere"], "nowhere"),
        (["outputs/sweep"], "config.yaml"),
    ],
)
def test_evaluate_says_what_it_lacks(work, sweep, arguments, named):
    refused = command("-m", "bnexp.evaluate", *arguments, cwd=work)
    assert refused.returncode == 2
    assert named in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_evaluate_of_a_run_without_a_kept_model(work, sweep):
    refused = command("-m", "bnexp.evaluate", str(run_folders(work)[0]), cwd=work)
    assert refused.returncode == 2
    assert "trainer.save_model=true" in refused.stderr


def test_commands_that_started_runs_are_recorded_as_typed(work, sweep, kept):
    run("--multirun", *DATA, *SWEEP, "name=sweep", cwd=work)  # nothing to do
    run("--multirun", *DATA, *SWEEP, "name=sweep", "seed=7", "dry_run=true", cwd=work)
    typed = ["python", "-m", "bnexp.run"]
    assert recorded(work, "sweep") == [[*typed, "--multirun", *DATA, *SWEEP, "name=sweep"]]
    single = ("trainer.save_model=true", "name=kept")
    assert recorded(work, "kept") == [[*typed, *DATA, *SMALL, *single]]
    again = run(*DATA, *SMALL, *single, cwd=work)
    assert re.match(r"outputs/kept/\w{10}: done before, by .*; rerun=true makes it", again.stdout)
    run(*DATA, *SMALL, *single, "rerun=true", cwd=work)
    assert len(recorded(work, "kept")) == 2


def test_what_a_finished_run_does_not_have_is_told(work, sweep):
    asked = ("trainer.save_model=true", "trainer.profile=true", "trainer.threads=2", "name=sweep")
    single = run(*DATA, *SMALL, "optimizer.lr=1", *asked, cwd=work)
    for part in (
        "no model.keras, as trainer.save_model=true was not given then",
        "no profile.json, as trainer.profile=true",
        "made with trainer.threads=1",
        "rerun=true makes it again",
    ):
        assert part in single.stdout
    several = run("--multirun", *DATA, *SWEEP, "trainer.save_model=true", "name=sweep", cwd=work)
    told = "8 of the runs that are done: no model.keras, as trainer.save_model=true was not given"
    assert told in several.stdout


def test_a_single_run_is_listed_and_not_made_with_dry_run(work):
    listed = run(*DATA, *SMALL, "name=listed", "dry_run=true", cwd=work)
    first, settings, line = listed.stdout.splitlines()
    assert first == "outputs/listed: 1 run: 0 done, 1 to do"
    assert settings.startswith("settings: data=npz model=mlp init=glorot optimizer=sgd ")
    assert re.fullmatch(r"to do     outputs/listed/\w{10}", line)
    assert not (work / "outputs/listed").exists()


def test_a_record_that_cannot_be_written_stops_no_run(work):
    (work / "outputs/odd" / commands.FILE).mkdir(parents=True)
    done = run(*DATA, *SMALL, "name=odd", cwd=work)
    assert done.returncode == 0
    assert done.stderr == f"bnexp: outputs/odd/{commands.FILE}: not written (Is a directory)\n"
    assert len(folders_of(work, "odd")) == 1


def test_a_result_from_before_the_machine_was_told_is_read(reference, tmp_path):
    [whole, *_] = (reference / "quickstart").glob("*/result.json")
    shutil.copytree(whole.parent, tmp_path / "old")
    path = tmp_path / "old" / "result.json"
    result = json.loads(path.read_text())
    del result["machine"]
    path.write_text(json.dumps(result))
    assert runs.ended_result(path.parent) is not None


def test_divergence_is_a_result_and_no_failure(work):
    done = run(
        "--multirun",
        *DATA,
        *(word for word in SMALL if word != MOMENTUM),
        "norm=none",
        "model.activation=relu",
        "optimizer.lr=0.1,1e38",
        "init.bias=1",
        "trainer.profile=true",
        "name=diverging",
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    assert "diverged at step" in done.stdout
    results = [
        json.loads(path.read_text()) for path in (work / "outputs/diverging").glob("*/result.json")
    ]
    diverged = next(result for result in results if result["status"] == "diverged")
    assert diverged["test_loss"] is None
    assert diverged["steps"] < 40
    assert len(results) == len([*(work / "outputs/diverging").glob("*/profile.json")]) == 2


BAD = {
    "optimizer.lrr=1": "unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?",
    "norm=bach": "unknown option norm=bach; did you mean 'batch'?",
    "nrom=batch": "unknown key 'nrom'; did you mean 'norm'?",
    "experiment=quick": "did you mean 'quickstart'?",
    "optimizer.lr=fast": "optimizer.lr=fast: give a number",
    "optimizer.lr=-1": "optimizer.lr=-1 is out of range",
    "model.hidden=[]": "model.hidden=[]: give at least one value",
    "norm=none,batch": "add --multirun",
    "data=npz": "data.path",
    "data=npz data.path=nowhere.npz": "nowhere.npz",
    "--multirun optimizer.lr=0.1,-1": "optimizer.lr=-1 is out of range",
    "--multirun norm=none,bach": "norm=bach",
    "--multirun data.train_size=100,70000": "data.train_size=70000 is larger",
    "trainer.batch_size=60000": "trainer.batch_size=60000 is larger",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_input_is_told_in_one_line_and_leaves_nothing_behind(tmp_path, arguments):
    refused = run(*arguments.split(), cwd=tmp_path)
    assert refused.returncode == 2
    assert BAD[arguments] in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [[], ["--multirun", "seed=0,1"]])
def test_an_output_folder_that_cannot_be_written_is_told_in_one_line(tmp_path, mode):
    (tmp_path / "file").write_text("in the way")
    refused = run(*mode, "output_dir=file", cwd=tmp_path)
    assert refused.returncode == 2
    assert "output_dir: file" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_failed_run_is_recorded_with_its_traceback(work):
    """A network that does not fit into memory."""
    failing = (*DATA, "model=cnn", "trainer.steps=2", "model.kernel_size=1000000")
    single = run(*failing, "name=failing", cwd=work)
    assert single.returncode == 1
    assert single.stderr.splitlines()[-1].startswith("bnexp: failed: ResourceExhaustedError")
    assert "Traceback" not in single.stderr
    [folder] = folders_of(work, "failing")
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "failed"
    assert set(result["error"]) == {"type", "message"}
    assert "Traceback" in (folder / "run.log").read_text()

    both = run("--multirun", *failing, "model.kernel_size=1,1000000", "name=both", cwd=work)
    assert both.returncode == 1
    assert "failed: ResourceExhaustedError" in both.stdout
    assert "1 finished, 1 failed" in both.stdout
    command = both.stdout.splitlines()[-1].split()
    assert command[:3] == ["python", "-m", "bnexp.run"]
    repeated = run(*command[3:], cwd=work)
    assert "1 run: 0 done, 1 to retry, 0 to do" in repeated.stdout
    assert repeated.returncode == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["optimzer.lr=1"]])
def test_help_and_typos_answer_without_tensorflow(tmp_path, arguments):
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    (tmp_path / "keras.py").write_text("raise SystemExit('Keras was imported')")
    answer = subprocess.run(
        [sys.executable, "-m", "bnexp.run", *arguments],
        cwd=tmp_path,
        env=environment(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)])),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "was imported" not in answer.stderr + answer.stdout
    assert answer.returncode == (2 if "optimzer" in arguments[0] else 0)


def test_help_names_commands_groups_and_settings(tmp_path):
    text = run("--help", cwd=tmp_path).stdout
    for part in (
        "--multirun",
        "experiment: ",
        "norm: batch, group, instance, layer, noisy, none, rms, standardization, weight",
        "momentum:",
        "bnexp plot",
    ):
        assert part in text
    assert "hydra.cc" not in text
