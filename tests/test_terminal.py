"""What a terminal does to a command: a reader that leaves, Ctrl-C at any moment, little memory."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, environment, write_npz

DATA = ("data=npz", "data.path=tiny.npz", "data.val_size=64", "data.split_seed=null")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    write_npz(folder / "tiny.npz")
    return folder


def shell(line: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """A line as a shell carries it out; `bnexp` is ours, and a pipe's exit code is its first's."""
    return subprocess.run(
        ["bash", "-c", f'bnexp() {{ {sys.executable} -m bnexp "$@"; }}; {line}'],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT), **extra),
        capture_output=True,
        text=True,
        timeout=120,
    )


FIRST_LINE = "| head -1 > /dev/null; exit ${PIPESTATUS[0]}"


@pytest.mark.parametrize("words", ["run --help", "options norm=batch", "completion bash"])
def test_a_reader_that_leaves_is_no_error(work, words):
    read = shell(f"bnexp {words} {FIRST_LINE}", work)
    assert (read.returncode, read.stderr) == (0, "")


def test_a_sweep_whose_reader_leaves_is_carried_out(work):
    words = " ".join(f"'{word}'" for word in [*DATA, *SMALL, "seed=0,1", "name=unread"])
    read = shell(f"bnexp run --multirun {words} {FIRST_LINE}", work)
    assert (read.returncode, read.stderr) == (0, "")
    assert len([*(work / "outputs/unread").glob("*/result.json")]) == 2


COMPLETED = {
    "bnexp li": "list",
    "bnexp cle": "clean",
    "bnexp list --st": "--status",
    "bnexp clean --un": "--unfinished",
    "bnexp info 0a1": "0a1b2c3d4e",
    "bnexp diff 0a1b2c3d4e 1": "1a1b2c3d4e",
}


def test_commands_their_options_and_runs_are_completed(work):
    for name in ("0a1b2c3d4e", "1a1b2c3d4e"):
        (work / "outputs" / "completed" / name).mkdir(parents=True)
    answer = """_bnexp; printf '%s ' "${COMPREPLY[@]}"; echo"""
    calls = "; ".join(f"COMP_LINE='{line}'; COMP_POINT={len(line)}; {answer}" for line in COMPLETED)
    told = shell(f'eval "$(bnexp completion bash)"; {calls}', work)
    assert [line.strip() for line in told.stdout.splitlines()] == list(COMPLETED.values())


ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def test_a_terminal_without_unicode_shows_escapes(work):
    told = shell("bnexp run name=größe dry_run=true", work, PYTHONIOENCODING="ascii")
    assert told.stdout.startswith(r"outputs/gr\xf6\xdfe: 1 run"), told.stderr
    assert "μ" not in shell("bnexp options norm=batch", work, **ASCII).stdout


def test_a_name_that_the_locale_cannot_say_is_told_in_one_line(work):
    told = shell("bnexp pack größe --out x", work, **ASCII)
    assert told.returncode == 2
    assert "set PYTHONUTF8=1" in told.stderr
    assert len(told.stderr.splitlines()) == 1


# from when our first line has run (before that, Python itself is still starting)
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("words", ["options", "run --multirun model=mlp seed=0,1", "plot report"])
def test_ctrl_c_in_the_first_second_leaves_no_traceback(work, words, seconds):
    (work / "report").mkdir(exist_ok=True)
    with (work / "told").open("w+") as told:
        child = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "bnexp", *words.split()],
            cwd=work,
            env=environment(PYTHONPATH=str(ROOT)),
            stdout=subprocess.DEVNULL,
            stderr=told,
            start_new_session=True,
        )
        while "bnexp.early" not in (work / "told").read_text():
            time.sleep(0.01)
        time.sleep(seconds)
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)  # as a terminal does, also to its own processes
        # 0, 2: it was over by then; -2: over but for Python's own end, when it listens no more
        assert child.wait(timeout=60) in (130, 0, 2, -signal.SIGINT)
    assert "Traceback" not in (work / "told").read_text()


@pytest.mark.parametrize(
    ("kilobytes", "words"), [(200_000, "plot ."), (400_000, "run"), (1_500_000, "run")]
)
def test_too_little_memory_is_told_and_not_traced(work, kilobytes, words):
    told = shell(f"ulimit -v {kilobytes}; bnexp {words}", work)
    assert told.returncode == 2
    assert "memory" in told.stderr or "GB of address space" in told.stderr
    assert "Traceback" not in told.stderr
    assert len(told.stderr.splitlines()) <= 2  # a numerical library may add a warning of its own
