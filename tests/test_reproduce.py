"""bnexp reproduce: every preset, resumable, to one file; and whether a rerun is the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, environment, write_npz

from bnexp.analysis import load_runs
from bnexp.config import ConfigError
from bnexp.folders import runs
from bnexp.folders.pack import read
from bnexp.folders.runs import PACK, RunError
from bnexp.sweeps import reproduce

TINY = (
    "data=npz",
    "data.path=tiny.npz",
    "data.val_size=64",
    "data.split_seed=null",
    "model.hidden=[8]",
    "model.activation=elu",
    "trainer.steps=20",
    "trainer.batch_size=20",
    "trainer.eval_every=10",
    "seed=0,1",
    "optimizer.lr=0.1",
)


def start(cwd: Path, *arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bnexp", "reproduce", *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """What the command left, with a preset that cannot be so, and other runs beside."""
    work = tmp_path_factory.mktemp("made")
    write_npz(work / "tiny.npz")
    for name in ("other/046be4aa10", "quickstart/046be4aa10"):  # of no preset, of other settings
        folder = work / "outputs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("not read")
        (folder / "result.json").write_text("{}")
    presets = ("quickstart", "jacobian")
    child = start(work, "--only", *presets, "--", *TINY)
    printed, told = child.communicate(timeout=300)
    return work, child.returncode, printed, told


@pytest.fixture
def work(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which this process stands."""
    shutil.copytree(made[0], tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(reproduce, "GIVEN", environment(PYTHONPATH=str(ROOT)))
    return tmp_path / "work"


def preset(name: str = "quickstart", *overrides: str) -> reproduce.Preset:
    return reproduce.Preset(name, Path("outputs"), [*TINY, *overrides])


def row() -> dict[str, str]:
    [found] = reproduce.read_rows(Path("outputs/times.csv"))
    return found


def test_a_failed_preset_is_told_and_the_others_are_made(made):
    _, code, printed, told = made
    assert code == 1, told
    assert "=== jacobian (2 of 2)" in printed
    assert "4 finished in" in printed  # the preset's own words
    [failed] = [line for line in told.splitlines() if line.startswith("failed:")]
    assert failed.startswith("failed: jacobian: seed=0: a trial has trial.tune_seeds")
    assert "Traceback" not in told


def test_the_runs_of_presets_are_packed_and_drawn_and_no_others(work: Path):
    content = read(Path("outputs/reference") / PACK)
    [(sweep, packed)] = content.runs.items()
    assert sweep == "quickstart"
    assert len(packed) == 4
    assert "046be4aa10" not in packed
    assert all("profile.json" in files for files in packed.values())
    assert "experiment=quickstart" in content.sweeps["quickstart"]["commands.log"]
    found = load_runs("outputs/reference")
    assert (found.runs["status"] == "finished").all()
    tables = Path("outputs/reference/report/tables")
    assert "batch" in (tables / "quickstart_summary.md").read_text()


def test_times_environment_and_commands_are_told(work: Path):
    reference = Path("outputs/reference")
    assert (reference / "times.csv").read_text() == Path("outputs/times.csv").read_text()
    times = row()
    assert (times["preset"], times["runs"], times["profiled"]) == ("quickstart", "4", "4")
    profiles = [json.loads(path.read_text()) for path in Path().rglob("profile.json")]
    for part in ("total", "train", "compile"):
        total = sum(profile[part] for profile in profiles)
        assert float(times[part]) == pytest.approx(total, abs=0.002)
    assert float(times["seconds"]) > 1
    facts = (reference / "environment.txt").read_text()
    for fact in ("python: ", "cpu: ", "cores: ", "commit: ", "tensorflow=="):
        assert fact in facts
    first, last = (reference / "commands.txt").read_text().splitlines()
    assert first.startswith("python -m bnexp.run experiment=quickstart output_dir=outputs")
    assert "trainer.profile=true" in first
    assert "seed=0,1" in first
    assert last == "bnexp plot outputs/reference"


def test_what_is_done_is_not_run_again_and_keeps_its_time(work: Path, monkeypatch, capsys):
    before = row()
    monkeypatch.setattr(reproduce, "_streamed", lambda arguments: pytest.fail("it ran"))
    reproduce.run_preset(preset(), Path("outputs/times.csv"))
    assert row() == before
    assert "4 runs: all done" in capsys.readouterr().out
    Path("outputs/times.csv").unlink()  # as if done by hand: how long it took is not known
    reproduce.run_preset(preset(), Path("outputs/times.csv"))
    assert row() == before | {"seconds": ""}


def test_time_adds_up_over_starts_but_not_over_a_fresh_one(work: Path, monkeypatch):
    """What the child would do takes no time here: it only writes a run anew."""
    [first, *_] = states = list(preset().states())
    kept = {folder: (folder / "result.json").read_text() for folder in states}

    def again(arguments: list[str]) -> tuple[int, None]:
        time.sleep(0.2)
        for folder, text in kept.items():
            (folder / "result.json").write_text(text)
        return 0, None

    monkeypatch.setattr(reproduce, "_streamed", again)
    before = float(row()["seconds"])
    (first / "result.json").unlink()
    reproduce.run_preset(preset(), Path("outputs/times.csv"))
    assert before + 0.1 < float(row()["seconds"]) < before + 1
    assert row()["runs"] == "4"
    for folder in states:
        (folder / "result.json").unlink()
    reproduce.run_preset(preset(), Path("outputs/times.csv"))
    assert float(row()["seconds"]) < 1


def test_a_stopped_start_notes_its_time_and_goes_on(work: Path):
    shutil.rmtree("outputs")
    long = [*TINY, "trainer.steps=400000", "trainer.checkpoint_seconds=0.1"]
    child = start(work, "--only", "quickstart", "--", *long, start_new_session=True)
    until = time.monotonic() + 90
    while not list(Path().rglob("history.csv")) and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does
    _, told = child.communicate(timeout=90)
    assert child.returncode == 130, told
    assert told.endswith("bnexp: stopped; the same command goes on from here\n")
    assert row()["runs"] == "0"
    assert float(row()["seconds"]) > 1
    assert not Path("outputs/reference").exists()
    states = reproduce.Preset("quickstart", Path("outputs"), long).states()
    assert "to resume" in states.values()


def test_a_pack_that_would_lose_sweeps_is_not_replaced(work: Path):
    target = Path("outputs/reference") / PACK
    before = target.read_bytes()
    shutil.move("outputs/quickstart", "outputs/kept")
    with pytest.raises(RunError, match="no run of a preset has ended"):
        reproduce.gather([preset()], target.parent)
    presets = [preset(), preset("original", "trainer.steps=2", "model.filters=[2,2]")]
    shutil.move("outputs/kept", "outputs/quickstart")
    for folder in presets[1].states():
        shutil.copytree(next(iter(presets[0].states())), folder)
    reproduce.gather(presets, target.parent)
    assert sorted(read(target).runs) == ["original", "quickstart"]
    with pytest.raises(RunError, match="lacks its sweeps original"):
        reproduce.gather(presets[:1], target.parent)
    shutil.rmtree("outputs/original")
    reproduce.gather(presets[:1], Path("elsewhere"))
    assert (Path("elsewhere") / PACK).read_bytes() == before


# --- check


def checked() -> bool:
    return reproduce.check("quickstart", Path("outputs/reference") / PACK, Path("outputs"))


def test_histories_are_compared_less_their_seconds(work: Path, capsys):
    histories = sorted(path for path in Path().rglob("history.csv"))
    rows = [line.rpartition(",")[0] for line in histories[0].read_text().splitlines()]
    later = ["seconds", *("9.999" for _ in rows[1:])]
    lines = [f"{line},{cell}\n" for line, cell in zip(rows, later, strict=True)]
    histories[0].write_text("".join(lines))
    histories[1].unlink()
    assert checked()
    assert "quickstart: 3 identical, 0 different, 1 missing" in capsys.readouterr().out
    text = histories[2].read_text()
    *head, last = text.splitlines()[1].split(",")[:3]
    spoiled = ",".join([*head, last[:-1] + str((int(last[-1]) + 1) % 10)])
    histories[2].write_text(text.replace(",".join([*head, last]), spoiled))
    assert not checked()
    printed = capsys.readouterr().out
    assert f"{histories[2].parent}: its history differs" in printed
    assert "quickstart: 2 identical, 1 different, 1 missing" in printed


def test_the_check_by_its_command(work: Path, monkeypatch):
    def code(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["reproduce.py", *arguments])
        with pytest.raises(SystemExit) as leaving:
            reproduce.main()
        return int(leaving.value.code or 0)

    assert code("--check", "quickstart") == 0
    assert code("--check", "quickstart", "--runs", "empty") == 1  # nothing was compared
    assert code("--check", "original") == 2  # the pack has no such sweep
    assert code("--check", "quickstart", "--out", "nowhere") == 2


def test_a_pack_is_unpacked_to_folders_that_pass_the_check(work: Path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "--unpack", "folders"])
    reproduce.main()
    assert "4 runs" in capsys.readouterr().out
    assert reproduce.check("quickstart", Path("outputs/reference") / PACK, Path("folders"))


# --- options


def test_presets_are_listed_with_their_question(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "--list"])
    reproduce.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(reproduce.PRESETS)
    assert "See it in a minute" in lines[0]


@pytest.mark.parametrize("override", ["name=x", "output_dir=/tmp", "+experiment=fig1"])
def test_what_the_script_sets_is_not_overridden(tmp_path: Path, override: str):
    with pytest.raises(ConfigError, match="is set by this command"):
        reproduce.reproduce(["quickstart"], tmp_path / "runs", tmp_path / "out", [override])
    assert not list(tmp_path.iterdir())


def test_a_preset_whose_runs_are_elsewhere_named_is_found_by_its_folder():
    assert reproduce.sweep_of("quickstart") == "quickstart"
    assert reproduce.sweep_of("not-there") == "not-there"


def test_times_of_another_version_are_not_added_to(tmp_path: Path):
    (tmp_path / "times.csv").write_text("preset,seconds\nfig1,3\n")
    assert reproduce.read_rows(tmp_path / "times.csv") == []
    rows = [dict.fromkeys(reproduce.COLUMNS, "1")]
    reproduce.write_rows(tmp_path / "times.csv", rows)
    assert reproduce.read_rows(tmp_path / "times.csv") == rows
    assert runs.read_text(tmp_path / "none.csv") is None
