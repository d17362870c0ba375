"""Packs: every byte comes back, the analysis sees what it sees in folders, damage is told."""

import json
import re
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from test_plot import exact, out, page  # noqa: F401 (fixtures)

from bnexp.analysis import load_runs
from bnexp.analysis.build import make_report
from bnexp.folders import runs
from bnexp.folders.pack import pack, read, run_table, unpack
from bnexp.folders.runs import PACK, RunError
from bnexp.folders.tables import PREDICTIONS
from bnexp.sweeps.execute import execute

sys.path.insert(0, str(ROOT / "scripts"))
import synthetic_runs

PROBES = "step,probe,layer,statistic,value\n0,a,1,mean,0.5\n0,a,1,std,\n9,b,out,q15,-1.25e-30\n"


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Runs that finished, diverged, failed and are unfinished, with probes, profile and log."""
    root = tmp_path / "outputs"
    synthetic_runs.write_runs(root, 1010, rows=3)
    for sweep in ("synthetic-0", "synthetic-1"):
        for folder in sorted((root / sweep).iterdir())[12:]:
            shutil.rmtree(folder)
        (root / sweep / "commands.log").write_text(f"2026-01-01 python -m bnexp.run '{sweep}'\n")
    one, two, three, *_ = sorted((root / "synthetic-0").glob("*/"))
    (one / "probes.csv").write_text(PROBES)
    runs.write_profile(two, {"train": 1.5, "total": 2.25, "compiled": True, "first_step": None})
    change_result(two, status="failed", error={"type": "ValueError", "message": 'a "ü", b'})
    (two / "history.csv").unlink()
    (three / "result.json").unlink()
    (three / "run.log").write_text("not kept")
    assert "diverged" in set(load_runs(root).runs["status"])
    return root


def change_result(folder: Path, **changes) -> None:
    runs.write_result(folder, json.loads((folder / "result.json").read_text()) | changes)


def packed(root: Path, target: Path) -> Path:
    pack(runs.find_run_folders([root]), target, root)
    return target


def files(root: Path) -> dict[str, bytes]:
    names = ("config.yaml", "result.json", "history.csv", "probes.csv", "profile.json")
    found = [path for name in (*names, "commands.log") for path in root.rglob(name)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_every_byte_comes_back(outputs: Path, tmp_path: Path):
    unpack(packed(outputs, tmp_path / "reference" / PACK), tmp_path / "again")
    assert len(files(outputs)) > 60
    assert files(tmp_path / "again") == files(outputs)


def test_every_byte_of_real_runs_comes_back(compose, tmp_path: Path):
    """One with a list in its config, one that diverges."""
    for rate in ("0.1", "1e38"):
        config = compose(*SMALL, "name=a/b", "trainer.profile=true", f"optimizer.lr={rate}")
        execute(config, 1)
    unpack(packed(tmp_path, tmp_path / PACK), tmp_path / "again")
    again = files(tmp_path / "again")
    assert len(again) == 8
    statuses = {json.loads(text)["status"] for name, text in again.items() if "result" in name}
    assert statuses == {"finished", "diverged"}
    shutil.rmtree(tmp_path / "again")
    assert again == files(tmp_path)


CELLS = st.text(st.characters(exclude_characters=",\r\n", exclude_categories=["Cs"]), max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.lists(CELLS.filter(bool), min_size=1, max_size=5, unique=True),
    rows=st.data(),
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
)
def test_whatever_a_table_or_text_holds_comes_back(tmp_path: Path, header, rows, texts):
    drawn = rows.draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header))))
    root = tmp_path / "outputs"
    shutil.rmtree(tmp_path / "again", ignore_errors=True)
    (root / "s" / "r").mkdir(parents=True, exist_ok=True)
    table = "".join(",".join(row) + "\n" for row in [header, *drawn])
    written = dict(zip(("config.yaml", "result.json", "profile.json"), texts, strict=True))
    for name, text in (written | {"history.csv": table}).items():
        (root / "s" / "r" / name).write_bytes(text.encode())
    unpack(packed(root, tmp_path / PACK), tmp_path / "again")
    assert files(tmp_path / "again") == files(root)


PROBED = "step,probe,layer,statistic,value\n"
DAMAGED = {
    "empty": ("", "damaged"),
    "cut off": (PROBED + "1,a,1,b,2", "damaged"),
    "short row": (PROBED + "1,a\n", "damaged"),
    "long row": (PROBED + "1,a,1,b,2,3\n", "damaged"),
    "two columns of a name": ("step," + PROBED + "1,1,a,1,b,2\n", "damaged"),
    "line ends of Windows": (PROBED.replace("\n", "\r\n") + "1,a,1,b,2\r\n", "Windows"),
}


@pytest.mark.parametrize(("text", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_table_is_not_packed(outputs: Path, tmp_path: Path, text: str, message: str):
    path = min(outputs.rglob("probes.csv"))
    path.write_bytes(text.encode())
    with pytest.raises(RunError, match=rf"probes\.csv: .*{message}"):
        packed(outputs, tmp_path / PACK)
    assert not (tmp_path / PACK).exists()


def test_the_same_runs_give_the_same_bytes(outputs: Path, tmp_path: Path):
    once = packed(outputs, tmp_path / PACK).read_bytes()
    folders = list(runs.find_run_folders([outputs]))
    pack([*folders[::-1], *folders], tmp_path / PACK, outputs)
    assert (tmp_path / PACK).read_bytes() == once
    with pytest.raises(RunError, match=f"must be named {PACK}"):
        packed(outputs, tmp_path / "other.parquet")


def test_unpacking_does_not_overwrite_other_results(outputs: Path, tmp_path: Path):
    target = packed(outputs, tmp_path / PACK)
    unpack(target, outputs)  # the same content
    path = min(outputs.rglob("history.csv"))
    path.write_text("another")
    with pytest.raises(RunError, match=r"history\.csv: is there already, with other content"):
        unpack(target, outputs)
    assert path.read_text() == "another"


# --- the analysis


def test_the_analysis_sees_what_it_sees_in_folders(outputs: Path, tmp_path: Path):
    packed(outputs, tmp_path / "reference" / PACK)
    there, here = load_runs(outputs), load_runs(tmp_path / "reference")
    assert here.sweeps == there.sweeps == ["synthetic-0", "synthetic-1"]
    assert not here.problems
    place = {run: str(tmp_path / "reference" / PACK / Path(run).relative_to(outputs))
             for run in there.runs.index}  # fmt: skip
    assert_frame_equal(here.runs, there.runs.rename(index=place))
    for ours, theirs in ((here.history, there.history), (here.probes, there.probes)):
        assert len(ours)
        assert_frame_equal(ours, theirs.assign(run=theirs["run"].map(place)))


def test_a_sweep_in_a_folder_and_in_a_pack_is_two_sweeps(outputs: Path):
    packed(outputs, outputs / "reference" / PACK)
    found = load_runs(outputs, outputs / "reference")
    names = ["synthetic-0", "synthetic-1"]
    assert found.sweeps == [*(f"reference/{name}" for name in names), *names]
    assert all(len(found.of_sweep(name).runs) <= 12 for name in found.sweeps)
    packed(outputs, outputs / PACK)  # now beside the folders, and with the copies in the other
    beside = load_runs(outputs / "synthetic-0", outputs / PACK.replace(PACK, "reference"))
    assert beside.sweeps == sorted(
        [
            "synthetic-1",
            (outputs / "synthetic-0").as_posix(),
            (outputs / "reference" / PACK / "synthetic-0").as_posix(),
        ]
    )
    assert len(load_runs(outputs, outputs / "reference").sweeps) == 6


def test_a_pack_further_below_is_left_alone(outputs: Path):
    """What a user's own runs are drawn from does not take in the reference beside them."""
    before = load_runs(outputs)
    packed(outputs, outputs / "reference" / PACK)
    assert_frame_equal(load_runs(outputs).runs, before.runs)


def test_a_table_of_one_run_is_read_alike_from_its_folder_and_from_a_pack(outputs: Path):
    folders = sorted({path.parent for path in outputs.rglob("history.csv")})
    text = "label,p0,p1\n1,0.25,0.75\n0,1,0\n"
    (folders[0] / PREDICTIONS).write_text(text)
    target = packed(outputs, outputs / "reference" / PACK)
    for folder in folders:
        inside = target / folder.relative_to(outputs)
        for name in (PREDICTIONS, "history.csv"):
            assert run_table(inside, name) == run_table(folder, name)
    assert run_table(target / folders[0].relative_to(outputs), PREDICTIONS) == text
    assert run_table(target / folders[1].relative_to(outputs), PREDICTIONS) is None
    with pytest.raises(RunError):
        run_table(outputs / "none" / PACK / "sweep" / "run", PREDICTIONS)


def spoil_flip(path: Path) -> None:
    """One bit of the largest column: a bit between the columns may change nothing."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    largest = max(columns, key=lambda column: column.total_compressed_size)
    content = bytearray(path.read_bytes())
    content[largest.data_page_offset + largest.total_compressed_size // 2] ^= 1
    path.write_bytes(content)


def spoil_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def spoil_version(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"bnexp_pack": "0", "commands": "{}"}), path)


def spoil_other(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def spoil_columns(path: Path) -> None:
    file = pq.ParquetFile(path)
    table, noted = file.read().drop_columns("history.csv:val_loss"), file.metadata.metadata
    pq.write_table(table.replace_schema_metadata(noted), path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_flip, "cannot be read"),
        (spoil_cut, "cannot be read"),
        (spoil_version, "another version"),
        (spoil_other, "no pack of runs"),
        (spoil_columns, "cannot be read"),
    ],
)
def test_a_damaged_pack_is_a_problem_and_the_rest_is_loaded(outputs: Path, spoil, message: str):
    target = packed(outputs, outputs / "reference" / PACK)
    spoil(target)
    found = load_runs(outputs, target.parent)
    assert len(found.runs) == 22
    [problem] = found.problems
    assert problem.startswith(f"{target}: ")
    assert message in problem
    assert "\n" not in problem
    with pytest.raises(RunError, match=PACK):
        read(target)


def test_the_report_of_a_pack_is_that_of_its_folders(outputs: Path, out: Path, tmp_path, capsys):  # noqa: F811
    assert make_report([outputs], out) is True  # one failed, one is unfinished
    assert 'href="../outputs/' in page(out)
    tables = {path.name: path.read_bytes() for path in (out / "tables").iterdir()}
    packed(outputs, tmp_path / "packed" / PACK)
    shutil.rmtree(outputs)
    assert make_report([tmp_path / "packed"], out) is True
    assert {path.name: path.read_bytes() for path in (out / "tables").iterdir()} == tables
    assert len(tables) >= 9
    assert "python -m bnexp.run &#39;synthetic-1&#39;" in page(out)
    assert 'href="../outputs/' not in page(out)
    capsys.readouterr()
    count = int((load_runs(tmp_path / "packed").runs["norm.kind"] == "batch").sum())
    make_report([tmp_path / "packed"], out, where={"norm": "batch"})
    sizes = re.findall(r"^synthetic-\d: (\d+) runs", capsys.readouterr().out, re.MULTILINE)
    assert sum(map(int, sizes)) == count < 22
