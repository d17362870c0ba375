"""scripts/plot.py on whatever folders hold: useful output, or one clear line."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, environment

from bnexp.analysis import build, memo, pieces, progress
from bnexp.analysis.build import Options, make_report
from bnexp.analysis.progress import Progress
from bnexp.analysis.workers import Workers

sys.path.insert(0, str(ROOT / "scripts"))
import plot
import synthetic_runs


@pytest.fixture(scope="session")
def exact(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The findings of the exact claims, found once for all tests."""
    return build.check_exact()


@pytest.fixture
def out(exact: dict, tmp_path: Path) -> Path:
    """A folder for a report that knows the exact findings already."""
    folder = tmp_path / "report"
    memory = memo.Memo(folder / ".cache" / "report.json")
    memory.put(build.EXACT, memo.code(), exact)
    memory.write()
    return folder


@pytest.fixture
def copied(reference: Path, tmp_path: Path) -> Path:
    """The reference runs, to be spoiled."""
    return Path(shutil.copytree(reference, tmp_path / "outputs"))


def some_run(sweep: Path) -> Path:
    return min(path.parent for path in sweep.glob("*/result.json"))


def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def figures(out: Path) -> set[str]:
    return {path.name for path in (out / "figures").iterdir()}


PROGRESS = re.compile(
    r"(reading runs|(judging claims and )?drawing|drawing: \d+ of \d+|writing the page)"
)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "plot.py"), *arguments],
        cwd=cwd,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_command_draws_the_quickstart(copied: Path):
    """As a user types it, with nothing known before."""
    drawn = command("outputs/quickstart", cwd=copied.parent)
    assert drawn.returncode == 0, drawn.stderr
    assert all(PROGRESS.fullmatch(line) for line in drawn.stderr.splitlines()), drawn.stderr
    report = copied / "quickstart" / "report"
    names = ("val_accuracy", "val_loss", "sensitivity", "steps_to_target")
    assert figures(report) == {
        f"quickstart_{name}.{kind}" for name in names for kind in ("png", "svg")
    }
    written = {path.name for path in (report / "tables").iterdir()}
    tables = ("claims", "quickstart_summary", "quickstart_figure3", "quickstart_effects")
    data = {"quickstart_runs.csv", "quickstart_curves.csv"}
    assert written == {f"{name}.{kind}" for name in tables for kind in ("csv", "md", "tex")} | data
    summary = pd.read_csv(report / "tables" / "quickstart_summary.csv")
    accuracies = [
        json.loads(path.read_text())["test_accuracy"]
        for path in copied.glob("quickstart/*/result.json")
    ]
    assert summary["test_accuracy_mean"].mean() == pytest.approx(np.mean(accuracies))
    assert "quickstart: 12 runs (12 finished)" in drawn.stdout
    assert "lr=0.1" in drawn.stdout
    claims = pd.read_csv(report / "tables" / "claims.csv").set_index("claim")
    assert claims.loc["algorithm-1", "verdict"] == "supported"
    assert claims.loc["higher-accuracy", "verdict"] == "not run"
    assert "bnexp plot outputs/quickstart" in page(report)


def test_a_mix_of_sweeps_has_a_section_each(reference: Path, out: Path, capsys):
    assert make_report([reference], out) is False
    printed = capsys.readouterr().out
    assert "quickstart: 12 runs" in printed
    assert "original: 6 runs" in printed
    assert {"quickstart_val_loss.png", "original_val_loss.png"} <= figures(out)


def test_one_single_run(copied: Path, out: Path, capsys):
    make_report([some_run(copied / "original")], out)
    assert "original: 1 runs (1 finished)" in capsys.readouterr().out
    assert figures(out) == {
        f"original_{name}.{kind}"
        for name in ("val_accuracy", "val_loss", "steps_to_target")
        for kind in ("png", "svg")
    }


def test_only_diverged_runs(copied: Path, out: Path, capsys):
    """One before its first evaluation, the others after a few."""
    for i, path in enumerate(sorted(copied.glob("quickstart/*/result.json"))):
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"status": "diverged", "test_accuracy": None}))
        history = path.with_name("history.csv")
        history.write_text("".join(history.read_text().splitlines(keepends=True)[: 1 + i]))
    assert make_report([copied / "quickstart"], out) is False
    assert "quickstart: 12 runs (12 diverged)" in capsys.readouterr().out
    assert "quickstart_val_accuracy.png" in figures(out)
    assert "diverged" in page(out)


DAMAGE = {
    "result.json": '{"status": "fini',
    "history.csv": "step,val_loss\n1,2\n",
    "config.yaml": "data: [",
    "config.yaml ": "{data: {}, model: {}, norm: {}, init: {}, optimizer: {}, trainer: {}}",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_named_and_skipped(copied: Path, out: Path, capsys, name: str):
    damaged = some_run(copied / "quickstart") / name.strip()
    damaged.write_text(DAMAGE[name])
    assert make_report([copied / "quickstart"], out) is True
    printed = capsys.readouterr()
    assert f"skipped: {damaged}" in printed.err
    assert "11 runs" in printed.out
    assert damaged.parent.name in page(out)


def test_only_damaged_folders_are_an_error_in_one_line(tmp_path: Path):
    synthetic_runs.write_runs(tmp_path, 2, rows=3)
    for path in tmp_path.rglob("result.json"):
        path.write_text("{")
    refused = command(str(tmp_path), cwd=tmp_path)
    assert refused.returncode == 2
    *skipped, last = refused.stderr.splitlines()
    assert len(skipped) == 2
    assert last.startswith("bnexp: no runs in")


@pytest.mark.parametrize(("folder", "named"), [("nowhere", "no such folder"), (".", "no runs in")])
def test_without_runs_it_says_so_in_one_line(tmp_path: Path, folder: str, named: str):
    refused = command(folder, cwd=tmp_path)
    assert refused.returncode == 2
    assert named in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_in_one_line(reference: Path, tmp_path: Path):
    """Given to the whole group, as a terminal does, while sweeps are drawn."""
    arguments = [str(reference), "--out", str(tmp_path)]
    drawing = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "plot.py"), *arguments],
        env=environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob("figures/*")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(drawing.pid, signal.SIGINT)
    _, told = drawing.communicate(timeout=60)
    assert drawing.returncode == 130
    *progress, empty, last = told.splitlines()
    assert (empty, last) == ("", "bnexp: stopped; the same command goes on from here")
    assert all(PROGRESS.fullmatch(line) for line in progress)


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """scripts/plot.py in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["plot.py", *arguments])
    try:
        plot.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_strict_tells_by_its_exit_code(copied: Path, out: Path, monkeypatch):
    arguments = [str(copied / "quickstart"), "--out", str(out)]
    assert called(monkeypatch, *arguments, "--strict") == 0
    (some_run(copied / "quickstart") / "result.json").unlink()
    assert called(monkeypatch, *arguments) == 0
    assert called(monkeypatch, *arguments, "--strict") == 1


def test_one_pieces_trouble_costs_nothing_else(reference, out: Path, monkeypatch, capsys):
    """Of data that nobody thought of; an error of the program's own is not hidden."""
    make = pieces.made

    def troubled(runs, piece: str, stem: str, *arguments) -> dict:
        if stem == "original" and piece.endswith(".targets"):
            raise ValueError("of an unusual kind")
        return make(runs, piece, stem, *arguments)

    monkeypatch.setattr(pieces, "made", troubled)
    make_report([reference], out, Options(metrics=("val_accuracy",), claims=False))
    printed = capsys.readouterr()
    line = "targets could not be made (ValueError: of an unusual kind)"
    assert f"original: {line}" in printed.err
    assert {"quickstart_val_accuracy.svg", "original_val_accuracy.svg"} <= figures(out)
    assert "original_steps_to_target.svg" not in figures(out)
    assert f"Not all of this sweep is here: {line}" in page(out)
    assert f"<li>original: {line}</li>" in page(out)
    with pytest.raises(TypeError):
        build._guarded("original", "tables", lambda: len(3))


def test_sweeps_without_a_mean_curve_are_pages_all_the_same(tmp_path: Path, out: Path, capsys):
    """An arm or a single run that diverged at its first evaluation, and one of failed runs."""
    synthetic_runs.write_runs(tmp_path / "runs", 3, rows=4)
    folder = tmp_path / "runs" / "synthetic-0"
    for name, status, rows in (
        ("at_once", "diverged", 0),
        ("first", "diverged", 1),
        ("failed", "failed", 0),
    ):
        copy = Path(shutil.copytree(folder, tmp_path / "runs" / name))
        for path in copy.glob("*/result.json"):
            result = json.loads(path.read_text())
            result |= {"status": status, "steps": 60, "test_accuracy": None}
            path.write_text(json.dumps(result | {"final_val_accuracy": None}))
            history = path.with_name("history.csv")
            history.write_text("".join(history.read_text().splitlines(keepends=True)[: 1 + rows]))
        if name == "first":  # one is evaluated once, and the rest before nothing
            for history in sorted(copy.glob("*/history.csv"))[1:]:
                history.write_text(history.read_text().splitlines(keepends=True)[0])
    make_report([tmp_path / "runs"], out, Options(metrics=("val_accuracy",)))
    printed = capsys.readouterr()
    assert all(PROGRESS.fullmatch(line) for line in printed.err.splitlines())
    for name in ("at_once: 3 runs (3 diverged)", "first: 3 runs (3 diverged)", "failed: 3 runs"):
        assert name in printed.out
    assert "first_val_accuracy.svg" in figures(out)


def test_a_path_with_a_dollar_is_drawn(tmp_path: Path, out: Path):
    r"""`$\frac{1}{2$` is no formula."""
    synthetic_runs.write_runs(tmp_path, 2, rows=3)
    for i, path in enumerate(sorted(tmp_path.glob("*/*/config.yaml"))):
        path.write_text(path.read_text().replace("kind: mnist", f"kind: 'of $\\frac{{{i}}}{{2$'"))
    assert make_report([tmp_path / "synthetic-0"], out, Options(metrics=("val_loss",))) is False


def test_where_chooses_and_the_rest_is_not_shown(reference, out: Path, monkeypatch, capsys):
    arguments = [str(reference / "quickstart"), "--out", str(out)]
    assert called(monkeypatch, *arguments, "--where", "norm=batch", "optimizer.lr=0.1,1e1") == 0
    assert "quickstart: 3 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("norm", "--where norm: needs KEY=VALUE"),
        ("optimzer.lr=1", "no run has the key 'optimzer.lr'; did you mean 'optimizer.lr'?"),
        ("norm=layer", "has norm=layer"),
    ],
)
def test_a_wrong_where_is_told(
    reference: Path, out: Path, monkeypatch, capsys, where: str, message: str
):
    arguments = [str(reference / "quickstart"), "--out", str(out), "--where", where]
    assert called(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_formats_metrics_and_axes(reference: Path, out: Path, monkeypatch):
    options = ["--format", "pdf", "--metric", "train_loss", "--x", "seconds"]
    assert called(monkeypatch, str(reference / "original"), "--out", str(out), *options) == 0
    assert {"original_train_loss.pdf", "original_train_loss.svg"} <= figures(out)
    assert not any("val_loss" in name for name in figures(out))


def test_help_has_examples_and_is_quick():
    shown = command("--help", cwd=ROOT)
    listed = "--out --format --metric --x --where --title --no-claims --strict Examples:"
    for option in listed.split():
        assert option in shown.stdout
    loads = "import sys, plot; plot.parser(); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", loads], cwd=ROOT / "scripts", capture_output=True, text=True
    ).stdout.split()
    assert not {"pandas", "matplotlib", "tensorflow"} & set(modules)


def test_what_has_not_changed_is_not_drawn_again(copied: Path, out: Path, monkeypatch):
    wanted: list[str] = []

    class Noted(Workers):
        def __init__(self, jobs, **how) -> None:
            wanted[:] = sorted({name for name, _ in jobs})
            super().__init__(jobs, **how)

    monkeypatch.setattr(build, "Workers", Noted)

    def made(**changes) -> list[str]:
        make_report([copied], out, Options(**changes))
        return list(wanted)

    assert made() == ["original", "quickstart"]
    assert made() == []
    assert made(title="Another") == []
    first = page(out)
    (out / "figures" / "original_val_loss.png").unlink()
    assert made() == ["original"]
    history = some_run(copied / "quickstart") / "history.csv"
    history.write_text(history.read_text().replace("\n100,", "\n101,"))
    assert made() == ["quickstart"]
    assert made(x="epoch") == ["original", "quickstart"]
    assert page(out) != first


def test_without_claims_none_is_judged_nor_checked(reference: Path, out: Path, monkeypatch, capsys):
    monkeypatch.setattr(build, "judge", lambda found: pytest.fail("a claim was judged"))
    monkeypatch.setattr(build, "check_exact", lambda: pytest.fail("an exact claim was checked"))
    (out / ".cache" / "report.json").unlink()
    arguments = [str(reference / "quickstart"), "--out", str(out), "--no-claims"]
    assert called(monkeypatch, *arguments, "--title", "BN <on> our data") == 0
    assert "claims, by" not in capsys.readouterr().out
    assert not (out / "tables" / "claims.csv").exists()
    assert "<h1>BN &lt;on&gt; our data</h1>" in page(out)
    assert 'id="claims"' not in page(out)


def test_the_terminal_leads_with_what_came_out(reference: Path, out: Path, monkeypatch, capsys):
    called(monkeypatch, str(reference / "quickstart"), "--out", str(out), "--no-claims")
    first, _, title, answer, *_ = capsys.readouterr().out.splitlines()
    assert first == "quickstart: 12 runs (12 finished)"
    assert (
        title == "Each arm at its own best learning rate, by validation accuracy on the same seeds:"
    )
    assert re.match(
        r"→ Batch Normalization reaches [\d.]+% test accuracy, no norm.* points", answer
    )


# ---- what is told while it takes long ------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT", 0.05)
    monkeypatch.setattr(progress, "EVERY", 0.05)


def test_what_takes_long_is_told_in_lines(quick, capsys):
    with Progress() as told:
        told.stage("reading runs")
        time.sleep(0.12)
        told.stage("drawing", 3)
        told.advance()
        time.sleep(0.12)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading runs"
    assert lines[-1] == "drawing: 1 of 3"


def test_what_is_quick_is_not_told(capsys):
    with Progress() as told:
        told.stage("drawing", 3)
    assert capsys.readouterr().err == ""


# ---- work in other processes -------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_jobs_give_results_or_raise_what_went_wrong(apart: bool):
    jobs = {"good": partial(dict, a=1), "bad": partial(int, "x")}
    with Workers(jobs, apart=apart) as workers:
        results = dict(workers.results())
        assert results["good"]() == {"a": 1}
        with pytest.raises(ValueError, match="invalid literal"):
            results["bad"]()
