"""The report page: its data, and the page itself in a browser without a network."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pytest
import yaml
from browser import chart, launched, new_tab, opened
from matplotlib.figure import Figure
from matplotlib.image import imread

from bnexp.analysis import Runs, load_runs, style, tables
from bnexp.analysis.answers import answer
from bnexp.analysis.claims.model import (
    MATHEMATICS,
    NOT_RUN,
    PAPER,
    POINTS,
    PROTOCOL,
    Claim,
    Finding,
    Judgement,
    by_rule_r,
)
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.drawing import Drawing, Saved
from bnexp.analysis.presets import question
from bnexp.analysis.report import Section, data, sections, verdicts, write_report
from bnexp.analysis.report.seeds import seeds_data
from bnexp.analysis.report.table import relative_url, runs_data
from bnexp.analysis.statistics import (
    CONTRADICTED,
    INCONCLUSIVE,
    SUPPORTED,
    Estimate,
    t_interval,
)
from bnexp.config import scientific
from bnexp.config.compose import compose
from bnexp.folders import runs as folders
from bnexp.folders.runs import DIVERGED, FAILED, FINISHED
from bnexp.folders.tables import HISTORY, HISTORY_COLUMNS, TableFile

SCRIPT = "<script>window.pwned=1</script>"
IMAGE = '"><img src=x onerror=window.pwned=1>'
SWEEP = f"odd {IMAGE} #1?"  # a folder's name
STEPS = (10, 20, 30)


# ---- run folders with everything that can be in them -------------------------------------------


def write_run(folder: Path, changes: dict[str, Any], rows: int, status: str | None) -> None:
    """A run folder like a real one, whose settings differ from quickstart's."""
    folder.mkdir(parents=True)
    chosen = ("model=mlp", "init=gaussian", "optimizer=sgd", f"trainer.steps={STEPS[-1]}")
    config = scientific(compose(*chosen))
    for key, value in changes.items():
        group, _, name = key.rpartition(".")
        (config[group] if group else config)[name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    accuracy = [0.5 + 0.01 * changes["seed"] + step / 100 for step in STEPS[:rows]]
    TableFile(folder / HISTORY, HISTORY_COLUMNS).begin(
        {"step": step, "epoch": step / 10, "train_loss": 1 - value, "val_loss": 1 - value}
        | {"val_accuracy": value, "seconds": step / 1000}
        for step, value in zip(STEPS, accuracy, strict=False)
    )
    if status:
        seconds = 1.5 * len(folder.name) + changes["seed"]
        error = {"type": "ValueError", "message": SCRIPT + IMAGE} if status == FAILED else None
        result = {"run_id": folder.name, "status": status, "steps": rows * 10, "error": error}
        result |= {"total_seconds": seconds}
        if status == FINISHED:
            result |= dict.fromkeys(("test_accuracy", "final_val_accuracy"), accuracy[-1])
        folders.write_result(folder, result)


def write_sweep(folder: Path) -> None:
    """Two arms and two rates with three seeds; then each way to end badly."""
    cells = product(("none", SCRIPT), (0.1, 1.0), range(3))
    for i, (kind, rate, seed) in enumerate(cells):
        changes = {"norm.kind": kind, "optimizer.lr": rate, "seed": seed}
        write_run(folder / f"good{i}", changes, 3, FINISHED)
    bad = {"norm.kind": "none", "optimizer.lr": 10.0}
    write_run(folder / "diverged", bad | {"seed": 0}, 2, DIVERGED)
    write_run(folder / "at once", bad | {"seed": 1}, 0, DIVERGED)
    write_run(folder / "failed", bad | {"seed": 2}, 0, FAILED)
    write_run(folder / "unfinished", bad | {"seed": 3}, 1, None)
    write_run(folder / "damaged", bad | {"seed": 4}, 3, FINISHED)
    (folder / "damaged" / "result.json").write_text('{"status": ', encoding="utf-8")


@pytest.fixture(scope="module")
def found(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = Path(shutil.copytree(reference, tmp_path_factory.mktemp("found") / "outputs"))
    write_sweep(root / SWEEP)
    return load_runs(root)


@pytest.fixture(scope="module")
def odd(found: Runs) -> Runs:
    return found.of_sweep(SWEEP)


def claim(name: str, sweep: str = "fig1") -> Claim:
    section = PAPER if sweep else MATHEMATICS
    return Claim(name, f"Statement of {name}.", "§3", "rule R", sweep, lambda runs: [], section)


def finding(
    values: list[float], part: str = "", *, primary: bool = True, beside: bool = False
) -> Finding:
    effect = t_interval(values)
    sentence = f"Seen {part} {values[0]}."
    return by_rule_r(
        part, "accuracy", POINTS, effect, sentence, primary=primary and not beside, beside=beside
    )


def told_at_length(one: Finding) -> Finding:
    return replace(one, sentence="A sentence of quite a few words about what was seen. " * 8)


def judgements() -> list[Judgement]:
    """A claim for each verdict, one in parts that disagree, one checked exactly, one apart."""
    up, down, wide = [1.0, 1.1, 1.2] * 2, [-1.0, -1.1, -1.2] * 2, [-5.0, 1.0, 6.0] * 2
    exact = Estimate(200, 3.1e-13, np.nan, np.nan, np.nan)
    error = Finding("", "error", "relative", exact, SUPPORTED, "Small.", null=None)
    return [
        Judgement(claim("absent"), [], "no runs"),
        Judgement(claim("exact", ""), [error]),
        Judgement(claim("up"), [finding(up), told_at_length(finding(down, "other", beside=True))]),
        Judgement(claim("down"), [finding(down)]),
        Judgement(claim("wide"), [finding(wide, IMAGE)]),
        Judgement(
            claim("mixed"),
            [
                finding(up, "a", primary=False),
                finding(wide, "b"),
                finding(up, "c", primary=False),
            ],
        ),
        Judgement(claim("mine"), [finding(up)], settings=["trainer.steps", IMAGE]),
    ]


def drawn(folder: Path, kind: str, name: str = "figure") -> Saved:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2])
    drawing = Drawing(name, f"Title {SCRIPT}", f"Caption {IMAGE}", figure)
    return drawing.save(folder, [kind])


def section(found: Runs, sweep: str, figures: list[Saved]) -> Section:
    runs = found.of_sweep(sweep)
    summary = tables.as_text(tables.summarize(runs))
    log = [f"2026-11-23T09:10:11+00:00 python -m bnexp.run name={SCRIPT}"]
    curves, seeds = data.as_json(data.curves_data(runs)), data.as_json(seeds_data(runs))
    more = {"curves": curves, "seeds": seeds, "answer": answer(runs)}
    return Section(sweep, runs, summary, figures, log, **more)


@pytest.fixture(scope="module")
def path(found: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = Path(found.runs.index[0]).parent.parent / "report"
    out.mkdir()
    sections = [
        section(found, sweep, [drawn(out, kind, f"{i}_{kind}") for kind in ("svg", "png")])
        for i, sweep in enumerate(found.sweeps)
    ]
    table, overview = claims_table(judgements()), [drawn(out, "svg", "all")]
    return write_report(out, found, sections, table, overview, f"plot.py {SCRIPT}")


# ---- the page's data ---------------------------------------------------------------------------


def test_json_cannot_end_its_script_and_reads_back():
    value = {"a": "</script><!-- & \u2028\u2029 é", "b": [1, None, 0.5]}
    text = data.as_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("value", "short"),
    [(0.123456789, 0.12346), (3000.0, 3000), (1.5e-7, 1.5e-7), (np.nan, None), (np.inf, None)],
)
def test_numbers_are_short_and_what_is_none_is_null(value, short):
    assert data.rounded([value]) == [short]


def test_links_are_relative_and_any_name_survives(tmp_path):
    folder = tmp_path / "a b#?%é" / os.fsdecode(b"\xff")
    url = relative_url(str(folder), tmp_path / "report")
    assert url == "../a%20b%23%3F%25%C3%A9/%FF/"


def test_diverged_runs_end_somewhere_or_before_anything(odd):
    page = data.curves_data(odd)
    metric = next(m for m in page["metrics"] if m["label"] == "validation accuracy")
    [[group, *end]] = metric["ends"]
    assert page["conditions"][group] == "lr=10"
    assert end == [20, 2, 0.02, pytest.approx(0.7)]
    assert metric["early"] == [[group, 1]]


def test_every_arm_can_be_read_on_a_dark_page():
    for colour in (*style.ARM_COLOURS.values(), *style.MORE_COLOURS, style.DIVERGED_COLOUR):
        assert contrast(data.on_dark(colour), "#16181c") > 4


def contrast(*colours: str) -> float:
    """WCAG's contrast ratio."""
    bright = sorted(map(luminance, colours))
    return (bright[1] + 0.05) / (bright[0] + 0.05)


def luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_table_of_runs_has_a_row_and_a_link_each(found, tmp_path):
    sweeps = [found.of_sweep(sweep) for sweep in found.sweeps]
    page = runs_data(found, sweeps, tmp_path)
    titles = [column["title"] for column in page["columns"]]
    assert titles[:4] == ["run", "sweep", "status", "arm"]
    assert titles.index("test accuracy") < 8 < titles.index("optimizer.lr")
    assert len(page["urls"]) == len(found.runs)
    cells = [
        column.get("values") or [column["names"][i] for i in column["index"]]
        for column in page["columns"]
    ]
    failed = next(row for row in zip(*cells, strict=True) if row[2] == FAILED)
    assert failed[-1] == f"ValueError: {SCRIPT}{IMAGE}"
    assert failed[titles.index("test accuracy")] is None


# ---- what the page says ------------------------------------------------------------------------


def test_claims_that_were_run_come_first_then_the_exact_ones():
    views = verdicts.claim_views(claims_table(judgements()))
    known = ["up", "down", "wide", "mixed", "exact", "mine", "absent"]
    assert [view.id for view in views] == known
    texts = {view.id: [badge.text for badge in view.badges] for view in views}
    assert texts["up"] == [SUPPORTED]
    assert texts["down"] == [CONTRADICTED]
    assert texts["wide"] == [INCONCLUSIVE]
    assert texts["mixed"] == [INCONCLUSIVE]
    assert [badge.text for badge in views[3].secondary] == [f"2 {SUPPORTED}"]
    assert [part for part, _ in views[3].sentences] == ["b", "a", "c"]
    assert texts["absent"] == [NOT_RUN]
    assert [part.name for part in views[0].beside] == ["other"]
    assert views[4].parts[0].holm is None


def test_a_verdict_lost_to_the_correction_is_said():
    barely = finding([1.0, 1.3, 0.8, -0.2, 0.9, 0.1])
    assert (barely.verdict, 0.01 < barely.p < 0.05) == (SUPPORTED, True)
    absent = [Judgement(claim(f"absent {i}"), [], "no runs") for i in range(9)]
    [view, *_] = verdicts.claim_views(claims_table([Judgement(claim("many"), [barely]), *absent]))
    assert [badge.text for badge in view.badges] == [SUPPORTED]
    assert [badge.text for badge in view.holm] == [INCONCLUSIVE]


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        ((60.4, 57.541, 63.259), "60.4 [57.5, 63.3]"),
        ((-0.25, -0.3742, -0.1258), "−0.25 [−0.37, −0.13]"),
        ((3.1e-13, np.nan, np.nan), "3.1e-13"),
        ((1.0, 1.0, 1.0), "1 [1, 1]"),
        ((np.nan, np.nan, np.nan), "–"),
    ],
)
def test_effects_have_the_digits_their_interval_allows(estimate, text):
    assert verdicts.interval(*estimate) == text


def test_settings_are_told_apart_by_whether_they_vary():
    rows = [
        {"norm.kind": "batch", "init.kind": kind, "init.stddev": s, "model.kind": "mlp", "seed": i}
        for i, (kind, s) in enumerate([("he", None), ("gaussian", 0.05)])
    ]
    told = sections.settings(pd.DataFrame(rows))
    assert [setting.key for setting in told.varying] == ["init.kind", "seed"]
    assert [(s.key, list(s.values)) for s in told.following] == [("init.stddev", ["0.05", "null"])]
    assert [setting.key for setting in told.constant] == ["norm.kind", "model.kind"]


def test_runs_with_the_same_trouble_are_one_problem(found, tmp_path):
    failed, unfinished = sections.problem_list(found, tmp_path)
    assert (failed.status, failed.count) == (FAILED, 1)
    assert failed.reason == f"ValueError: {SCRIPT}{IMAGE}"
    assert unfinished.reason == "no result.json; last evaluated at step 10"
    assert [name for name, _ in unfinished.links] == ["unfinished"]


def test_machines_are_counted_and_missing_ones_too():
    machine = {"cpu": "EPYC", "cores": 2, "gpu": None}
    table = pd.DataFrame({"machine": [machine, machine, None], "threads": [1.0, 1.0, np.nan]})
    told = dict(sections.provenance(table))
    assert told["machine"] == [("cores 2, cpu EPYC", 2), (sections.NOT_RECORDED, 1)]
    assert told["threads of a run"] == [("1", 2), (sections.NOT_RECORDED, 1)]
    assert told["versions"] == [(sections.NOT_RECORDED, 3)]


def test_a_report_of_one_run_without_claims_or_figures(found, tmp_path):
    one = found.select(found.runs.index == found.runs.index[0])
    page = write_report(tmp_path, one, [section(one, one.sweeps[0], [])], pd.DataFrame(), [], "x")
    assert "1 run of 1 sweep" in page.read_text(encoding="utf-8")


def test_a_figure_wanted_as_pdf_alone_is_saved_as_svg_too(tmp_path):
    assert [Path(file).suffix for file in drawn(tmp_path, "pdf").files] == [".pdf", ".svg"]


# ---- the page in a browser ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as started:
        yield started


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    return new_tab(browser)


@pytest.fixture
def page(tab: Any, path: Path) -> Iterator[Any]:
    """The report, freshly opened; nothing may be said on the console or asked of a network."""
    tab.set_viewport_size({"width": 1200, "height": 900})
    tab.emulate_media(media="screen", color_scheme="light")
    tab.goto("about:blank")
    tab.goto(path.as_uri())
    tab.evaluate("localStorage.clear()")
    tab.evaluate("setTheme('light')")
    yield tab
    assert tab.evaluate("window.pwned") is None
    assert tab.said == []
    asked = {url.partition("#")[0] for url in tab.asked} - {path.as_uri(), "about:blank"}
    schemes = {urlparse(url).scheme for url in asked}
    assert schemes <= {"data", "blob"}


def run_table(page: Any) -> None:
    """Scrolls to the table of all runs, which is made only then."""
    page.locator("#runs").scroll_into_view_if_needed()
    page.locator(".tabulator-row").first.wait_for()


def point_at_a_line(page: Any, box: Any, share: float = 0.5) -> str:
    """Moves the pointer down the plot until a tooltip shows; its text."""
    area = box.locator(".u-over").bounding_box()
    x = area["x"] + share * area["width"]
    for y in np.linspace(area["y"] + 2, area["y"] + area["height"] - 2, 30):
        page.mouse.move(x, float(y))
        if box.locator(".tip").is_visible():
            return box.locator(".tip").inner_text()
    raise AssertionError("no tooltip anywhere")


def told(text: str) -> tuple[str, str, float, float, float]:
    """Arm, condition, x, mean and half the interval of a tooltip."""
    arm, condition, point = text.split("\n") if text.count("\n") == 2 else [*text.split("\n"), ""]
    if not point:
        condition, point = "", condition
    numbers = re.fullmatch(r".*? ([\d.,]+): ([\d.e+-]+) ± ([\d.e+-]+), n = 3", point)
    assert numbers, text
    return arm.strip(), condition, *(float(n.replace(",", "")) for n in numbers.groups())


def ink(box: Any, colour: str) -> int:
    """How many pixels of the chart have just this colour."""
    pixels = imread(io.BytesIO(box.locator("canvas").screenshot()))[..., :3]
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.rint(255 * pixels) == channels).all(axis=-1).sum())


def test_pointing_at_a_curve_tells_its_mean_and_interval(page, found):
    box = chart(page, "quickstart")
    for metric, x in product(("val_accuracy", "val_loss"), ("step", "seconds")):
        check_tooltip(page, box, found.of_sweep("quickstart"), metric, x)


def check_tooltip(page: Any, box: Any, runs: Runs, metric: str, x: str) -> None:
    box.get_by_label("metric").select_option(label=style.METRIC_LABELS[metric])
    box.get_by_label("against").select_option(x)
    text = point_at_a_line(page, box)
    arm, condition, at, mean, half = told(text)
    assert style.X_LABELS[x] in text
    means = mean_curves(runs, metric)
    line = means[(means["arm"].map(style.label) == arm) & (means["condition"] == condition)]
    row = line.iloc[(line[x] - at).abs().argmin()]
    assert (at, mean) == pytest.approx((row[x], row["mean"]), rel=2e-4)
    assert half == pytest.approx(row["high"] - row["mean"], rel=6e-3, abs=1e-4)


def test_unticking_an_arm_takes_its_lines_away(page):
    box = chart(page, "original")
    none, batch = style.ARM_COLOURS["none"], style.ARM_COLOURS["batch"]
    assert ink(box, none) > 200
    assert ink(box, batch) > 200
    box.get_by_label("no normalization").uncheck()
    assert ink(box, none) == 0
    assert ink(box, batch) > 200
    box.get_by_label("Batch Normalization").uncheck()
    assert "No arm is ticked" in box.inner_text()
    box.get_by_label("no normalization").check()
    assert ink(box, none) > 200


def test_unticking_a_value_takes_its_lines_away(page):
    box = chart(page, "quickstart")
    assert box.locator(".legend li").count() == 4
    box.get_by_label("0.1", exact=True).uncheck()
    names = box.locator(".legend li").all_inner_texts()
    assert [name.strip() for name in names] == [
        "no normalization, lr=1",
        "Batch Normalization, lr=1",
    ]


def test_diverged_runs_are_crosses(page):
    box = chart(page, SWEEP)
    assert "A red × is where a run diverged" in box.inner_text()
    assert "1 diverged before the first evaluation." in box.inner_text()
    assert ink(box, style.DIVERGED_COLOUR) > 20


def test_text_of_runs_stays_text(page):
    box = chart(page, SWEEP)
    box.get_by_label(SCRIPT).uncheck()
    box.get_by_label(SCRIPT).check()
    assert any(SCRIPT in item for item in box.locator(".legend li").all_inner_texts())
    body = page.locator("body").inner_text()
    for text in (f"ValueError: {SCRIPT}{IMAGE}", f"Title {SCRIPT}", f"Caption {IMAGE}", SWEEP):
        assert text in body
    run_table(page)
    page.get_by_label("Filter by error").fill("<script>")
    cells = page.locator(".tabulator-row").first.inner_text()
    assert SCRIPT + IMAGE in cells
    assert page.locator("img[src=x]").count() == 0


def cells_of(page: Any, title: str) -> list[str]:
    """What the rows in view have in a column, once they are drawn."""
    page.locator(".tabulator-row").first.wait_for()
    titles = page.locator(".tabulator-col .sort").all_inner_texts()
    cells = page.locator(f'.tabulator-cell[tabulator-field="{titles.index(title)}"]')
    return cells.all_inner_texts()


def test_a_header_sorts_numbers_by_size_with_empty_cells_last(page):
    run_table(page)
    for order in ("ascending", "descending"):
        page.get_by_role("button", name="seconds", exact=True).click()
        page.locator(f'.tabulator-col[aria-sort="{order}"]').wait_for()
        page.wait_for_timeout(100)
        shown = [float(cell) for cell in cells_of(page, "seconds") if cell]
        assert shown == sorted(shown, reverse=order == "descending")
        assert len(shown) > 10
        # as text, "7.6" would come after "152.4"
        assert shown[0] > 100 if order == "descending" else shown[0] < 10


def test_filters_narrow_the_rows_and_the_count(page, found):
    run_table(page)
    total = len(found.runs)
    good = int(((found.runs["sweep"] == "quickstart") & (found.runs["test_accuracy"] > 0.9)).sum())
    assert 0 < good < 12

    def expect_count(count: int) -> None:
        page.get_by_text(f"{count} of {total} runs", exact=True).wait_for(timeout=3000)

    expect_count(total)
    page.get_by_label("Filter by sweep").fill("quick")
    expect_count(12)
    page.get_by_label("Filter by test accuracy").fill(">0.9")
    expect_count(good)
    assert all(float(cell) > 0.9 for cell in cells_of(page, "test accuracy"))
    page.get_by_label("Filter by sweep").fill("")
    page.get_by_label("Filter by test accuracy").fill("")
    page.get_by_label("Filter by status").select_option("unfinished")
    expect_count(1)


def test_the_download_is_what_is_shown(page, tmp_path):
    run_table(page)
    page.get_by_label("Filter by sweep").fill("original")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    saved = tmp_path / "runs.csv"
    download.value.save_as(saved)
    table = pd.read_csv(saved)
    assert set(table["sweep"]) == {"original"}
    assert len(table) == 6
    assert table["folder"].str.startswith("../original/").all()


def test_links_lead_to_the_runs_folders(page):
    run_table(page)
    page.get_by_label("Filter by sweep").fill("odd")
    links = page.eval_on_selector_all(
        ".tabulator-row a:not([href^='#']), #problems a",
        "(links) => links.map((link) => link.href)",
    )
    assert len(links) > 12
    for link in links:
        assert (Path(unquote(urlparse(link).path)) / "config.yaml").is_file(), link


def test_the_theme_can_be_changed(page):
    background = "getComputedStyle(document.body).backgroundColor"
    chart(page, "original")
    light = page.evaluate(background)
    page.locator("#theme").click()
    dark = page.evaluate(background)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(22, 24, 28)")
    assert ink(chart(page, "original"), data.on_dark(style.ARM_COLOURS["batch"])) > 200


def test_claims_open_to_their_parts_and_absent_ones_say_what_to_run(page):
    row = page.locator("details.claim", has_text="Statement of mixed.")
    assert row.get_by_role("table").is_hidden()
    row.locator("summary").click()
    assert row.locator("tbody tr").count() == 3
    assert row.locator("tbody tr").first.get_by_text("primary").is_visible()
    assert row.get_by_text(PROTOCOL).is_visible()
    judged = page.get_by_text("By their primary parts, after Holm’s correction:")
    assert judged.inner_text().endswith(" 1 supported, 1 contradicted, 2 inconclusive, 1 not run.")
    mine = page.locator("details.claim", has_text="Statement of mine.")
    assert f"your settings: trainer.steps, {IMAGE}" in mine.inner_text()
    assert "§3" not in mine.inner_text()
    assert page.get_by_text("python -m bnexp.run experiment=fig1").is_hidden()
    page.locator("details.absent summary").click()
    assert page.get_by_text("python -m bnexp.run experiment=fig1").is_visible()


def test_it_prints_with_the_runs_as_rows_and_the_claims_open(page):
    page.locator(".tabulator-row").first.wait_for(state="attached")
    page.emulate_media(media="print")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.locator(".tabulator").is_hidden()
    assert page.locator(".printed tbody tr").count() > 12
    assert page.locator(".controls").count() == 0 or page.locator(".controls").first.is_hidden()


def test_on_a_phone_the_numbers_of_a_table_are_there_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 390, "height": 844})
    region = opened(page, "original").locator(".summary").first
    assert region.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    assert region.locator(".number").count() > 4
    assert region.locator("caption").is_visible()
    told = region.locator("td[data-label]:not(:empty)").evaluate_all(
        "(all) => all.map((one) => getComputedStyle(one, '::before').content)"
    )
    assert '"test accuracy"' in told


def test_a_filter_that_is_no_number_says_so(page, found):
    run_table(page)
    box = page.get_by_label("Filter by test accuracy")
    for term, is_wrong in (("abc", "true"), (">", "false"), (">0.5x", "true"), ("0.9", "false")):
        box.fill(term)
        assert box.get_attribute("aria-invalid") == is_wrong
        assert ("Not a number" in box.get_attribute("title")) == (is_wrong == "true")
    box = page.get_by_label("Filter by sweep")
    box.fill("abc")
    assert box.get_attribute("aria-invalid") == "false"


def test_the_rules_are_spelled_out_beside_the_claims(page):
    rules = page.locator("#claims .rules")
    assert rules.get_by_role("list").is_hidden()
    rules.locator("summary").click()
    told = rules.inner_text()
    for word in ("R:", "95% interval", "R(x):", "E(x):", "90% interval", "±x", "No worse"):
        assert word in told


def test_nothing_is_wider_than_the_page(page):
    for sweep in ("quickstart", "original", SWEEP):
        chart(page, sweep)
    for width in (1200, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") == width


# ---- the question first --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(found: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a single sweep."""
    out = tmp_path_factory.mktemp("alone")
    runs = found.of_sweep("quickstart")
    pictures = [drawn(out, "svg")]
    return write_report(out, runs, [section(runs, "quickstart", pictures)], pd.DataFrame(), [], "x")


def test_the_first_two_screens_say_what_came_out_and_how_to_repeat_it(browser, alone):
    opened_alone = browser.new_page(viewport={"width": 1280, "height": 900})
    opened_alone.goto(alone.as_uri())
    seen = opened_alone.evaluate(
        """() => [...document.querySelectorAll("main h1, main p, main dd, main td, main .command")]
            .filter((one) => one.getBoundingClientRect().bottom < 1800)
            .map((one) => one.innerText).join("\\n")"""
    )
    for told in (
        question("quickstart"),
        "Batch Normalization reaches",
        "points",
        "no normalization; Batch Normalization",
        "3 seeds",
        "95% intervals",
        "mnist",
        "3000 steps of 60 examples",
        "python -m bnexp.run name=",
    ):
        assert told in seen, told


def test_every_sweep_is_a_question_with_what_came_out(page, found):
    heads = page.locator("details.sweep > summary")
    assert heads.count() == len(found.sweeps)
    [head] = [text for text in heads.all_inner_texts() if question("quickstart") in text]
    assert "Batch Normalization reaches" in head
    assert "points on 3 seeds" in head
    assert "quickstart · mlp" in head and "mnist" in head
    assert page.get_by_role("region", name="Summary of quickstart").is_hidden()


# ---- what is folded ------------------------------------------------------------------------------


def test_pictures_are_unpacked_when_their_sweep_is_opened(page):
    inside = page.locator("details.sweep img[data-packed]")
    assert all(source.startswith("data:") for source in inside.evaluate_all(SOURCES))
    section = opened(page, "quickstart")
    section.locator("img[src^=blob]").nth(1).wait_for()
    page.wait_for_function(
        "[...document.querySelectorAll('details[open] img')].every((one) => one.naturalWidth > 100)"
    )
    others = page.locator("details.sweep:not([open]) img")
    assert all(source.startswith("data:") for source in others.evaluate_all(SOURCES))


SOURCES = "(all) => all.map((one) => one.src)"


def test_an_address_opens_what_it_names(page, path):
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#sweep-original?c.x=1")
    section = page.locator("#sweep-original")
    assert section.get_attribute("open") is not None
    assert section.bounding_box()["y"] < 200


def test_an_address_holds_while_what_is_above_it_is_made(page, path):
    page.set_viewport_size({"width": 1200, "height": 2000})  # the place cannot be at the top yet
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#provenance")
    page.locator(".tabulator-row").first.wait_for(state="attached")
    page.evaluate("document.querySelector('.tabulator').style.marginBottom = '1500px'")
    page.wait_for_timeout(200)
    before = page.evaluate("scrollY")
    page.locator("#provenance").evaluate("(one) => one.scrollIntoView()")
    assert page.evaluate("scrollY") == pytest.approx(before, abs=2)
    assert before > 0


def test_a_reader_who_has_moved_is_left_alone(page, path):
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#provenance")
    page.locator(".tabulator-row").first.wait_for(state="attached")
    page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)
    page.evaluate("document.querySelector('main').style.paddingTop = '300px'")
    page.wait_for_timeout(200)
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("anchor", ["", "sweep-quickstart"])
def test_an_address_with_the_view_of_a_chart_leads_to_the_chart(page, path, size, anchor):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#{anchor}?c.quickstart=x:epoch")
    plot = page.locator("[data-sweep=quickstart] canvas")
    plot.wait_for()
    page.wait_for_timeout(300)
    place = plot.bounding_box()
    assert place["y"] >= 0 and place["y"] + place["height"] <= size[1]
    page.evaluate("location.hash = '#sweep-quickstart'")  # a plain link leads to what it names
    page.wait_for_timeout(300)
    assert 0 <= page.locator("#sweep-quickstart").bounding_box()["y"] < 100


def test_claims_sweeps_and_figures_lead_to_each_other(page):
    for link in page.locator("main a[href^='#']").all():
        target = link.get_attribute("href")[1:]
        if target.startswith("run-"):  # shown when asked for
            target = "runs"
        assert page.locator(f"[id='{target}']").count() == 1, target


def test_what_was_written_can_be_downloaded(path):
    links = re.findall(r'<a href="([^"]+)" download', path.read_text(encoding="utf-8"))
    figures = [link for link in links if not link.startswith("tables/claims")]
    assert len(figures) == 7
    assert all((path.parent / unquote(link)).is_file() for link in figures)


def test_a_picture_can_be_saved_where_the_page_stands_alone(page):
    section = opened(page, "quickstart")
    section.locator(".downloads a[href^=blob]").first.wait_for()
    assert (
        section.locator(".downloads a[href^=blob]").first.get_attribute("download") == "2_svg.svg"
    )


@pytest.mark.parametrize("by_printing", [False, True])
def test_the_rest_of_a_long_table_comes_when_asked(browser, found, tmp_path, by_printing):
    one = section(found, "quickstart", [])
    many = pd.concat([one.summary] * 5, ignore_index=True)
    long = replace(one, summary=many.assign(arm=f"{SCRIPT}{IMAGE}"))
    page = browser.new_page()
    page.goto(write_report(tmp_path, long.runs, [long], pd.DataFrame(), [], "x").as_uri())
    table = page.get_by_role("region", name="Summary of quickstart")
    assert table.locator("tbody tr").count() == 12
    if by_printing:
        printed(page)
    else:
        page.get_by_role("button", name="Show all rows").click()
    table.locator("tbody tr").nth(19).wait_for()
    assert page.get_by_role("button", name="Show all rows").count() == 0
    assert table.locator("tbody tr").count() == len(many) == 20
    assert SCRIPT in table.locator("tbody tr").nth(19).inner_text()
    assert page.evaluate("window.pwned") is None


# ---- controls ------------------------------------------------------------------------------------


def test_the_theme_is_kept(page, path):
    page.locator("#theme").click()
    page.goto("about:blank")
    page.goto(path.as_uri())
    assert page.evaluate("theme()") == "dark"


def test_a_command_is_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    name = "Copy the command that rebuilds this page"
    page.locator("footer").get_by_role("button", name=name).click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == f"plot.py {SCRIPT}"


def test_on_a_phone_the_contents_are_behind_a_button(page):
    page.set_viewport_size({"width": 390, "height": 844})
    link = page.locator("#contents a", has_text="All runs")
    assert link.is_hidden()
    page.get_by_role("button", name="Contents").click()
    link.click()
    assert link.is_hidden()
    assert page.locator("#runs").bounding_box()["y"] < 200


def test_the_contents_answer_to_the_keyboard(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#contents-button").focus()
    page.keyboard.press("Enter")
    assert page.locator("#contents a").first.is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#contents a").first.is_hidden()
    assert page.evaluate("document.activeElement.id") == "contents-button"


TOUCHED = "main button, main summary, main select, nav a, nav button"
SMALL = """(selector) => [...document.querySelectorAll(selector)]
    .filter((one) => one.checkVisibility() && !one.closest(".tabulator, .interactive"))
    .filter((one) => Math.min(one.offsetHeight, one.offsetWidth) < 24)
    .map((one) => one.outerHTML)"""


def test_what_is_touched_is_large_enough(page):
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, "quickstart")
    page.get_by_role("button", name="Contents").click()
    assert page.evaluate(SMALL, TOUCHED) == []


def test_a_wide_figure_on_a_phone_says_that_there_is_more(page):
    page.set_viewport_size({"width": 390, "height": 844})
    region = opened(page, "quickstart").locator(".picture").first
    region.locator("img[src^=blob]").wait_for()
    region.evaluate("(one) => { one.querySelector('img').style.width = '800px'; markWide(one); }")
    hint = "getComputedStyle(document.querySelector('.picture.wide'), '::before').content"
    assert "more at the side" in page.evaluate(hint)
    assert region.get_attribute("tabindex") == "0"


def printed(page: Any) -> None:
    """Presses the button, and waits until the browser is asked to print."""
    name = "Print every section"
    assert page.get_by_role("button", name=name).count() == 1
    page.evaluate(
        "new Promise((done) => { window.print = done; document.getElementById('print').click(); })"
    )
    assert page.get_by_role("button", name=name).is_enabled()


def test_printing_every_section_opens_it_and_waits_for_curves_and_pictures(page):
    printed(page)
    assert page.locator("main details:not([open])").count() == 0
    assert page.locator(".interactive canvas").count() == page.locator(".interactive").count() > 2
    assert all(source.startswith("blob:") for source in page.locator("img").evaluate_all(SOURCES))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.sweep[open]").count() == 0


@pytest.mark.parametrize(("media", "width"), [("print", 700), ("screen", 1280), ("screen", 390)])
def test_no_column_is_of_one_word_and_no_verdict_is_cut_off(page, media, width):
    """In the widest table a sentence is not set word by word; 700 is A4 within its margins."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(media=media)
    page.evaluate("openClaims()")
    cut = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    assert page.locator(".parts:visible").count() > 4
    assert page.locator(".parts:visible").evaluate_all(cut) == 0
    narrow = page.evaluate(
        """() => [...document.querySelectorAll("main td, main th")]
            .filter((one) => one.checkVisibility() && one.innerText.split(/\\s/).length > 6)
            .filter((one) => one.clientHeight / parseFloat(getComputedStyle(one).lineHeight)
                > one.innerText.split(/\\s/).length * .8).map((one) => one.innerText)"""
    )
    assert narrow == []
    sentence = page.locator(".parts td", has_text="quite a few words").first.bounding_box()
    assert sentence["width"] > min(width, 1000) / 2


def axe() -> str:
    """axe-core's script."""
    package = find_spec("axe_playwright_python")
    if package is None:
        pytest.skip("axe-playwright-python is not installed")
    return Path(str(package.origin)).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_serious_bars_the_page_from_a_reader(page, theme, width):
    script = axe()
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(f"setTheme('{theme}')")
    for sweep in ("quickstart", SWEEP):
        chart(page, sweep)
    page.locator("details.claim summary").first.click()
    page.evaluate(script)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    serious = [
        (one["id"], node["html"][:200])
        for one in found["violations"]
        for node in one["nodes"]
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
