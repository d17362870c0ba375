"""Runs are told apart by what they are: settings by values, files, arms and sweeps by names."""

import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from synthetic import rising, run, runs

from bnexp.analysis import build, compare, load_runs, style
from bnexp.analysis.best_rates import best_rates, doubts
from bnexp.analysis.build import file_stems
from bnexp.analysis.curves import after_divergence
from bnexp.analysis.measures import MeasureError, parts
from bnexp.analysis.report.data import curves_data
from bnexp.folders import pack_command
from bnexp.folders.pack import unpack
from bnexp.folders.runs import DIVERGED, find_run_folders
from bnexp.where import settings

sys.path.insert(0, str(ROOT / "scripts"))
import synthetic_runs


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    synthetic_runs.write_runs(tmp_path / "outputs", 3, rows=4)
    return tmp_path / "outputs" / "synthetic-0"


NEAR = {
    "digits": ("optimizer.lr", (0.3, 0.30000000000000004)),
    "decay": ("schedule.rate", (0.9999999, 0.9999995)),
    "null": ("data.note", (None, "null")),
    "widths": ("model.hidden", ("100-100-100", "3×100")),
    "hashes": ("data._content_", ("a" * 63 + "b", "a" * 64)),
}


@pytest.mark.parametrize("case", NEAR)
def test_settings_are_told_apart_by_value(case: str):
    key, values = NEAR[case]
    found = runs([run({key: value}, [0.5], seed=seed) for value in values for seed in range(3)])
    assert found.runs["condition"].nunique() == 2
    assert (found.runs.groupby("condition")["seed"].count() == 3).all()
    assert len(parts(found)) == len({name for name, _ in parts(found)}) == 2
    data = curves_data(found)
    assert data is not None
    assert [len(set(one["values"])) for one in data["keys"]] == [2]
    assert len({tuple(group) for group in data["groups"]}) == 2


def test_normalizers_of_one_name_from_two_files_are_two_arms():
    kinds = ("mine:Scale", "yours:Scale", "theirs:Other")
    found = runs([run({"norm.kind": kind}, [0.5]) for kind in kinds])
    assert set(found.runs["arm"]) == {"mine:Scale", "yours:Scale", "Other"}


def test_a_copied_run_is_listed_and_no_further_seed(sweep: Path):
    folder = min(path.parent for path in sweep.glob("*/result.json"))
    shutil.copytree(folder, sweep / "0 copy")  # before it by name
    found = load_runs(sweep)
    assert len(found.runs) == 3
    assert str(folder) in found.runs.index
    assert set(found.history["run"]) == set(found.runs.index)
    [problem] = found.problems
    assert problem == f"{sweep / '0 copy'}: left out: the same settings and seed as {folder}"
    moved = yaml.safe_load((folder / "config.yaml").read_text())
    moved["seed"] = 7
    (sweep / "0 copy" / "config.yaml").write_text(yaml.safe_dump(moved))
    assert len(load_runs(sweep).runs) == 4


def test_a_key_of_another_version_loses_no_pair(sweep: Path):
    """One run has a key that this version does not know; the others lack it."""
    path = min(sweep.glob("*/config.yaml"))
    tree = yaml.safe_load(path.read_text())
    tree["norm"]["later"] = 0.5
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    before = load_runs(sweep)
    assert before.runs["arm"].nunique() == 1
    [told] = before.problems
    assert told.startswith("norm.later: not known to this version; 2 runs that lack it")


def test_links_are_followed_and_nothing_is_found_twice(sweep: Path, tmp_path: Path):
    outputs = sweep.parent
    elsewhere = tmp_path / "elsewhere"
    sweep.rename(elsewhere)
    (outputs / "linked").symlink_to(elsewhere)
    (outputs / "a link to itself").symlink_to(outputs)
    assert load_runs(outputs).sweeps == ["linked"]
    assert len(load_runs(outputs).runs) == 3
    (outputs / "real").mkdir()
    shutil.copytree(elsewhere, outputs / "real" / "one")
    (outputs / "again").symlink_to(outputs / "real" / "one")
    assert load_runs(outputs).sweeps == ["linked", "real/one"]
    assert len(list(find_run_folders([outputs, outputs / "real"]))) == 6
    pack_command.pack_into([outputs], tmp_path / "packed")
    unpack(tmp_path / "packed" / "runs.parquet", tmp_path / "back")
    assert load_runs(tmp_path / "back").sweeps == ["linked", "real/one"]


def test_no_two_sweeps_share_a_file():
    sweeps = ["a/b", "a_b", "x/A_b", "x_a_b", "c", "..", "_", "d/e"]
    stems = file_stems(sweeps)
    assert len({stem.lower() for stem in stems.values()}) == len(sweeps)
    assert (stems["c"], stems["a_b"], stems["d/e"]) == ("c", "a_b", "d_e")
    assert all(re.match(r"[^._/][^/]*$", stem) for stem in stems.values())
    assert file_stems(["a/b"])["a/b"] == "a_b"


def chosen(found: pd.DataFrame) -> list[tuple[str, float]]:
    return list(zip(found["arm"], found["optimizer.lr"], strict=True))


def test_where_combines_and_takes_lists_and_ids():
    found = runs(
        [
            run({"norm.kind": arm, "optimizer.lr": lr, "model.hidden": hidden}, [0.5], run_id=name)
            for arm, lr, hidden, name in (
                ("none", 0.1, "100-100", "1614659003"),
                ("batch", 0.1, "100", "04391521e0"),
                ("batch", 1.0, "100-100", "abc"),
            )
        ]
    )

    def where(*texts: str) -> set[str]:
        return set(found.where(settings(texts)).runs["run_id"])

    assert where("norm=batch", "optimizer.lr=0.1") == {"04391521e0"}
    assert where("norm=batch", "norm=none") == where("norm=batch,none") == set(found.runs["run_id"])
    assert where("model.hidden=[100,100]") == {"1614659003", "abc"}
    assert where("model.hidden=[100],[100,100]") == set(found.runs["run_id"])
    assert where("run_id=1614659003,04391521e0") == {"1614659003", "04391521e0"}
    assert where("optimizer.lr=1e-1") == {"1614659003", "04391521e0"}
    assert where("norm=[") == set()
    assert set(found.where({"model.hidden": (100, 100)}).runs["run_id"]) == {"1614659003", "abc"}


def test_an_option_given_twice_counts_twice():
    from bnexp.analysis.command import parser

    words = ["--where", "norm=none", "--where", "seed=0", "--metric", "a_b", "--metric", "c_d"]
    given = parser().parse_args(words)
    assert (given.where, given.metric) == (["norm=none", "seed=0"], ["a_b", "c_d"])


@pytest.mark.parametrize("count", [6, 8, 40])
def test_no_two_arms_look_alike(count: int):
    arms = ["none", "batch", *(f"batch momentum={i}" for i in range(count))]
    looks = style.looks(arms)
    assert len({look.colour for look in looks.values()}) == len(arms)
    assert len({(look.colour, str(look.line)) for look in looks.values()}) == len(arms)
    turns = {}
    for number, arm in enumerate(arms[2:]):
        turns.setdefault(number // len(style.MORE_COLOURS), set()).add(
            (str(looks[arm].line), str(looks[arm].marker))
        )
    assert all(len(alike) == 1 for alike in turns.values())
    assert len({next(iter(alike)) for alike in turns.values()}) == len(turns)


def test_a_normalizer_says_itself_what_legends_call_it(tmp_path: Path, monkeypatch):
    assert style.label("batch momentum=0.9") == "Batch Normalization, momentum=0.9"
    assert style.label("group") == "Group Normalization"
    assert style.label("unheard_of") == "unheard_of"


def test_an_arm_is_not_named_after_a_key_that_it_does_not_read():
    configs = (
        {"norm.kind": "layer", "norm.momentum": None},
        {"norm.kind": "batch", "norm.momentum": 0.1},
        {"norm.kind": "batch", "norm.momentum": 0.9},
    )
    table = runs([run(config, [0.5]) for config in configs]).runs
    assert set(table["arm"]) == {"layer", "batch momentum=0.1", "batch momentum=0.9"}


def rates(*cells: tuple[float, int, float]):
    """Runs of one arm: rate, seeds, final accuracy."""
    return runs(
        [
            run({"optimizer.lr": rate}, rising(final), seed=seed)
            for rate, seeds, final in cells
            for seed in range(seeds)
        ]
    )


def test_one_lucky_seed_does_not_beat_five_untold():
    best = best_rates(rates((0.1, 5, 0.8), (1.0, 5, 0.7), (3.0, 1, 0.9)))
    assert best[["rate", "n"]].iloc[0].tolist() == [0.1, 5]
    assert doubts(best).endswith("Higher, but of fewer seeds and so not chosen: none: 3.")
    assert "not chosen" not in doubts(best_rates(rates((0.1, 2, 0.8), (1.0, 2, 0.9))))


def test_compare_counts_diverged_runs_as_chance():
    made = [
        run({"norm.kind": arm}, rising(0.6), seed=seed, classes=4)
        for arm in ("none", "batch")
        for seed in range(2)
    ]
    made.append(run({}, [], seed=2, status=DIVERGED, classes=4))
    made.append(run({"norm.kind": "batch"}, rising(0.6), seed=2, classes=4))
    found = runs(made)
    [row] = compare(found).to_dict("records")
    assert (row["n"], row["diverged"]) == (3, 1)
    assert row["difference"] == pytest.approx((0.6 - 0.25) / 3)
    [loss] = compare(found, "test_log_loss").to_dict("records")
    assert (loss["n"], loss["diverged"], loss["verdict"]) == (0, 1, "inconclusive")
    assert after_divergence(found, "val_accuracy").endswith("as chance, 25%")


def test_compare_without_what_it_needs_says_so():
    found = runs(
        [run({}, [], status="unfinished"), run({"norm.kind": "batch"}, [], status="failed")]
    )
    empty = compare(found)
    assert empty.empty
    assert "difference" in empty.columns
    found = runs([run({}, [0.5]), run({"norm.kind": "batch"}, [0.5])])
    with pytest.raises(MeasureError, match=r"baseline='bach'.*\(none, batch\).*'batch'"):
        compare(found, baseline="bach")
    with pytest.raises(MeasureError, match=r"metric='test_acuracy'.*'test_accuracy'"):
        compare(found, "test_acuracy")


def test_nothing_is_left_where_a_report_ends_in_an_error(sweep: Path, tmp_path: Path, monkeypatch):
    from bnexp.folders.runs import RunError

    before = sorted(tmp_path.rglob("*"))
    options = build.Options(metrics=("val_nothing",))
    for arguments in ({"options": options}, {"where": {"norm": ["other"]}}):
        with pytest.raises(RunError):
            build.make_report([sweep], tmp_path / "report", **arguments)
    assert sorted(tmp_path.rglob("*")) == before
