"""`bnexp list`: runs as a table, for people and for programs."""

import csv
import io
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SMALL
from made_runs import files, made

from bnexp.config import Config
from bnexp.folders import list_command, lock
from bnexp.folders.pack import pack
from bnexp.folders.runs import DIVERGED, FAILED, FINISHED, PACK


@pytest.fixture
def configs(compose, monkeypatch, tmp_path) -> list[Config]:
    """Two arms on two seeds, below outputs/ of the folder in which one stands."""
    monkeypatch.chdir(tmp_path)
    arms = [
        compose(*SMALL, f"norm={norm}", "output_dir=outputs", "name=mine")
        for norm in ("none", "batch")
    ]
    return [replace(arm, seed=seed) for arm in arms for seed in (0, 1)]


@pytest.fixture
def folders(configs) -> list[Path]:
    states = (FINISHED, DIVERGED, FAILED, None)
    return [
        made(config, status, test_accuracy=0.7 + i / 100 if status == FINISHED else None)
        for i, (config, status) in enumerate(zip(configs, states, strict=True))
    ]


def listed(capsys, *arguments: str) -> list[str]:
    list_command.main(list(arguments))
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        list_command.main(list(arguments))
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    return told


def test_a_line_per_run_says_what_tells_it_apart_and_how_it_stands(folders, capsys):
    names, *lines = listed(capsys)
    known = ["run", "settings", "seed", "status", "steps", "val", "best", "test", "seconds"]
    assert names.split() == known
    cells = {line.split()[0]: line.split()[1:] for line in lines[:4]}
    for folder, words in zip(
        folders,
        (
            ["none", "0", "finished", "40", "0.8100", "0.8200", "0.7000", "3.0"],
            ["none", "1", "diverged", "20/40", "0.8100", "0.8200", "3.0"],
            ["batch", "0", "failed", "20/40", "0.8100", "0.8200", "3.0"],
            ["batch", "1", "unfinished", "20/40", "0.8100", "0.8100"],
        ),
        strict=True,
    ):
        assert cells[folder.name[:6]] == words
    assert lines[-1] == "4 runs: 1 finished, 1 diverged, 1 failed, 1 unfinished"


def test_a_run_that_is_going_on_shows_its_steps_so_far(folders, capsys):
    with lock.held(folders[3]):
        (folders[3] / ".step").write_text("33\n")
        lines = listed(capsys)
    assert "batch" in lines[4]
    assert "running" in lines[4]
    assert "33/40" in lines[4]


def test_nothing_is_written_where_it_reads(folders, capsys):
    for folder in folders:
        (folder / ".lock").unlink()
    before = files(Path("outputs"))
    for form in ("table", "csv", "json"):
        listed(capsys, "--format", form)
    assert files(Path("outputs")) == before


def test_runs_are_chosen_by_settings_and_by_how_they_stand(folders, capsys):
    assert len(listed(capsys, "--where", "norm=none")) == 5
    assert len(listed(capsys, "--where", "norm=none", "seed=1")) == 4
    assert len(listed(capsys, "--status", "failed", "unfinished")) == 5
    assert "did you mean 'optimizer.lr'" in refused(capsys, "--where", "optimizer.lrr=1")
    assert "none of the 4 runs in outputs" in refused(capsys, "--status", "running")
    assert "invalid choice: 'fnished'" in refused(capsys, "--status", "fnished")


def test_runs_are_sorted_by_any_column_or_setting(folders, capsys):
    def order(*arguments: str) -> list[str]:
        return [row["run"] for row in records(capsys, *arguments)]

    by_test = order("--sort", "test")
    assert by_test[0] == folders[0].name  # empty cells last
    assert (
        order("--sort", "seed")
        == order("--sort", "seed", "--reverse")[2:] + order("--sort", "seed", "--reverse")[:2]
    )
    assert {*order("--sort", "norm")[:2]} == {folder.name for folder in folders[2:]}
    assert order("--sort", "status")[0] == folders[1].name
    assert "did you mean 'seconds'" in refused(capsys, "--sort", "second")


def records(capsys, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(
        "\n".join(listed(capsys, "--format", "json", *arguments))
    )
    return found


def test_json_and_csv_have_a_column_for_each_setting_that_varies(folders, capsys):
    found = {row["run"]: row for row in records(capsys)}
    first = found[folders[0].name]
    assert first["norm.kind"] == "none"
    assert first["folder"] == str(folders[0])
    assert first["test_accuracy"] == 0.7
    assert first["steps"] == first["trainer.steps"] == 40
    assert found[folders[3].name]["test_accuracy"] is None
    rows = list(csv.DictReader(io.StringIO("\n".join(listed(capsys, "--format", "csv")))))
    assert [row["run"] for row in rows] == list(found)
    assert {row["norm.kind"] for row in rows} == {"none", "batch"}


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_lines_fit_the_terminal(folders, columns, monkeypatch, capsys):
    monkeypatch.setattr(list_command, "width", lambda: columns)
    lines = listed(capsys)
    assert max(map(len, lines)) <= columns
    assert all("finished" in line for line in lines[1:2])
    assert ("seconds" in lines[0]) == (columns >= 80)


def test_settings_are_cut_where_there_is_no_room(compose, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for rate in (0.123456, 0.234567):
        made(compose(*SMALL, f"optimizer.lr={rate}", "init.scale=1.5", "output_dir=outputs"))
    monkeypatch.setattr(list_command, "width", lambda: 40)
    assert all(len(line) <= 40 for line in listed(capsys))
    monkeypatch.setattr(list_command, "width", lambda: None)
    assert "lr=0.123456" in "\n".join(listed(capsys))


def test_sweeps_are_named_by_what_varies_within_each(compose, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name, word in (("a", "optimizer.lr=0.1"), ("a", "optimizer.lr=1"), ("b", "norm=none")):
        made(compose(*SMALL, word, "output_dir=outputs", f"name={name}"))
    names, *lines = listed(capsys)
    assert names.split()[:3] == ["run", "sweep", "settings"]
    assert [line.split()[1:3] for line in lines[:3]] == [
        ["a", "lr=0.1"],
        ["a", "lr=1"],
        ["b", "finished"],
    ]


def test_packed_runs_are_listed_alike(folders, capsys, tmp_path):
    pack(folders[:2], tmp_path / "shared" / PACK, Path("outputs"))
    lines = listed(capsys, "shared")
    assert lines[-1] == "2 runs: 1 finished, 1 diverged"
    assert folders[0].name[:6] in "\n".join(lines)


def test_what_cannot_be_read_is_told_beside(folders, capsys):
    (folders[0] / "result.json").write_text("{")
    list_command.main([])
    told = capsys.readouterr()
    assert told.out.splitlines()[-1].startswith("3 runs: ")
    assert f"bnexp: {folders[0] / 'result.json'}: cannot be read" in told.err


def test_folders_without_runs_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "outputs: no such folder" in refused(capsys)
    Path("outputs").mkdir()
    assert "no runs in outputs" in refused(capsys)


def test_runs_that_have_just_begun_are_listed(configs, capsys):
    folder = made(configs[0], None)
    (folder / "history.csv").unlink()
    line = listed(capsys)[1]
    assert line.split()[1:] == ["unfinished", "0/40"]


def test_three_thousand_runs_are_listed_within_seconds(configs, capsys):
    template = made(configs[0])
    texts = {path.name: path.read_text() for path in template.iterdir()}
    for seed in range(3000):
        folder = template.parent / f"{seed:010x}"
        folder.mkdir()
        for name, text in texts.items():
            text = text.replace("seed: 0", f"seed: {seed}").replace(template.name, folder.name)
            (folder / name).write_text(text)
    began = time.process_time()
    lines = listed(capsys, "--sort", "test")
    assert time.process_time() - began < 3  # of one core, whatever else the machine does
    assert lines[-1] == "3000 runs: 3000 finished"
