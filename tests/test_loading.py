"""Loading: tidy tables, names by what differs, damage that is listed, a cache never stale."""

import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from pandas.testing import assert_frame_equal
from synthetic import run, runs

from bnexp.analysis import cache, load_runs
from bnexp.analysis.cache import Cache
from bnexp.analysis.loading import Runs
from bnexp.analysis.reading import read_folders
from bnexp.folders import runs as folders
from bnexp.folders.runs import RunError

sys.path.insert(0, str(ROOT / "scripts"))
import synthetic_runs


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Twelve run folders that are long settled."""
    synthetic_runs.write_runs(tmp_path, 12, rows=5)
    folder = tmp_path / "synthetic-0"
    age(folder)
    return folder


def age(folder: Path) -> None:
    """Makes files look settled; a change's ctime cannot be set, so the clock's limit is."""
    then = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files just written are kept too, but where a test is about that."""
    monkeypatch.setattr(cache, "SETTLED_NS", 0)


def kept(sweep: Path) -> Cache:
    """As a report has it, elsewhere than where runs are read."""
    return Cache(sweep.parent / "report" / cache.FOLDER)


def cached(sweep: Path) -> Runs:
    """Loaded as a report does."""
    memory = kept(sweep)
    found = load_runs(sweep, cache=memory)
    memory.write()
    return found


def same(a: Runs, b: Runs) -> None:
    assert_frame_equal(a.runs, b.runs)
    assert_frame_equal(a.history, b.history)
    assert_frame_equal(a.probes, b.probes)


def some_run(sweep: Path) -> Path:
    """A run that finished."""
    table = load_runs(sweep).runs
    return Path(table.index[table["status"] == "finished"][0])


def test_tables_are_tidy(sweep: Path):
    found = load_runs(sweep.parent)
    assert len(found.runs) == 12
    assert found.sweeps == ["synthetic-0"]
    assert found.runs["optimizer.lr"].nunique() == 10
    assert set(found.history["run"]) <= set(found.runs.index)
    finished = found.runs[found.runs["status"] == "finished"]
    counts = found.history.groupby("run").size()
    assert (counts[finished.index] == 5).all()


def test_the_cache_gives_what_reading_gives(sweep: Path):
    fresh = load_runs(sweep)
    same(cached(sweep), fresh)
    assert list((sweep.parent / "report" / cache.FOLDER).iterdir())
    same(cached(sweep), fresh)


def test_nothing_is_written_where_runs_are_read(sweep: Path):
    def content() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in [sweep, *sweep.rglob("*")]}

    before = content()
    load_runs(sweep)
    memory = kept(sweep)
    load_runs(sweep, cache=memory)
    assert not (sweep.parent / "report").exists()  # before it is asked to
    memory.write()
    assert content() == before


def test_what_is_cached_is_not_read_again(sweep: Path, monkeypatch: pytest.MonkeyPatch):
    cached(sweep)

    def fail(folder: Path) -> None:
        raise AssertionError(f"{folder} was read")

    monkeypatch.setattr("bnexp.analysis.reading._row", fail)
    assert len(cached(sweep).runs) == 12


def touch_history(folder: Path) -> None:
    path = folder / "history.csv"
    path.write_text(path.read_text().replace("\n50,", "\n51,"))


def touch_in_place(folder: Path) -> None:
    """Same inode, same size, and the modification time set back."""
    path = folder / "history.csv"
    before = path.stat()
    with path.open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace("\n50,", "\n51,"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def touch_result(folder: Path) -> None:
    path = folder / "result.json"
    path.write_text(path.read_text().replace('"threads": 1', '"threads": 7'))


def touch_config(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 9"))


def remove_result(folder: Path) -> None:
    (folder / "result.json").unlink()


def add_probes(folder: Path) -> None:
    (folder / "probes.csv").write_text("step,probe,layer,statistic,value\n0,a,1,mean,0.5\n")


def remove_run(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


CHANGES = (
    touch_history,
    touch_in_place,
    touch_result,
    touch_config,
    remove_result,
    add_probes,
    remove_run,
)


@pytest.mark.parametrize("change", CHANGES)
def test_the_cache_is_never_stale(sweep: Path, change):
    before = cached(sweep)
    change(some_run(sweep))
    after = cached(sweep)
    same(after, load_runs(sweep))
    unchanged = after.runs.equals(before.runs) and after.history.equals(before.history)
    assert not (unchanged and after.probes.equals(before.probes))


def test_runs_that_come_later_join_the_cached_ones(sweep: Path):
    cached(sweep)
    synthetic_runs.write_runs(sweep.parent, 20, rows=5)
    same(cached(sweep), load_runs(sweep))


def test_what_was_just_written_is_not_kept(sweep: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cache, "SETTLED_NS", 10**12)
    cached(sweep)
    assert not (sweep.parent / "report").exists()


def test_another_versions_cache_is_not_used(sweep: Path, monkeypatch: pytest.MonkeyPatch):
    cached(sweep)
    monkeypatch.setattr(cache, "_reader", lambda: "another")
    signatures = {folder: cache.signature(folder) for folder in sweep.iterdir()}
    assert not kept(sweep).get(sweep, signatures).rows
    same(cached(sweep), load_runs(sweep))


@pytest.mark.parametrize("content", [b"", b"PAR1 not really PAR1", b"\0" * 100])
def test_a_damaged_cache_is_not_used(sweep: Path, content: bytes):
    cached(sweep)
    [file] = (sweep.parent / "report" / cache.FOLDER).iterdir()
    file.write_bytes(content)
    same(cached(sweep), load_runs(sweep))


def test_a_cache_that_cannot_be_written_is_no_error(sweep: Path):
    (sweep.parent / "report").write_text("in the way")
    assert len(cached(sweep).runs) == 12


def test_probes_are_loaded(sweep: Path):
    folder = some_run(sweep)
    add_probes(folder)
    for _ in range(2):
        [row] = cached(sweep).probes.to_dict("records")
        assert row == {
            "run": str(folder),
            "step": 0,
            "probe": "a",
            "layer": "1",
            "statistic": "mean",
            "value": 0.5,
        }


def test_text_in_chunks_is_cached_too(sweep: Path):
    """As pandas reads it from very long tables, or puts it together."""
    folder = some_run(sweep)
    add_probes(folder)
    records = read_folders([folder])
    twice = pd.concat([records.probes] * 2, ignore_index=True)
    memory = kept(sweep)
    memory.put(sweep, replace(records, probes=twice), {folder: "stamp"})
    memory.write()
    assert_frame_equal(memory.get(sweep, {folder: "stamp"}).probes, twice)


DAMAGE = {
    "cut off": ("history.csv", lambda text: text[:-3], "damaged"),
    "no table": ("history.csv", lambda text: "", "lacks the columns step"),
    "cut by a row": ("history.csv", lambda text: text[: text[:-1].rindex("\n") + 1], "damaged"),
    "no numbers": ("history.csv", lambda text: text.replace("\n50,", "\nfifty,"), "cannot be read"),
    "no json": ("result.json", lambda text: text[:50], "cannot be read"),
    "no status": ("result.json", lambda text: "{}", "no result of a run"),
    "no config": ("config.yaml", lambda text: "a: [", "cannot be read"),
    "bad probes": ("probes.csv", lambda text: "step,probe\n", "lacks the columns layer"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_folders_are_listed_and_the_others_loaded(sweep: Path, damage: str):
    name, spoil, message = DAMAGE[damage]
    path = some_run(sweep) / name
    path.write_text(spoil(path.read_text() if path.exists() else ""))
    for _ in range(2):
        found = cached(sweep)
        assert len(found.runs) == 11
        assert set(found.history["run"]) <= set(found.runs.index)
        [problem] = found.problems
        assert problem.startswith(f"{path}: {message}")


def test_an_unfinished_run_is_loaded_as_such(sweep: Path):
    folder = some_run(sweep)
    (folder / "result.json").unlink()
    (folder / "history.csv").unlink()
    found = load_runs(sweep)
    assert found.runs.loc[str(folder), "status"] == "unfinished"
    assert len(found.runs) == 12
    assert not found.problems


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(RunError, match="no such folder"):
        load_runs(tmp_path / "nowhere")
    assert load_runs(tmp_path).runs.empty


def test_where_chooses_runs_by_settings(sweep: Path):
    found = load_runs(sweep)
    chosen = found.where({"norm": "none", "optimizer.lr": [0.5, 1.0]})
    assert sorted(chosen.runs["optimizer.lr"].unique()) == [0.5, 1.0]
    assert set(chosen.history["run"]) <= set(chosen.runs.index)
    assert found.where({"seed": 99}).runs.empty
    with pytest.raises(RunError, match=r"no run has the key 'optimizer\.rate'"):
        found.where({"optimizer.rate": 1})


def names(*configs: dict) -> pd.DataFrame:
    return runs([run(config, [0.5]) for config in configs]).runs


def test_arms_and_conditions_are_named_by_what_differs():
    table = names(
        *(
            {"norm.kind": kind, "optimizer.lr": lr, "init.kind": init, "init.stddev": stddev}
            for kind in ("batch", "none")
            for lr in (1.0, 0.1)
            for init, stddev in (("he", 0.0), ("gaussian", 0.1))
        )
    )
    assert list(table["condition"].unique()) == [
        "init=gaussian, lr=0.1",
        "init=gaussian, lr=1",
        "init=he, lr=0.1",
        "init=he, lr=1",
    ]
    assert list(table["arm"].unique()) == ["none", "batch"]


def test_what_a_kind_does_not_vary_in_is_not_named():
    table = names(
        {"init.kind": "gaussian", "init.stddev": 0.1},
        {"init.kind": "gaussian", "init.stddev": 1.0},
        {"init.kind": "he", "init.stddev": 0.1},
    )
    named = ["init=gaussian, stddev=0.1", "init=gaussian, stddev=1", "init=he"]
    assert list(table["condition"]) == named


def test_what_follows_from_other_settings_is_not_named():
    table = names(
        {"trainer.steps": 60_000, "trainer.batch_size": 2, "optimizer.lr": 1.0},
        {"trainer.steps": 60_000, "trainer.batch_size": 2, "optimizer.lr": 0.1},
        {"trainer.steps": 30_000, "trainer.batch_size": 4, "optimizer.lr": 1.0},
    )
    named = ["lr=0.1, batch_size=2", "lr=1, batch_size=2", "lr=1, batch_size=4"]
    assert list(table["condition"]) == named


def test_norm_settings_tell_arms_apart_but_not_where_there_is_no_norm():
    table = names(
        {"norm.kind": "none"},
        {"norm.kind": "batch", "norm.momentum": 0.5},
        {"norm.kind": "batch", "norm.momentum": 0.99},
    )
    assert list(table["arm"]) == ["none", "batch momentum=0.5", "batch momentum=0.99"]


def test_probes_are_named_last_and_none_of_them_by_a_word():
    short = {"trainer.steps": 10, "probes.record": ""}
    probed = {"trainer.steps": 10, "probes.record": "activations"}
    long = {"trainer.steps": 50, "probes.record": "activations"}
    assert list(names(short, long)["condition"]) == ["steps=10", "steps=50"]
    assert list(names(short, probed)["condition"]) == ["record=none", "record=activations"]


def test_keys_with_the_same_last_part_are_named_in_full():
    table = names(*({"a.size": a, "b.size": b} for a in (1, 2) for b in (1, 2)))
    assert table["condition"].iloc[0] == "a.size=1, b.size=1"


def test_copies_of_a_sweep_are_two_sweeps_and_not_twice_the_seeds(sweep: Path):
    shutil.copytree(sweep, sweep.parent / "reference" / sweep.name)
    found = load_runs(sweep.parent)
    assert found.sweeps == ["reference/synthetic-0", "synthetic-0"]
    assert len(found.of_sweep("synthetic-0").runs) == 12
    apart = load_runs(sweep, sweep.parent / "reference" / sweep.name)
    assert len(apart.sweeps) == 2
    assert all(len(apart.of_sweep(name).runs) == 12 for name in apart.sweeps)
    assert load_runs(some_run(sweep)).sweeps == ["synthetic-0"]
    assert load_runs(sweep).sweeps == ["synthetic-0"]


def test_what_runs_have_in_common_is_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    load = yaml.load
    monkeypatch.setattr(
        yaml, "load", lambda text, *how, **named: parsed.append(text) or load(text, *how, **named)
    )
    synthetic_runs.write_runs(tmp_path, 120, rows=5)
    folders._group.cache_clear()
    parsed.clear()
    assert len(load_runs(tmp_path).runs) == 120
    assert len(parsed) < 60


@pytest.mark.parametrize(
    "text",
    [
        "a:\n  b: [1, 2]\n  c: null\nd: 1e-3\n",
        "a: 1\na: 2\n",
        "a: 'x\n\n  y: z'\nb: |+\n  c: d\n\nyes: no\n",
        "# says\na: {b: 1}\n? c\n: d\n",
        "a: &x {b: 1}\nc: *x\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n...\nb: 2\n",
        "a: [1,\nb: 2]\n",
        "a: 'x\nb: y'\n",
        "a: x\n  b: 1\n",
        "- a\n",
        "",
    ],
)
def test_a_config_parsed_by_groups_is_the_one_parsed_whole(text: str) -> None:
    found = folders._by_groups(text)
    try:
        whole = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        assert found is None
    else:
        assert found in (None, whole) or (found == {} and not whole)
