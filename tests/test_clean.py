"""`bnexp clean`: what it removes, and above all what it does not."""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, environment
from made_runs import files, made

from bnexp.config import Config
from bnexp.folders import clean_command, lock, runs
from bnexp.folders.clean import BusyError, Search, Wanted, remove
from bnexp.folders.own_files import own
from bnexp.folders.pack import pack
from bnexp.folders.runs import DIVERGED, FAILED, FINISHED, PACK
from bnexp.folders.state import UNFINISHED

DAY = 86400


@pytest.fixture
def config(compose, monkeypatch, tmp_path) -> Config:
    """Of a run below outputs/ in an empty folder, in which one stands."""
    monkeypatch.chdir(tmp_path)
    return compose(*SMALL, "output_dir=outputs", "name=mine")


@pytest.fixture
def folders(config) -> dict[str | None, Path]:
    """A run that ended in each way, by how."""
    return {
        status: made(replace(config, seed=seed), status)
        for seed, status in enumerate((FINISHED, DIVERGED, FAILED, None))
    }


def clean(*arguments: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as left:
        clean_command.main(list(arguments))
        raise SystemExit(0)
    assert (left.value.code or 0) == code


def age(path: Path, seconds: float) -> None:
    for one in [path, *path.rglob("*")]:
        os.utime(one, (time.time() - seconds,) * 2, follow_symlinks=False)


def test_no_run_is_removed_unless_asked_for(folders, capsys):
    before = files(Path("outputs"))
    clean("--yes")
    assert files(Path("outputs")) == before
    told = capsys.readouterr().out
    assert "nothing to remove in outputs" in told
    assert "1 failed (--failed), 1 unfinished (--unfinished)" in told


@pytest.mark.parametrize(
    ("flag", "status"), [("failed", FAILED), ("unfinished", None), ("diverged", DIVERGED)]
)
def test_exactly_the_runs_that_are_asked_for_are_removed(folders, flag, status, capsys):
    before = files(Path("outputs"))
    clean(f"--{flag}", "--yes")
    gone = folders[status]
    assert not gone.exists()
    kept = {path: one for path, one in before.items() if gone not in (path, *path.parents)}
    assert files(Path("outputs")) == kept
    told = capsys.readouterr().out
    assert f"1 {flag} run, " in told
    assert f"  {gone}  " in told


def test_a_finished_run_goes_only_by_its_settings(config, folders):
    other = made(replace(config, seed=7))
    clean("--finished", "--yes", code=2)
    clean("--finished", "--where", "seeed=7", "--yes", code=2)
    assert other.exists()
    clean("--finished", "--where", "seed=7", "--yes")
    assert not other.exists()
    assert all(folder.exists() for folder in folders.values())


def test_where_without_a_kind_of_run_is_refused(folders, capsys):
    clean("--where", "seed=1", "--yes", code=2)
    assert "give one of --failed, --unfinished" in capsys.readouterr().err


def test_dry_run_lists_and_removes_nothing(folders, capsys):
    before = files(Path("outputs"))
    clean("--failed", "--unfinished", "--diverged", "--dry-run")
    assert files(Path("outputs")) == before
    told = capsys.readouterr().out
    assert all(str(folder) in told for status, folder in folders.items() if status != FINISHED)


def test_what_was_left_behind_is_removed_and_what_is_fresh_is_not(folders):
    done, open_ = folders[FINISHED], folders[None]
    (done / runs.CHECKPOINT).mkdir()
    left = [done / runs.CHECKPOINT / "state.npz", done / runs.CHECKPOINT / ".state.12.npz"]
    left += [folder / ".result.json.345" for folder in (done, open_)]
    left += [open_ / ".step", open_ / runs.CHECKPOINT / ".state.9.npz"]
    for path in left:
        path.write_text("x")
        age(path, 3600)
    fresh = open_ / ".history.csv.77"
    fresh.write_text("x")
    before = files(Path("outputs"))
    clean("--yes")
    after = files(Path("outputs"))
    assert before.keys() - after.keys() == {*left, done / runs.CHECKPOINT}


def test_a_folder_with_a_lock_alone_is_removed_once_it_is_old(config):
    empty, fresh = (Path("outputs/mine", name) for name in ("0123456789", "abcdef0123"))
    foreign = Path("outputs/mine/notes")
    for folder in (empty, fresh, foreign):
        folder.mkdir(parents=True)
        (folder / ".lock").touch()
    age(empty, 3600)
    age(foreign, 3600)
    clean("--yes")
    assert not empty.exists()
    assert fresh.exists()
    assert foreign.exists()


def test_only_what_is_old_goes_if_so_asked(config):
    old, new = (made(replace(config, seed=seed), FAILED) for seed in (1, 2))
    age(old, 8 * DAY)
    clean("--failed", "--older-than", "7d", "--yes")
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("text", ["7", "d", "seven days", "-1d", ""])
def test_an_age_that_is_none_is_refused(text, capsys):
    clean(f"--older-than={text}", code=2)
    assert "as in 7d" in capsys.readouterr().err


# ---- what must never go --------------------------------------------------------------------------


@pytest.fixture
def holder(folders):
    """A process that runs the unfinished run."""
    code = "import sys, time\nfrom filelock import FileLock\nwith FileLock(sys.argv[1]):\n"
    code += "    print('held', flush=True)\n    time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(folders[None] / ".lock")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_run_that_is_going_on_is_left_alone_with_all_its_files(folders, holder):
    (folders[None] / ".step").write_text("10\n")
    age(folders[None], 30 * DAY)
    before = files(folders[None])
    clean("--unfinished", "--failed", "--diverged", "--yes")
    assert files(folders[None]) == before
    assert not folders[FAILED].exists()


def test_a_run_that_begins_after_the_look_is_left_alone(config, folders, request):
    wanted = Wanted([UNFINISHED])
    [found] = Search(wanted)([Path("outputs")]).found
    request.getfixturevalue("holder")
    before = files(found.folder)
    with pytest.raises(BusyError, match="a process runs it just now"):
        remove(found, wanted)
    assert files(found.folder) == before


def test_a_run_that_ended_after_the_look_is_left_alone(config, folders):
    wanted = Wanted([UNFINISHED])
    [found] = Search(wanted)([Path("outputs")]).found
    shutil.copy(folders[FINISHED] / "result.json", found.folder)
    before = files(found.folder)
    with pytest.raises(BusyError, match="has changed just now"):
        remove(found, wanted)
    assert files(found.folder) == before


def test_files_of_others_within_a_run_are_kept_and_told(folders, capsys):
    folder = folders[FAILED]
    kept = [folder / "notes.txt", folder / "sub" / "a.png", folder / "checkpoint" / "mine.npz"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    clean("--failed", "--yes")
    left = {path for path in folder.rglob("*") if path.is_file()}
    assert left == {*kept, folder / ".lock"}
    told = capsys.readouterr().out
    assert all(f"{path}: kept" in told for path in kept)


def test_nothing_behind_a_link_is_touched(folders, tmp_path, capsys):
    outside = tmp_path / "elsewhere"
    shutil.copytree("outputs/mine", outside / "theirs")
    Path("outputs/theirs").symlink_to(outside / "theirs")  # a sweep
    Path("outputs/mine/one").symlink_to(outside / "theirs" / folders[FAILED].name)  # a run
    before = files(outside)
    clean("--failed", "--unfinished", "--diverged", "--yes")
    assert files(outside) == before
    assert Path("outputs/theirs").is_symlink()
    assert Path("outputs/mine/one").is_symlink()
    assert "left alone, as it lies behind a link" in capsys.readouterr().out


def test_links_within_a_run_are_kept_with_what_they_lead_to(folders, tmp_path):
    folder, precious = folders[FAILED], tmp_path / "precious"
    precious.mkdir()
    (precious / "state.npz").write_text("mine")
    shutil.rmtree(folder / "checkpoint")
    (folder / "checkpoint").symlink_to(precious)
    (folder / "model.keras").symlink_to(precious / "state.npz")
    before = files(precious)
    clean("--failed", "--yes")
    assert files(precious) == before
    assert (folder / "checkpoint").is_symlink()
    assert (folder / "model.keras").is_symlink()


def test_a_folder_that_was_given_may_itself_be_a_link(folders, tmp_path):
    (tmp_path / "scratch").symlink_to(tmp_path / "outputs")
    clean("scratch", "--failed", "--yes")
    assert not folders[FAILED].exists()


def test_folders_that_are_no_runs_are_left_alone(folders):
    stranger = Path("outputs/mine/0a0a0a0a0a")
    stranger.mkdir()
    (stranger / "config.yaml").write_text("services: {web: {image: nginx}}\n")
    (stranger / "result.json").write_text('{"status": "failed"}')
    (stranger / "run.log").write_text("theirs")
    age(stranger, 90 * DAY)
    before = files(stranger)
    clean("--failed", "--unfinished", "--diverged", "--older-than", "1d", "--yes")
    assert files(stranger) == before


@pytest.mark.parametrize("content", ["", "{", '{"status": "failed"}'])
def test_damaged_runs_are_left_alone_and_told(folders, content, capsys):
    folder = folders[FAILED]
    (folder / "result.json").write_text(content)
    before = files(folder)
    clean("--failed", "--unfinished", "--yes")
    assert files(folder) == before
    assert f"{folder / 'result.json'}: " in capsys.readouterr().out


def test_packs_are_left_alone(folders):
    pack([folders[FAILED]], Path("outputs") / PACK, Path("outputs"))
    pack([folders[FAILED]], Path("outputs/mine") / PACK, Path("outputs"))
    before = {path: path.read_bytes() for path in Path("outputs").rglob(PACK)}
    clean("--failed", "--yes")
    assert {path: path.read_bytes() for path in Path("outputs").rglob(PACK)} == before


def test_what_is_left_of_a_removal_that_was_stopped_is_still_a_run(folders):
    assert own(folders[FAILED])[-1] == folders[FAILED] / "config.yaml"


def test_a_file_that_cannot_be_removed_is_told(folders, monkeypatch, capsys):
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    clean("--failed", "--yes", code=1)
    assert f"{folders[FAILED]}: not removed (Permission denied)" in capsys.readouterr().err


STARTS = """
import sys, time
from pathlib import Path
from bnexp.folders import lock
folder, end = Path(sys.argv[1]), time.monotonic() + 3
rounds = 0
while time.monotonic() < end:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock.held(folder):
            (folder / "config.yaml").write_text(Path(sys.argv[2]).read_text())
            time.sleep(0.003)
            assert (folder / "config.yaml").exists(), "removed while it was held"
            rounds += 1
    except lock.Timeout:
        pass
    time.sleep(0.001)
print(rounds)
"""


def test_runs_that_begin_again_and_again_are_never_removed_while_they_go_on(folders):
    """Two processes begin the run while a third removes it."""
    folder = folders[None]
    template = Path("template.yaml")
    template.write_text((folder / "config.yaml").read_text())
    command = [sys.executable, "-c", STARTS, str(folder), str(template)]
    started = [
        subprocess.Popen(
            command,
            env=environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    wanted, removed = Wanted([UNFINISHED]), 0
    while any(child.poll() is None for child in started):
        for one in Search(wanted)([Path("outputs")]).found:
            removed += _tried(lambda one=one: remove(one, wanted))
    for child in started:
        rounds, errors = child.communicate()
        assert child.returncode == 0, errors
        assert int(rounds) > 10
    assert removed > 3


def _tried(action: Callable[[], object]) -> bool:
    try:
        action()
    except BusyError:
        return False
    return True


# ---- asking --------------------------------------------------------------------------------------


def answered(text: str) -> tuple[int, str]:
    """The command on a terminal, where somebody types."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "bnexp", "clean", "--failed"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment(PYTHONPATH=str(ROOT)),
    )
    os.close(slave)
    os.write(master, text.encode())
    told = b""
    try:
        while part := os.read(master, 1000):
            told += part
    except OSError:  # its end is closed
        pass
    os.close(master)
    return child.wait(), told.decode()


@pytest.mark.parametrize(("text", "goes"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_it_asks_before_it_removes(folders, text, goes):
    code, told = answered(text)
    assert "Remove all of this? [y/N]" in told
    assert code == (0 if goes else 1)
    assert folders[FAILED].exists() != goes


def test_without_a_terminal_it_does_not_remove_unless_told(folders, monkeypatch, capsys):
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        clean("--failed", code=2)
    assert "--yes removes this without asking" in capsys.readouterr().err
    assert folders[FAILED].exists()


def test_looking_at_a_lock_writes_nothing_and_stops_nobody(folders):
    before = files(folders[None])
    assert not lock.is_held(folders[None])
    with lock.held(folders[None]):
        assert lock.is_held(folders[None])
    assert files(folders[None]) == before
