"""`bnexp info` and `bnexp diff`: all about a run, and two held against each other."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import DEEP, SMALL
from made_runs import ERROR, made

from bnexp.config import Config, run_id
from bnexp.config.compose import compose as compose_words
from bnexp.config.places import definitions, names
from bnexp.config.schema import PLAIN
from bnexp.folders import diff_command, info_command, lock
from bnexp.folders.finding import find
from bnexp.folders.info_command import again, info
from bnexp.folders.pack import pack
from bnexp.folders.runs import DIVERGED, FAILED, FINISHED, PACK, RunError, run_folder, typed

OUTPUTS = [Path("outputs")]


@pytest.fixture
def config(compose, monkeypatch, tmp_path) -> Config:
    monkeypatch.chdir(tmp_path)
    return compose(*SMALL, "output_dir=outputs", "name=mine")


def told(capsys, command, *arguments: str) -> str:
    command.main(list(arguments))
    return str(capsys.readouterr().out)


def refused(capsys, command, *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        command.main(list(arguments))
    assert left.value.code == 2
    text = str(capsys.readouterr().err)
    assert len(text.splitlines()) == 1
    return text


# ---- naming a run --------------------------------------------------------------------------------


def test_a_run_is_named_by_its_folder_or_the_start_of_its_id(config, tmp_path):
    folder = made(config)
    for word in (str(folder), folder.name, folder.name[:4], str(folder.resolve())):
        assert find(word, OUTPUTS).place.resolve() == folder.resolve()


def test_a_start_that_several_ids_have_is_refused_with_their_folders(config, capsys):
    folders = [made(replace(config, seed=seed)) for seed in range(20)]
    starts = [folder.name[0] for folder in folders]
    several = next(one for one in starts if starts.count(one) > 1)
    assert "runs are called so (outputs/mine/" in refused(capsys, info_command, several)


def test_a_run_that_is_not_there_is_told_with_the_nearest(config, capsys):
    folder = made(config)
    near = f"{folder.name[:-1]}{'0' if folder.name[-1] != '0' else '1'}"
    assert f"did you mean '{folder.name}'" in refused(capsys, info_command, near)
    assert "no such folder" in refused(capsys, info_command, "0a", "--in", "nowhere")
    assert "bnexp list outputs" in refused(capsys, info_command, "outputs")
    assert "the pack has no such run" in refused_pack(capsys, folder)


def refused_pack(capsys, folder: Path) -> str:
    pack([folder], Path("shared") / PACK, Path("outputs"))
    return refused(capsys, info_command, f"shared/{PACK}/mine/0123456789")


def test_a_pack_itself_is_no_run(config, capsys):
    pack([made(config)], Path("shared") / PACK, Path("outputs"))
    assert "name a run" in refused(capsys, info_command, f"shared/{PACK}")


# ---- what is told --------------------------------------------------------------------------------


def test_all_that_is_known_of_a_run_is_told(config, capsys):
    folder = made(config)
    (folder / "profile.json").write_text('{"train": 1.5, "compile": 2.25, "total": 4, "steps": 4}')
    text = told(capsys, info_command, folder.name)
    for part in (
        f"{folder}: finished, 40 steps in 3 s",
        "validation accuracy 0.8100, best of it 0.8200, test accuracy 0.8000",
        "model=mlp",
        "norm.momentum=0.9",
        "compile 2.2 s, train 1.5 s",
        "100 steps a second",
        "tensorflow 2.",
        "a processor, 2 cores, Linux 6, 1 thread used",
        "config.yaml (",
        "history.csv (",
        "again     bnexp run ",
    ):
        assert part in text
    assert "trainer.reshuffle" not in text
    assert "trainer.reshuffle=true" in told(capsys, info_command, folder.name, "--all").lower()


def test_a_failed_run_tells_its_error_and_the_end_of_its_log(config, capsys):
    folder = made(config, FAILED)
    (folder / "run.log").write_text("".join(f"line {i}\n" for i in range(40)))
    text = told(capsys, info_command, folder.name)
    assert f"failed: ValueError: {ERROR['message']}" in text
    assert "line 39" in text
    assert "line 25" in text
    assert "line 24" not in text
    assert "line 0\n" in told(capsys, info_command, folder.name, "--all")


def test_runs_that_have_not_ended_tell_their_step(config, capsys):
    folder = made(config, None)
    assert "unfinished, at step 20 of 40" in told(capsys, info_command, folder.name)
    with lock.held(folder):
        (folder / ".step").write_text("31\n")
        assert "running, at step 31 of 40" in told(capsys, info_command, folder.name)


def test_several_runs_are_told_one_after_the_other(config, capsys):
    folders = [made(replace(config, seed=seed)) for seed in (1, 2)]
    text = told(capsys, info_command, *(folder.name for folder in folders))
    assert [line.split(":")[0] for line in text.splitlines() if line.startswith("outputs")] == [
        str(folder) for folder in folders
    ]


def test_a_packed_run_is_told_alike(config, capsys):
    folder = made(config)
    pack([folder], Path("shared") / PACK, Path("outputs"))
    text = told(capsys, info_command, folder.name, "--in", "shared")
    assert f"shared/{PACK}/mine/{folder.name}: finished" in text
    assert "norm.momentum=0.9" in text
    assert "again     bnexp run " in text


def test_a_run_of_version_0_1_is_told_and_cannot_be_repeated(version_0_1, capsys):
    folder = next((version_0_1 / "quickstart").glob("*/config.yaml")).parent
    text = told(capsys, info_command, str(folder))
    assert "finished" in text
    assert "norm.kind=" in text
    assert "written by version 0.1" in text


# ---- the command that repeats it -----------------------------------------------------------------


def repeated(folder: Path) -> Config:
    """The config that the command told for a run makes."""
    [line] = again(find(str(folder), OUTPUTS), typed_of(folder))
    return compose_words(*shlex.split(line)[2:])


def typed_of(folder: Path) -> Config:
    return typed(find(str(folder), OUTPUTS).config, folder)


WORDS = {
    "defaults but for data": (),
    "small": SMALL,
    **{name: tuple(words) for name, words in DEEP.items()},
    "text that needs quotes": (*SMALL, "name='my runs, 3'"),
    "probes and metrics": (*SMALL, "probes=all", "metrics=[top_5,brier]", "seed=3"),
    "lists": (*SMALL, "model.hidden=[7]", "trainer.early_steps=20", "trainer.reshuffle=false"),
    "another folder": (*SMALL, "output_dir=else/where", "name=a/b"),
    "keras": ("model=keras", "model.builder=keras.applications:MobileNetV2", "trainer.steps=3"),
    "a huge number and a tiny one": (*SMALL, "optimizer.lr=1e-7", "seed=123456789012345678"),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_command_that_is_told_makes_the_same_run_in_the_same_folder(
    name, compose, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    given = compose("output_dir=outputs", *WORDS[name])
    folder = made(given)
    found = repeated(folder)
    assert run_id(found) == folder.name
    assert run_folder(found) == folder


def test_every_option_can_be_repeated(compose, monkeypatch, tmp_path):
    """Whatever is chosen in any group, with its own settings."""
    monkeypatch.chdir(tmp_path)
    tried = 0
    for group in ("norm", "init", "optimizer", "schedule", "model"):
        for name in names(group):
            needed = "???" in dict(definitions(group))[name].values() or name == "keras"
            if group in PLAIN or needed:
                continue
            config = compose(f"{group}={name}", "output_dir=outputs", f"name={group}_{name}")
            assert run_id(repeated(made(config))) == run_id(config), f"{group}={name}"
            tried += 1
    assert tried > 20


def test_code_of_ones_own_is_named_and_a_change_in_it_is_told(compose, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "own_norms_for_info.py"
    code = "import keras\ndef thing(name: str, strength: float = 1.0):\n    return None\n"
    module.write_text(code)
    folder = made(compose(*SMALL, "norm=own_norms_for_info:thing", "output_dir=outputs"))
    assert "norm=own_norms_for_info:thing" in info(find(str(folder), OUTPUTS))
    assert run_id(repeated(folder)) == folder.name
    module.write_text(code + "# another version\n")
    line, doubt = again(find(str(folder), OUTPUTS), typed_of(folder))
    assert "norm=own_norms_for_info:thing" in line
    assert "not as it was: the same settings make the run" in doubt
    module.unlink()
    assert "cannot be run by this version" in info(find(str(folder), OUTPUTS))


def test_more_threads_are_part_of_the_command(config):
    folder = made(config, threads=3)
    assert "trainer.threads=3" in again(find(str(folder), OUTPUTS), config)[0]


# ---- diff ----------------------------------------------------------------------------------------


def test_runs_are_held_against_each_other(config, compose, capsys):
    one = made(config)
    other = made(
        compose(*SMALL, "norm=none", "seed=4", "output_dir=outputs", "name=mine"),
        DIVERGED,
        test_accuracy=None,
        versions={"python": "3.9.1"},
        threads=2,
    )
    lines = told(capsys, diff_command, one.name, other.name).splitlines()
    rows = {line.split("  ")[0]: line.split()[1:] for line in lines if line.strip()}
    assert rows["norm"] == ["batch", "none"]
    assert rows["norm.momentum"] == ["0.9", "-"]
    assert rows["seed"] == ["0", "4"]
    assert rows["threads"] == ["1", "2"]
    assert rows["versions.python"][1] == "3.9.1"
    assert "optimizer.lr" not in rows
    assert "norm._target_" not in rows
    text = "\n".join(lines)
    assert "test accuracy" in text
    assert "diverged at step 20" in text


def test_equal_runs_are_said_to_be_equal(config, capsys):
    one = made(config)
    assert "(all settings are the same)" in told(capsys, diff_command, str(one), one.name)


@pytest.mark.parametrize("columns", [40, 80])
def test_both_sides_fit_the_terminal(config, columns, monkeypatch, capsys):
    folders = [made(replace(config, seed=seed)) for seed in (1, 2)]
    monkeypatch.setattr(diff_command, "width", lambda: columns)
    text = told(capsys, diff_command, *(folder.name for folder in folders))
    assert max(map(len, text.splitlines())) <= columns
    assert all(folder.name[-5:] in text for folder in folders)


def test_diff_takes_two_runs(config, capsys):
    assert "RUN" in refused(capsys, diff_command, made(config).name)


def test_a_run_whose_config_is_damaged_is_told(config, capsys):
    folder = made(config, FINISHED)
    (folder / "config.yaml").write_text("{")
    assert str(folder / "config.yaml") in refused(capsys, info_command, str(folder))
    with pytest.raises(RunError):
        _ = find(str(folder), OUTPUTS).config
