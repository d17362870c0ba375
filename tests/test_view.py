"""What a terminal shows of runs that are going on: bars, steps, settings, the time left."""

import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Clock, environment, write_npz
from made_runs import history, made

from bnexp.config import Config
from bnexp.folders import heartbeat, runs
from bnexp.folders.heartbeat import Heartbeat
from bnexp.folders.runs import run_folder
from bnexp.sweeps.console import LogReporter
from bnexp.sweeps.labels import differing, short_labels
from bnexp.sweeps.pace import Pace
from bnexp.sweeps.view import PLAIN_WIDTH, Stage, SweepView
from bnexp.terminal import cut, duration, size, table
from bnexp.training import backend

DATA = ("data=npz", "data.path=tiny.npz", "data.val_size=64", "data.split_seed=null")


@pytest.fixture
def configs(compose) -> list[Config]:
    """Four runs of 1,000 steps."""
    one = compose(*SMALL, "trainer.steps=1000")
    return [replace(one, seed=seed) for seed in range(4)]


def at(config: Config, steps: int) -> Config:
    """The same, with a folder that says that it has made so many steps."""
    run_folder(config).mkdir(parents=True, exist_ok=True)
    (run_folder(config) / heartbeat.FILE).write_text(f"{steps}\n")
    return config


def view(configs: list[Config], clock: Clock, **others) -> SweepView:
    names = {run_folder(config): f"norm=none lr=0.1 seed={config.seed}" for config in configs}
    return SweepView(configs, names, clock=clock, **others)


# ---- steps between evaluations -------------------------------------------------------------------


def test_a_run_writes_its_steps_at_most_once_a_second(tmp_path, clock):
    beat = Heartbeat(tmp_path, clock)
    beat.beat(1)
    assert heartbeat.steps(tmp_path) == 0  # a run that is over at once writes nothing
    clock.now += 1.5
    beat.beat(2)
    written = (tmp_path / heartbeat.FILE).stat().st_mtime_ns
    for steps in range(3, 1000):
        clock.now += 0.0005
        beat.beat(steps)
    assert (tmp_path / heartbeat.FILE).stat().st_mtime_ns == written
    assert heartbeat.steps(tmp_path) == 2
    clock.now += 1
    beat.beat(1000)
    assert heartbeat.steps(tmp_path) == 1000
    beat.end()
    assert list(tmp_path.iterdir()) == []


def test_the_steps_cost_a_run_nothing_measurable(tmp_path):
    """An MLP's call of 200 steps takes 80 ms; this is below a ten-thousandth of it."""
    beat = Heartbeat(tmp_path)
    began = time.perf_counter()
    for steps in range(10_000):
        beat.beat(steps)
    assert (time.perf_counter() - began) / 10_000 < 8e-6


def test_what_a_killed_run_left_is_removed_by_the_next_start(tmp_path):
    (tmp_path / heartbeat.FILE).write_text("77\n")
    with LogReporter(tmp_path):
        assert heartbeat.steps(tmp_path) == 0
    assert not (tmp_path / heartbeat.FILE).exists()


def test_a_folder_that_cannot_be_written_stops_no_run(tmp_path, clock):
    beat = Heartbeat(tmp_path / "gone", clock)
    clock.now += 2
    beat.beat(5)
    beat.end()


# ---- the time left -------------------------------------------------------------------------------


def test_the_time_left_is_known_from_the_first_steps_on(configs, clock):
    shown = view(configs, clock)
    going = configs[:2]
    shown.running([at(one, 0) for one in going])
    clock.now += 30  # TensorFlow starts and compiles: no part of the pace
    shown.running(going)
    assert shown.seconds_left() is None
    shown.running([at(one, 100) for one in going])
    clock.now += 10
    shown.running([at(one, 200) for one in going])  # 10 steps a second
    # two runs with 800 steps left, two of 1,000, two at a time
    assert shown.seconds_left() == pytest.approx(180)
    assert "about 3 min left" in shown.plain_line()


def test_a_longest_run_that_is_left_alone_is_waited_for(configs, clock):
    pace = Pace(clock)
    pace.plan(configs[0], 100)
    shown = SweepView(configs[:1], pace=pace, clock=clock)
    shown.running([at(configs[0], 500)])
    assert shown.seconds_left() == pytest.approx(50)


def test_ended_runs_count_without_the_start_of_the_first(configs, clock):
    pace = Pace(clock)
    for seconds in (20, 20, 4, 4, 4, 4):  # the first of each process imports TensorFlow
        pace.ended(configs[0], seconds)
    assert pace.seconds(configs[1]) == pytest.approx(4)


def test_kinds_of_networks_have_paces_of_their_own(compose, configs, clock):
    other = compose(*SMALL, "trainer.steps=1000", "model.hidden=[32,32,32]")
    pace = Pace(clock)
    pace.plan(configs[0], 10)
    assert pace.seconds(other) == pytest.approx(10)  # nothing better is known
    pace.plan(other, 50)
    assert pace.seconds(configs[1]) == pytest.approx(10)
    assert pace.seconds(other) == pytest.approx(50)


def test_a_resumed_runs_earlier_steps_are_no_pace(configs, clock):
    pace = Pace(clock)
    pace.stands_at(configs[0], 400)  # of an earlier start
    clock.now += 20
    pace.stands_at(configs[0], 600)  # from its checkpoint
    clock.now += 10
    pace.stands_at(configs[0], 700)
    assert pace.seconds(configs[0], 700) == pytest.approx(30)


def test_what_comes_after_a_stage_counts_for_the_whole(configs, clock):
    pace = Pace(clock)
    pace.plan(configs[0], 100)
    work = configs[0].work
    shown = view(configs[:2], clock, pace=pace, stage=Stage("trial", 2 * work, [(configs[3], 4)]))
    shown.running([at(one, 500) for one in configs[:2]])
    assert shown.share == pytest.approx(0.5)
    assert shown.share_of_whole == pytest.approx(3 / 8)
    assert shown.seconds_left() == pytest.approx(50)
    assert shown.seconds_left(whole=True) == pytest.approx(250)
    assert "50% (37% of the trial), about 4 min left" in shown.plain_line()


# ---- noise ---------------------------------------------------------------------------------------


def test_warnings_of_retracing_go_to_the_log_and_nothing_else_does(caplog):
    import tensorflow as tf

    lines: list[str] = []
    logger = logging.getLogger("tensorflow")
    with backend.retracing_logged(lines.append):
        retraced = tf.function(lambda x: x + 1)
        for i in range(8):
            retraced(i)  # each another Python number
        logger.warning("something else")
        logger.error("an error, even of tf.function retracing: triggered tf.function retracing")
    assert len(lines) >= 1
    assert all("triggered tf.function retracing" in line for line in lines)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    logger.warning("triggered tf.function retracing")  # of whoever called us
    assert len(caplog.records) == 3


# ---- what is shown -------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_each_run_has_its_settings_step_and_accuracy(configs, clock, width):
    shown = view(configs, clock)
    history(run_made(configs[0]), 250, 0.912)
    shown.running([at(configs[0], 430), at(configs[1], 0)])
    lines = shown.rows(width, 10)
    assert max(map(len, lines)) <= width
    assert len(lines) == (2 if width >= 80 else 4)
    first, second = (lines[:1], lines[1:]) if width >= 80 else (lines[:2], lines[2:])
    name = runs.run_id(configs[0])
    assert first[0].startswith(f"{name if width >= 60 else name[:6]}  norm=none lr=0.1 seed=0")
    assert first[-1].endswith("step 430/1000  validation 0.9120")
    assert second[-1].endswith("starts")


def run_made(config: Config) -> Path:
    run_folder(config).mkdir(parents=True)
    return run_folder(config)


def test_more_runs_than_lines_are_counted(configs, clock):
    shown = view(configs, clock)
    shown.running([at(one, 10) for one in configs])
    assert len(shown.rows(80, 4)) == 4
    assert len(shown.rows(80, 3)) == 3
    assert shown.rows(80, 3)[-1] == "and more: 4 runs are going on"


def test_the_bar_is_of_work_and_not_of_runs(compose, clock):
    short, long = (compose(*SMALL, f"trainer.steps={n}") for n in (100, 900))
    shown = SweepView([short, long], clock=clock)
    shown.ended(short, {"status": runs.FINISHED, "total_seconds": 1.0})
    assert shown.share == pytest.approx(0.1)
    assert shown.plain_line().startswith("1/2 runs, 10%")


def test_a_run_that_ended_is_not_counted_twice(configs, clock):
    shown = view(configs, clock)
    shown.running([at(configs[0], 999)])
    shown.ended(configs[0], {"status": runs.FINISHED, "total_seconds": 1.0})
    assert shown.share == pytest.approx(0.25)


def test_plain_lines_are_short_and_come_ever_more_rarely(configs, clock, capsys):
    shown = view(configs, clock)
    for seconds in range(600):
        clock.now = 100.0 + seconds
        shown.running([at(one, seconds) for one in configs])
    lines = capsys.readouterr().out.splitlines()
    assert 5 < len(lines) < 15
    assert max(map(len, lines)) <= PLAIN_WIDTH
    assert len(set(lines)) == len(lines)


def test_a_line_that_would_say_the_same_is_not_repeated(configs, clock, capsys):
    shown = view(configs, clock)
    for seconds in range(600):
        clock.now = 100.0 + seconds
        shown.running([configs[0]])
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_labels_are_as_short_as_they_can_be():
    words = [("norm=none", "optimizer.lr=0.1", "seed=1"), ("norm=batch", "optimizer.lr=1")]
    assert short_labels(words) == ["norm=none lr=0.1 seed=1", "norm=batch lr=1"]
    both = [("norm.momentum=1", "optimizer.momentum=2")]
    assert short_labels(both) == ["norm.momentum=1 optimizer.momentum=2"]


def test_layers_that_are_repeated_are_told_in_short():
    words = [(r"model.hidden=$\{repeat\:100\,20\}",), ("model.hidden=[9,9]",)]
    assert short_labels(words) == ["hidden=20×100", "hidden=[9,9]"]
    assert differing([("a=1", "b=1"), ("a=1", "b=2")]) == [("b=1",), ("b=2",)]


def test_words_for_people():
    assert [duration(s) for s in (5, 200, 7800)] == ["5 s", "3 min", "2 h 10 min"]
    assert [size(n) for n in (1, 900, 12_300, 3_400_000, 5e9)] == [
        "1 byte",
        "900 bytes",
        "12 kB",
        "3.4 MB",
        "5.0 GB",
    ]
    assert [cut("abcdef", n) for n in (6, 5, 2, 0)] == ["abcdef", "ab...", "..", ""]
    text = table([["a", "1"], ["b", "22"]], ["name", "n"])
    assert text.splitlines() == ["name   n", "a      1", "b     22"]


# ---- real terminals ------------------------------------------------------------------------------

SWEEP = (*DATA, *SMALL, "trainer.steps=60000", "trainer.eval_every=20000", "norm=none,batch")
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(work: Path, columns: int, *words: str, **extra: str) -> str:
    """What a command writes to a terminal of so many columns."""
    write_npz(work / "tiny.npz")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(**{"PYTHONPATH": str(ROOT), "TERM": "xterm", **extra})
    sized = {key: value for key, value in env.items() if key not in ("COLUMNS", "LINES")}
    child = subprocess.Popen(
        [sys.executable, "-m", "bnexp", "run", *words],
        cwd=work,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=sized,
    )
    os.close(slave)
    told = b""
    try:
        while part := os.read(master, 10_000):
            told += part
    except OSError:  # its end is closed
        pass
    os.close(master)
    assert child.wait() == 0, told.decode()
    return told.decode()


def test_a_sweep_on_a_terminal(tmp_path):
    told = shown(tmp_path, 80, "--multirun", *SWEEP)
    assert "\x1b[" in told
    lines = [ANSI.sub("", line).rstrip() for line in re.split(r"[\r\n]+", told)]
    drawn = [line for line in lines if "/60000" in line or "left" in line or "runs" in line]
    assert drawn
    assert max(map(len, drawn)) <= 80
    steps = {int(found) for found in re.findall(r"(\d+)/60000", told)}
    assert any(step % 20000 for step in steps)  # between evaluations
    assert "norm=none" in told
    assert re.search(r"about \d+ s left", told)
    assert lines[-2].startswith("2 finished in ") or lines[-1].startswith("2 finished in ")
    for folder in (tmp_path / "outputs/default").glob("*/"):
        assert not (folder / heartbeat.FILE).exists()


def test_a_terminal_that_cannot_be_drawn_on_gets_plain_lines(tmp_path):
    told = shown(tmp_path, 80, "--multirun", *SWEEP, TERM="dumb")
    assert "\x1b" not in told
    assert told.splitlines()[-1].startswith("2 finished in ")


def test_a_narrow_terminal_without_colour_or_unicode(tmp_path):
    plain = {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    told = shown(tmp_path, 40, "--multirun", *SWEEP, **plain)
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)\d(;[0-9;]*)?m", told)
    drawn = [ANSI.sub("", line).rstrip() for line in re.split(r"[\r\n]+", told)]
    assert max(len(line) for line in drawn if "/60000" in line or "runs" in line) <= 40
    assert told.isascii()
    assert "\\u" not in told
    assert "\\x" not in told


def test_a_single_run_says_what_it_reached_and_names_its_folder(tmp_path):
    words = (*DATA, *SMALL, "trainer.steps=40000", "trainer.eval_every=20000")
    told = shown(tmp_path, 60, *words)
    assert "training" in told
    last = ANSI.sub("", told).strip().splitlines()[-1]
    [folder] = (tmp_path / "outputs/default").glob("*/")
    assert re.match(rf"outputs/default/{folder.name}: validation accuracy \d\.\d+, test", last)
    again = shown(tmp_path, 60, *words)
    assert f"outputs/default/{folder.name}: done before" in again


def test_dry_run_lists_a_single_run_as_a_sweep_does(tmp_path):
    single = shown(tmp_path, 200, *DATA, *SMALL, "seed=1", "dry_run=true")
    several = shown(tmp_path, 200, "--multirun", *DATA, *SMALL, "seed=1,2", "dry_run=true")
    first, settings, listed = single.splitlines()
    assert first == "outputs/default: 1 run: 0 done, 1 to do"
    assert settings.startswith("settings: data=npz model=mlp init=glorot optimizer=sgd ")
    assert "norm.momentum=0.9" in settings
    assert "seed=1" in settings
    assert re.fullmatch(r"to do     outputs/default/\w{10}", listed)
    assert listed in several  # with what varies behind it
    assert " seed=" not in several.splitlines()[1]
    assert not (tmp_path / "outputs").exists()


def test_dry_run_of_what_is_done_says_so(compose, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = made(compose(*SMALL, "output_dir=outputs"))
    told = shown(tmp_path, 200, *DATA, *SMALL, "dry_run=true")
    assert f"done      outputs/default/{folder.name}" in told
