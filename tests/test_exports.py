"""What leaves for other tools: TensorBoard's event files, and MLflow; where they are installed."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, SMALL, Lines, StopAt, environment, installed

from bnexp.folders import runs
from bnexp.sweeps.execute import execute
from bnexp.training.interrupt import Interrupted
from bnexp.training.loop import train_and_evaluate

sys.path.insert(0, str(ROOT / "scripts"))
needs_tensorboard = installed("tensorboard.summary", "tensorboard")
needs_mlflow = installed("mlflow.tracking", "mlflow")
SHOWN = (*SMALL, "trainer.tensorboard=true", "trainer.eval_every=5")
COLUMNS = {
    "train/loss": "train_loss",
    "validation/loss": "val_loss",
    "validation/accuracy": "val_accuracy",
}


def without(module: str, folder: Path) -> dict[str, str]:
    """The environment of a process in which a package is missing."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None")
    return environment(PYTHONPATH=f"{folder}:{ROOT}")


# --- TensorBoard


def accumulator(folder: Path):
    """TensorBoard's own reader of event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder / "tensorboard"))


def assert_curves_are_those_of_the_history(folder: Path, reader) -> None:
    table = runs.read_history(folder)
    for tag, column in COLUMNS.items():
        events = reader.Scalars(tag)
        assert [event.step for event in events] == list(table["step"])
        assert [event.value for event in events] == pytest.approx(list(table[column]))
        relative = [event.wall_time - events[0].wall_time for event in events]
        assert relative == pytest.approx(list(table["seconds"] - table["seconds"][0]), abs=1e-3)


@needs_tensorboard
def test_event_files_hold_the_history_and_the_test(compose, tmp_path):
    outcome = train_and_evaluate(compose(*SHOWN), tmp_path, Lines())
    reader = accumulator(tmp_path).Reload()
    assert set(reader.Tags()["scalars"]) == {*COLUMNS, "test/loss", "test/accuracy"}
    assert_curves_are_those_of_the_history(tmp_path, reader)
    for tag, value in (("test/loss", outcome.test.loss), ("test/accuracy", outcome.test.accuracy)):
        [event] = reader.Scalars(tag)
        assert (event.step, event.value) == (40, pytest.approx(value))


@needs_tensorboard
def test_curves_are_there_while_the_run_trains(compose, tmp_path):
    seen = []

    class Look(Lines):
        def step(self, steps: int) -> None:
            tags = accumulator(tmp_path).Reload().Tags()["scalars"]
            seen.append(len(accumulator(tmp_path).Reload().Scalars("train/loss")) if tags else 0)

    train_and_evaluate(compose(*SHOWN), tmp_path, Look())
    assert seen == list(range(8))


@needs_tensorboard
def test_a_resumed_run_shows_every_step_once(compose, tmp_path):
    config = compose(*SHOWN, "trainer.checkpoint_every=10")

    class DieAt(StopAt):
        """As if killed: no checkpoint, so that what came after the last one is done again."""

        def step(self, steps: int) -> None:
            try:
                super().step(steps)
            except Interrupted:
                raise RuntimeError from None

    with pytest.raises(RuntimeError):
        train_and_evaluate(config, tmp_path, DieAt(4))
    looking_on = accumulator(tmp_path).Reload()
    assert [event.step for event in looking_on.Scalars("train/loss")] == [5, 10, 15]
    report = Lines()
    train_and_evaluate(config, tmp_path, report)
    assert report.lines[0] == "goes on from step 10"
    assert_curves_are_those_of_the_history(tmp_path, accumulator(tmp_path).Reload())
    assert_curves_are_those_of_the_history(tmp_path, looking_on.Reload())
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


@needs_tensorboard
def test_a_rerun_starts_the_curves_afresh(compose):
    config = compose(*SHOWN)
    folder = runs.run_folder(config)
    execute(config, 1)
    [before] = (folder / "tensorboard").iterdir()
    execute(config, 1)  # is finished
    assert list((folder / "tensorboard").iterdir()) == [before]
    execute(replace(config, rerun=True), 1)
    [after] = (folder / "tensorboard").iterdir()
    assert after != before
    assert_curves_are_those_of_the_history(folder, accumulator(folder).Reload())


@needs_tensorboard
def test_event_files_change_no_number_and_no_identity(compose, tmp_path):
    shown, plain = compose(*SHOWN), compose(*SHOWN, "trainer.tensorboard=false")
    assert runs.run_id(shown) == runs.run_id(plain)
    tables = []
    for name, config in (("shown", shown), ("plain", plain)):
        (tmp_path / name).mkdir()
        train_and_evaluate(config, tmp_path / name, Lines())
        tables.append(runs.read_history(tmp_path / name).drop(columns="seconds"))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert not (tmp_path / "plain" / "tensorboard").exists()


@needs_tensorboard
def test_a_loss_that_is_not_finite_is_left_out(tmp_path):
    from bnexp.training.tensorboard import EventFile

    row = {"step": 5, "seconds": 0.1, "train_loss": 1.0, "val_loss": float("nan")}
    EventFile(tmp_path, [row | {"val_accuracy": 0.5}])
    tags = accumulator(tmp_path).Reload().Tags()["scalars"]
    assert set(tags) == {"train/loss", "validation/accuracy"}


@pytest.mark.parametrize("mode", [[], ["--multirun", "seed=0,1"]])
def test_without_tensorboard_its_setting_is_refused_and_leaves_nothing_behind(tmp_path, mode):
    work = tmp_path / "work"
    work.mkdir()
    refused = subprocess.run(
        [sys.executable, "-m", "bnexp.run", *mode, "trainer.tensorboard=true"],
        cwd=work,
        env=without("tensorboard", tmp_path / "blocked"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 2
    assert refused.stderr == (
        "bnexp: trainer.tensorboard=true needs a package: pip install -e '.[tensorboard]'\n"
    )
    assert refused.stdout == ""
    assert list(work.iterdir()) == []


# --- MLflow


@pytest.fixture
def uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store in files, the one that needs neither SQLAlchemy nor a server."""
    settings = {
        "ALLOW_FILE_STORE": "true",
        "DISABLE_TELEMETRY": "true",
        "SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MLFLOW_{name}", value)
    return (tmp_path / "store").as_uri()


@pytest.fixture
def quickstart(reference: Path) -> Path:
    return reference / "quickstart"


@pytest.fixture
def sweep(quickstart: Path, tmp_path: Path) -> Path:
    """Three of the quickstart's runs, to be changed."""
    for folder in list(runs.find_run_folders([quickstart]))[:3]:
        shutil.copytree(folder, tmp_path / "outputs" / "quickstart" / folder.name)
    return tmp_path / "outputs" / "quickstart"


def export(folder: Path, uri: str) -> str:
    from bnexp.analysis import export as export_mlflow

    return export_mlflow.export([folder], uri)


def exported(uri: str):
    """MLflow's client, and its runs of the quickstart by name."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("quickstart")
    found = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in found}
    assert len(by_name) == len(found)
    return client, by_name


def change_result(folder: Path, **changes) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@needs_mlflow
def test_mlflow_holds_what_the_run_folders_hold(quickstart, uri, tmp_path):
    assert export(quickstart, uri) == "exported 12, unchanged 0, skipped 0"
    client, found = exported(uri)
    assert set(found) == {folder.name for folder in runs.find_run_folders([quickstart])}
    for name, run in found.items():
        folder = quickstart / name
        result, config = runs.read_result(folder), runs.read_config(folder)
        assert run.data.params["optimizer.lr"] == str(config["optimizer"]["lr"])
        assert run.data.params["data.train_size"] == "null"
        assert run.data.params["model.hidden"] == "[100, 100, 100]"
        assert run.data.metrics["test_accuracy"] == result["test_accuracy"]
        assert run.data.tags["status"] == "finished"
        assert run.data.tags["git_commit"] == result["git_commit"]
        assert run.data.tags["versions.tensorflow"] == result["versions"]["tensorflow"]
        assert run.info.status == "FINISHED"
        seconds = (run.info.end_time - run.info.start_time) / 1000
        assert seconds == pytest.approx(result["total_seconds"], abs=0.002)
        table = runs.read_history(folder)
        for column in table.columns.drop("step"):
            history = client.get_metric_history(run.info.run_id, column)
            assert [point.step for point in history] == list(table["step"])
            assert [point.value for point in history] == list(table[column])
        kept = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
        for file in ("config.yaml", "history.csv", "result.json"):
            assert (kept / file).read_bytes() == (folder / file).read_bytes()


@needs_mlflow
def test_what_is_unchanged_is_left_alone_and_what_changed_is_replaced(uri, sweep):
    assert export(sweep, uri) == "exported 3, unchanged 0, skipped 0"
    _, before = exported(uri)
    assert export(sweep, uri) == "exported 0, unchanged 3, skipped 0"
    changed = sorted(sweep.iterdir())[1]
    change_result(changed, test_accuracy=0.25)
    assert export(sweep, uri) == "exported 1, unchanged 2, skipped 0"
    _, after = exported(uri)
    assert set(after) == set(before)
    same = {name for name in after if after[name].info.run_id == before[name].info.run_id}
    assert set(after) - same == {changed.name}
    assert after[changed.name].data.metrics["test_accuracy"] == 0.25


@needs_mlflow
def test_sweeps_whose_folders_have_one_name_are_experiments_of_their_own(uri, sweep):
    from mlflow import MlflowClient

    other = sweep.parent / "b" / "quickstart"
    shutil.copytree(sweep, other)
    change_result(sorted(other.iterdir())[0], test_accuracy=0.25)
    assert export(sweep.parent, uri) == "exported 6, unchanged 0, skipped 0"
    assert export(other, uri) == "exported 0, unchanged 3, skipped 0"
    assert export(sweep, uri) == "exported 0, unchanged 3, skipped 0"
    (sweep.parent / "link").symlink_to(sweep)
    assert export(sweep.parent / "link", uri) == "exported 0, unchanged 3, skipped 0"
    found = {one.name for one in MlflowClient(uri).search_experiments()}
    assert found - {"Default"} == {"quickstart", "outputs/quickstart"}  # b/ comes first


@needs_mlflow
def test_an_export_that_was_cut_off_is_done_again(uri, sweep):
    export(sweep, uri)
    client, before = exported(uri)
    cut = sorted(before)[0]
    client.delete_tag(before[cut].info.run_id, "bnexp.fingerprint")
    assert export(sweep, uri) == "exported 1, unchanged 2, skipped 0"
    assert len(exported(uri)[1]) == 3


@needs_mlflow
def test_folders_without_a_whole_run_are_named_and_skipped(uri, sweep, capsys):
    unfinished, damaged, whole = sorted(sweep.iterdir())
    (unfinished / "result.json").unlink()
    (damaged / "history.csv").write_text("step,epoch\n1,")
    shutil.copytree(sweep, sweep.parent / "other" / "quickstart")
    shutil.copytree(whole, sweep / "renamed")
    assert export(sweep.parent, uri) == "exported 2, unchanged 0, skipped 5"
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"skipped: {sweep.parent}/other/quickstart/{unfinished.name}: unfinished"
    assert f"{damaged.name}/history.csv: lacks the columns train_loss" in told[1]
    assert told[4] == f"skipped: {sweep}/renamed: a copy of run {whole.name} under another name"
    assert set(exported(uri)[1]) == {whole.name}


@needs_mlflow
def test_a_failed_run_is_exported_as_failed(uri, sweep):
    failed = sorted(sweep.iterdir())[0]
    (failed / "history.csv").unlink()
    error = {"type": "OSError", "message": "disk"}
    change_result(failed, status="failed", error=error, test_loss=None, steps=None)
    assert export(sweep, uri) == "exported 3, unchanged 0, skipped 0"
    run = exported(uri)[1][failed.name]
    assert run.info.status == "FAILED"
    assert run.data.tags["error.message"] == "disk"
    assert "val_loss" not in run.data.metrics


@needs_mlflow
def test_long_histories_go_in_pieces(uri, sweep):
    folder = sorted(sweep.iterdir())[0]
    rows = [f"{step},{step / 10},2.5,{step / 100},,{step / 1000}" for step in range(1, 301)]
    (folder / "history.csv").write_text("\n".join([",".join(runs.HISTORY_COLUMNS), *rows, ""]))
    change_result(folder, steps=300)
    assert export(folder, uri) == "exported 1, unchanged 0, skipped 0"
    client, found = exported(uri)
    history = client.get_metric_history(found[folder.name].info.run_id, "val_loss")
    assert [point.value for point in history] == [step / 100 for step in range(1, 301)]
    assert "val_accuracy" not in found[folder.name].data.metrics  # its cells are empty


def command(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bnexp", "export", *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_mlflow_the_export_says_what_to_install(quickstart, tmp_path):
    env = without("mlflow", tmp_path / "blocked")
    refused = command(str(quickstart), env=env)
    assert refused.returncode == 2
    assert refused.stderr == "bnexp: the export needs MLflow: pip install -e '.[mlflow]'\n"
    assert "--tracking-uri" in command("--help", env=env).stdout


@needs_mlflow
@pytest.mark.parametrize(
    ("folder", "store", "named"),
    [
        ("nowhere", "file", "nowhere: no such folder"),
        (".", "file", "no runs in ."),
        ("quickstart", "odd://x", "--tracking-uri=odd://x: "),
    ],
)
def test_the_export_refuses_in_one_line(sweep, tmp_path, monkeypatch, uri, folder, store, named):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(sweep.parent if folder == "quickstart" else tmp_path / "empty")
    refused = command(
        folder, "--tracking-uri", uri if store == "file" else store, env=environment()
    )
    assert refused.returncode == 2
    assert named in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stdout == ""
