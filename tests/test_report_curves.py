"""The report's interactive curves and table of runs: their data, and what they do in a browser."""

import base64
import gzip
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from browser import chart, launched, new_tab
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from synthetic import rising, run, runs

from bnexp.analysis import Runs, measures, style
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.naming import ARM, CONDITION
from bnexp.analysis.report import Section, data, groups, results, write_report
from bnexp.analysis.report.encoding import COARSE, FINE, differences, values_of
from bnexp.analysis.report.seeds import NEVER, seeds_data
from bnexp.analysis.report.table import runs_data
from bnexp.folders.runs import DIVERGED

LR, INIT, STDDEV = "optimizer.lr", "init.kind", "init.stddev"
ODD = "<b/onclick=x>&"  # an arm's name


def grid() -> list[dict[str, Any]]:
    """Two arms, three rates of which one has BN alone, two inits of which one has no spread."""
    made = []
    inits = [{INIT: "gaussian", STDDEV: 0.05}, {INIT: "gaussian", STDDEV: 0.5}]
    inits += [{INIT: "glorot", STDDEV: None}]
    cells = product((0.1, 1.0, 10.0), inits, ("none", "batch"), range(3))
    for i, (rate, init, norm, seed) in enumerate(cells):
        if rate == 10.0 and norm == "none":
            continue
        curve = rising(0.5 + 0.4 * (i % 7) / 7 + 0.01 * seed, 8)
        made.append(run({"norm.kind": norm, LR: rate, **init}, curve, seed=seed, sweep="grid"))
    return made


def momenta() -> list[dict[str, Any]]:
    """A setting of the arm that varies, beside an arm without it; and a run that diverged."""
    made = [
        run({"norm.kind": "batch", "norm.momentum": m}, rising(0.6 + m / 10, 5), seed=s, sweep="m")
        for m, s in product((0.5, 0.9, 0.99), range(2))
    ]
    made += [run({"norm.kind": "none"}, rising(0.55, 5), seed=s, sweep="m") for s in range(2)]
    made += [run({"norm.kind": ODD}, rising(0.4, 3), seed=0, sweep="m", status=DIVERGED)]
    return made


@pytest.fixture(scope="module")
def found() -> Runs:
    return runs(grid() + momenta())


@pytest.fixture(scope="module")
def sweep(found: Runs) -> Runs:
    return found.of_sweep("grid")


# ---- numbers in the page -----------------------------------------------------------------------


@given(
    arrays(float, 12, elements=st.floats(-1e8, 1e8) | st.floats(0, 1) | st.just(np.nan)),
    st.sets(st.integers(1, 11), max_size=4),
)
def test_numbers_come_back_to_a_share_of_the_smallest(column, cuts):
    starts = [0, *sorted(cuts)]
    pieces = differences(column, starts)
    for piece, start, end in zip(pieces, starts, [*starts[1:], 12], strict=True):
        true, read = column[start:end], values_of(piece)
        assert (np.isnan(read) == np.isnan(true)).all()
        known = np.abs(true[~np.isnan(true)])
        least = min(known[known > 0], default=1)
        error = np.abs(read - true)[~np.isnan(true)]
        assert (error <= FINE * least + 5e-5 * known + 1e-18).all()


def test_accuracies_are_exact_and_short():
    values = [0.9532, 0.954, np.nan, 0.9536]
    assert differences(values, [0]) == [[4, 9532, 8, None, -4]]
    assert values_of([4, 9532, 8, None, -4])[[0, 1, 3]].tolist() == [0.9532, 0.954, 0.9536]


def test_page_curves_are_the_mean_curves(sweep):
    page = data.curves_data(sweep)
    for metric in page["metrics"]:
        means = mean_curves(sweep, metric["name"])
        groups = means.groupby([CONDITION, ARM], sort=False)
        assert len(metric["curves"]) == groups.ngroups
        for row, ((condition, arm), true) in zip(metric["curves"], groups, strict=True):
            group, step, epoch, seconds, n, mean, half = row
            assert page["conditions"][group] == condition
            assert page["arms"][page["groups"][group][0]]["label"] == style.label(arm)
            assert n == true["n"].iloc[0]
            for axis, number in (("step", step), ("epoch", epoch), ("seconds", seconds)):
                assert values_of(page["grids"][number]) == pytest.approx(true[axis], rel=FINE)
            assert values_of(mean) == pytest.approx(true["mean"], rel=FINE)
            width = true["high"] - true["mean"]
            assert values_of(half) == pytest.approx(width, rel=COARSE, abs=1e-9)
        assert len({row[1] for row in metric["curves"]}) == 1  # a shared grid


def test_single_runs_are_their_histories(found):
    sweep = found.of_sweep("m")
    page, curves = seeds_data(sweep), data.curves_data(sweep)
    for place, name in enumerate(page["runs"]):
        row, history = sweep.runs.loc[name], sweep.history[sweep.history["run"] == name]
        group = curves["groups"][page["group"][place]]
        assert curves["arms"][group[0]]["label"] == style.label(row[ARM])
        assert page["statuses"][page["status"][place]] == row["status"]
        assert page["seed"][place] == row["seed"]
        assert values_of(page["grids"][page["step"][place]]) == pytest.approx(history["step"])
        assert values_of(page["seconds"][place]) == pytest.approx(history["seconds"], rel=COARSE)
        for metric in page["metrics"]:
            true = history[metric["name"]]
            assert values_of(metric["values"][place]) == pytest.approx(true, rel=FINE)


def test_a_run_that_was_never_evaluated_has_no_curve(sweep):
    first = sweep.runs.index[0]
    page = seeds_data(replace(sweep, history=sweep.history[sweep.history["run"] != first]))
    place = page["runs"].index(first)
    assert page["step"][place] == NEVER
    assert page["metrics"][0]["values"][place] is None
    assert seeds_data(replace(sweep, history=sweep.history.head(0))) is None


def test_results_are_the_estimates_of_measures(found):
    for name in found.sweeps:
        sweep = found.of_sweep(name)
        page, table = data.curves_data(sweep), measures.ended(sweep)
        for result in page["results"]:
            for group, n, mean, half, diverged in result["groups"]:
                arm = page["arms"][page["groups"][group][0]]["label"]
                mine = (table[CONDITION] == page["conditions"][group]) & (
                    table[ARM].map(style.label) == arm
                )
                true = measures.estimate(table[mine], result["name"])
                assert n == mine.sum()
                assert diverged == (table[mine]["status"] == DIVERGED).sum()
                if true.n:
                    assert mean == pytest.approx(true.mean, rel=1e-4)
                    assert half is None or half == pytest.approx(true.half_width, rel=5e-3)
                else:
                    assert mean is None


def test_a_setting_that_a_kind_does_not_have_leaves_it_in(sweep):
    page = data.curves_data(sweep)
    names = [key["name"] for key in page["keys"]]
    column = 1 + names.index(STDDEV)
    glorot = 1 + names.index(INIT)
    kinds = page["keys"][glorot - 1]["values"]
    for row in page["groups"]:
        assert (row[column] == groups.ABSENT) == (kinds[row[glorot]] == "glorot")


@pytest.mark.parametrize("sizes", [(1,), (3, 2), (20, 3), (7, 6, 2), (2, 2, 2, 2, 2)])
def test_what_is_chosen_at_first_is_a_few_lines(sizes):
    cells = np.array(list(product(*map(range, sizes))))
    chosen = groups.selection(cells)
    left = [row for row in cells.tolist() if all(v in c for v, c in zip(row, chosen, strict=True))]
    assert 0 < len(left) <= groups.MAX_LINES
    if len(cells) <= groups.MAX_LINES:
        assert len(left) == len(cells)


def test_what_is_chosen_at_first_is_never_empty_in_a_search():
    """Every group has a value of its own."""
    values = np.random.default_rng(0).permuted(np.tile(np.arange(500), (2, 1)), axis=1).T
    chosen = groups.selection(values)
    assert any(all(v in c for v, c in zip(row, chosen, strict=True)) for row in values.tolist())


def test_groups_beyond_the_limit_are_counted_and_left_out(sweep, monkeypatch):
    whole = data.curves_data(sweep)
    monkeypatch.setattr(data, "MAX_GROUPS", 3)
    page = data.curves_data(sweep)
    assert (page["total"], len(page["groups"])) == (whole["total"], 3)
    assert page["metrics"][0]["curves"] == whole["metrics"][0]["curves"][:3]
    assert len(seeds_data(sweep)["runs"]) == 9


def test_without_history_there_are_no_curves(sweep):
    assert data.curves_data(replace(sweep, history=sweep.history.head(0))) is None


def noisy(count: int, evaluations: int) -> Runs:
    """Runs with noise in every digit, which no encoding can shorten; five seeds a group."""
    rng = np.random.default_rng(0)
    steps = np.arange(1, evaluations + 1)
    made = []
    for i in range(count):
        loss = 2.3 / (1 + steps / 5) * rng.lognormal(0, 0.05, evaluations)
        accuracy = np.round(1 - loss / 2.6, 4).tolist()
        config = {LR: 0.01 * (1 + i // 10), "norm.kind": ("none", "batch")[i // 5 % 2]}
        made.append(run(config, accuracy, seed=i % 5, losses=loss.tolist()))
    return runs(made)


def packed_size(value: Any) -> int:
    return len(base64.b64encode(gzip.compress(str(data.as_json(value)).encode(), 9)))


def test_runs_take_a_kilobyte_each_and_little_time():
    """2,000 runs in 2 MB, 10,000 in 10 MB: of 40 evaluations and three metrics."""
    made = noisy(200, 40)
    before = time.process_time()
    values = [data.curves_data(made), seeds_data(made)]
    took = time.process_time() - before
    assert sum(map(packed_size, values)) < 200_000
    assert took < 1.5


def test_the_table_of_runs_says_what_tells_runs_apart(found, tmp_path):
    page = runs_data(found, [found.of_sweep(name) for name in found.sweeps], tmp_path)
    settings = {one["title"]: [one["names"][i] for i in one["index"]] for one in page["settings"]}
    differing = {key for key in found.runs if "." in key and found.runs[key].nunique(False) > 1}
    assert set(settings) == differing | {"seed"}
    assert settings[LR] == [f"{value:g}" for value in found.runs[LR]]
    assert dict(page["shared"])["data.kind"] == "mnist"
    assert set(page["sweeps"]["m"]) == {"norm.kind", "norm.momentum"}
    assert len(page["urls"]) == len(found.runs)


# ---- in a browser ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(found: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    sections = []
    for name in found.sweeps:
        sweep = found.of_sweep(name)
        curves, seeds = data.as_json(data.curves_data(sweep)), data.as_json(seeds_data(sweep))
        sections.append(Section(name, sweep, pd.DataFrame(), [], [], curves=curves, seeds=seeds))
    return write_report(out, found, sections, pd.DataFrame(), [], "plot.py")


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    with launched() as browser:
        yield new_tab(browser)


@pytest.fixture
def page(tab: Any, path: Path) -> Iterator[Any]:
    """The report, freshly opened; nothing may be said on the console."""
    tab.set_viewport_size({"width": 1200, "height": 900})
    tab.emulate_media(media="screen", color_scheme="light")
    visit(tab, path.as_uri())
    yield tab
    assert tab.said == []


def visit(tab: Any, url: str) -> None:
    """Opens a page anew, also where only what follows the # differs."""
    tab.goto("about:blank")
    tab.goto(url)


def choose(box: Any, **choices: str) -> None:
    for name, value in choices.items():
        box.get_by_label(name, exact=True).select_option(value)


def settled(page: Any) -> str:
    """The address, once it says all that was done."""
    page.evaluate("new Promise((done) => { setTimeout(done, 250); })")  # the page's own time
    return unquote(page.evaluate("location.hash")).replace("+", " ")


def zoom(page: Any, ends: list[float]) -> None:
    page.evaluate("(ends) => setZoom(charts.find((one) => one.sweep === 'grid'), ends)", ends)


def drawn(page: Any, box: Any, tmp_path: Path) -> pd.DataFrame:
    """The numbers behind the view."""
    with page.expect_download() as download:
        box.get_by_role("button", name="CSV").click()
    saved = tmp_path / "view.csv"
    download.value.save_as(saved)
    return pd.read_csv(saved)


def ticked(box: Any, name: str) -> list[str]:
    chips = box.locator("fieldset", has=box.page.locator("legend", has_text=name))
    return [one.strip() for one in chips.locator(".chip:has(:checked)").all_inner_texts()]


def test_the_numbers_of_the_view_are_those_of_python(page, sweep, tmp_path):
    box = chart(page, "grid")
    choose(box, metric="1", against="epoch")
    table = drawn(page, box, tmp_path)
    means = mean_curves(sweep, "val_loss")
    groups = table.groupby(["arm", LR, INIT, STDDEV], dropna=False)
    assert groups.ngroups > 3
    for (arm, *settings), mine in groups:
        there = sweep.runs[sweep.runs[ARM].map(style.label) == arm]
        for key, value in zip((LR, INIT, STDDEV), settings, strict=True):
            there = there[there[key].isna() if pd.isna(value) else there[key] == value]
        [[condition, name]] = there[[CONDITION, ARM]].drop_duplicates().to_numpy().tolist()
        true = means[(means[ARM] == name) & (means[CONDITION] == condition)]
        assert mine["epoch"].to_numpy(float) == pytest.approx(true["epoch"], rel=2e-4)
        assert mine["val_loss"].to_numpy() == pytest.approx(true["mean"], rel=2e-4)
        half = true["high"] - true["mean"]
        assert mine["half_interval"].to_numpy() == pytest.approx(half, rel=2e-2)
        assert set(mine["n"]) == {3}


def test_single_seeds_are_the_runs_of_what_is_chosen(page, sweep, tmp_path):
    box = chart(page, "grid")
    choose(box, show="seeds")
    box.get_by_label("Batch Normalization").uncheck()
    page.wait_for_timeout(300)
    table = drawn(page, box, tmp_path)
    chosen = sweep.runs.loc[table["run"].unique()]
    assert set(chosen["norm.kind"]) == {"none"}
    assert len(chosen) == 18
    for name, mine in table.groupby("run"):
        true = sweep.history[sweep.history["run"] == name]
        assert mine["val_accuracy"].to_numpy() == pytest.approx(true["val_accuracy"], rel=2e-4)


def test_a_setting_as_panel_gives_a_panel_for_each_value(page):
    box = chart(page, "grid")
    choose(box, panels=LR)
    titles = box.locator(".panel-title").all_inner_texts()
    assert titles == [f"{LR} 0.1", f"{LR} 1", f"{LR} 10"]
    assert box.locator("canvas").count() == 3
    choose(box, panels="arm")
    assert box.locator(".panel-title").all_inner_texts() == [
        "no normalization",
        "Batch Normalization",
    ]
    choose(box, panels=STDDEV)  # which glorot does not have
    assert box.locator(".panel-title").last.inner_text() == f"no {STDDEV}"


def test_a_setting_as_colour_gives_a_colour_for_each_value(page):
    box = chart(page, "grid")
    choose(box, colour=LR)
    strokes = box.locator(".legend line").evaluate_all("all => all.map((e) => e.style.stroke)")
    assert len(set(strokes)) == 3


@pytest.mark.parametrize("result", ["final_val_accuracy", "test_log_loss"])
def test_a_setting_as_x_shows_what_runs_ended_with(page, found, tmp_path, result):
    sweep = found.of_sweep("m")
    box = chart(page, "m")
    choose(box, against="norm.momentum")
    choose(box, metric=str(list(results.RESULTS).index(result) - (result != "final_val_accuracy")))
    shown = box.get_by_label("metric", exact=True).evaluate("e => e.selectedOptions[0].text")
    name = {label: key for key, label in results.RESULTS.items()}[shown]
    table = drawn(page, box, tmp_path).dropna(subset=["norm.momentum"])
    ended = measures.ended(sweep)
    for row in table.itertuples():
        momentum = row[list(table).index("norm.momentum") + 1]
        mine = ended[(ended["norm.kind"] == "batch") & (ended["norm.momentum"] == momentum)]
        true = measures.estimate(mine, name)
        assert getattr(row, name) == pytest.approx(true.mean, rel=1e-4)
        assert row.half_interval == pytest.approx(true.half_width, rel=5e-3, abs=1e-12)
        assert row.n == true.n
    assert sorted(table["norm.momentum"]) == [0.5, 0.9, 0.99]


def test_rates_over_decades_are_on_a_logarithmic_axis_unless_told(page):
    box = chart(page, "grid")
    choose(box, against=LR)
    assert box.get_by_label("log x").is_checked()
    assert "lx" not in settled(page)
    box.get_by_label("log x").uncheck()
    assert "lx:0" in settled(page)
    choose(box, against="step")
    assert not box.get_by_label("log x").is_checked()


def test_an_option_without_runs_says_so(page):
    box = chart(page, "grid")
    box.get_by_label("10", exact=True).check()
    alone = box.locator(".chip", has=page.get_by_label("10", exact=True))
    assert "without" not in alone.get_attribute("class")
    box.get_by_label("Batch Normalization").uncheck()
    assert "without" in alone.get_attribute("class")
    assert alone.get_attribute("title") == "no run with these settings"


def test_what_no_setting_leaves_out_stays_when_the_other_is_unticked(page):
    box = chart(page, "grid")
    box.get_by_label("gaussian").uncheck()
    names = box.locator(".legend li").all_inner_texts()
    assert names
    assert all("glorot" in name for name in names)


def test_nothing_left_names_the_choice_and_a_click_mends_it(page):
    box = chart(page, "grid")
    box.get_by_label("Batch Normalization").uncheck()
    box.get_by_label("10", exact=True).check()
    for rate in ("0.1", "1"):
        if rate in ticked(box, LR):
            box.get_by_label(rate, exact=True).uncheck()
    note = box.locator(".note").inner_text()
    assert "No run has " in note
    assert box.locator("canvas").count() == 0
    box.locator(".mend").click()
    assert box.locator(".legend li").count() > 0
    box.locator("fieldset", has_text=LR).get_by_role("button", name="none").click()
    assert f"No {LR} is ticked." in box.locator(".note").inner_text()
    box.get_by_role("button", name=f"Tick all of {LR}").click()
    assert ticked(box, LR) == ["0.1", "1", "10"]


def test_the_address_restores_the_view_exactly(page, tab, path, tmp_path):
    box = chart(page, "grid")
    choose(box, metric="1", against="epoch", show="both", colour=INIT, panels=LR)
    box.get_by_label("no normalization").uncheck()
    box.get_by_label("log x").check()
    zoom(page, [0.2, 0.7])
    page.wait_for_timeout(300)
    before = drawn(page, box, tmp_path)
    address = settled(page)
    for part in ("m:val_loss", "x:epoch", "s:both", f"c:{INIT}", f"p:{LR}", "lx:1", "z:0.2,0.7"):
        assert part in address
    assert "ly" not in address
    visit(tab, path.as_uri() + page.evaluate("location.hash"))
    box = chart(tab, "grid")
    tab.wait_for_timeout(400)
    pd.testing.assert_frame_equal(drawn(tab, box, tmp_path), before)
    assert settled(tab) == address
    assert box.locator(".panel-title").count() == 3


def test_an_untouched_page_has_nothing_in_its_address(page):
    chart(page, "grid")
    chart(page, "m")
    page.locator("#runs-table").scroll_into_view_if_needed()
    page.wait_for_selector(".tabulator-row")
    assert settled(page) == ""


def test_a_plain_link_keeps_the_view_and_another_view_replaces_it(page):
    box = chart(page, "grid")
    choose(box, show="seeds")
    settled(page)
    page.evaluate("location.hash = '#runs'")
    assert settled(page) == "#runs?c.grid=s:seeds"
    assert box.get_by_label("show", exact=True).input_value() == "seeds"
    page.evaluate("location.hash = '#runs?c.grid=s:both'")
    page.wait_for_timeout(200)
    assert box.get_by_label("show", exact=True).input_value() == "both"


def test_what_an_address_names_and_is_not_there_is_as_at_first(tab, path):
    view = "c.grid=m:nothing;x:nowhere;z:a,b;optimizer.lr:7&runs=gone&t=f.x:1"
    visit(tab, f"{path.as_uri()}#?{view}")
    box = tab.get_by_role("group", name="Interactive curves of grid")
    box.scroll_into_view_if_needed()
    box.locator(".mend").wait_for()
    assert box.get_by_label("against").input_value() == "step"
    assert "is ticked" in box.locator(".note").inner_text()
    assert tab.said == []


def test_a_zoom_by_dragging_is_kept_and_taken_back(page):
    box = chart(page, "grid")
    area = box.locator(".u-over").bounding_box()
    middle = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 0.25 * area["width"], middle)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.5 * area["width"], middle, steps=4)
    page.mouse.up()
    address = settled(page)
    low, high = map(float, address.partition("z:")[2].split(","))
    assert (low, high) == pytest.approx((200, 400), abs=8)
    box.get_by_role("button", name="See all").click()
    assert settled(page) == ""


# ---- runs --------------------------------------------------------------------------------------


def show(page: Any, name: str) -> Any:
    page.evaluate("(name) => showRun(name)", name)
    box = page.locator("#picked")
    box.locator("canvas").wait_for()
    return box


def picked_lines(page: Any, sweep: str = "grid") -> list[str]:
    return page.evaluate(
        """async (sweep) => {
          const chart = await boxOf(sweep).chart;
          const lines = chart.lines.filter((line) => line.picked);
          return lines.map((line) => chart.seeds.runs[line.run]);
        }""",
        sweep,
    )


def test_a_run_is_shown_with_its_curve_settings_and_among_its_group(page, sweep):
    box = chart(page, "grid")
    name = sweep.runs.index[4]
    shown = show(page, name)
    assert f"Run {name}" in shown.inner_text()
    rows = shown.locator(".differing tr").all_inner_texts()
    settings = dict(row.split("\t") for row in rows)
    row = sweep.runs.loc[name]
    assert settings[LR] == f"{row[LR]:g}"
    assert settings["seed"] == str(row["seed"])
    assert f"{row['final_val_accuracy']:.4f}" in shown.locator(".came-out").inner_text()
    page.wait_for_timeout(300)
    assert picked_lines(page) == [name]
    shown.get_by_role("button", name="Show among its group").click()
    page.wait_for_timeout(300)
    assert box.get_by_label("show", exact=True).input_value() == "both"
    assert picked_lines(page) == [name]


def test_an_address_with_a_run_shows_it(tab, path, sweep):
    name = sweep.runs.index[7]
    visit(tab, f"{path.as_uri()}#run-{name}")
    box = tab.locator("#picked")
    box.locator("canvas").wait_for()
    assert f"Run {name}" in box.inner_text()
    assert settled(tab) == f"#run-{name}"
    box.get_by_role("button", name="Close").click()
    assert box.is_hidden()
    assert settled(tab) == "#runs"


def test_two_picked_runs_list_just_the_settings_that_differ(page, sweep):
    one, other = sweep.runs.index[0], sweep.runs.index[-1]
    show(page, one)
    page.evaluate("(name) => picked.toggle('grid', name, true)", other)
    box = page.locator("#picked")
    box.get_by_text("Two runs side by side").wait_for()
    page.wait_for_timeout(300)
    rows = box.locator(".differing tr, .following tr:has(td)").all_inner_texts()
    a, b = sweep.runs.loc[one], sweep.runs.loc[other]
    keys = [key for key in sweep.runs if "." in key] + ["seed"]
    differing = [key for key in keys if a[key] != b[key] and not (a[key] is b[key] is None)]
    assert {row.split("\t")[0] for row in rows} == set(differing)
    assert len(rows) == len(differing) > 3
    assert box.locator(".following tr").all_inner_texts()[0].strip() == "follows from init"
    assert STDDEV in box.locator(".following").inner_text()
    lines = page.evaluate("charts.find((one) => one.sweep === 'picked runs').lines.length")
    assert lines == 2
    assert settled(page).endswith(f"runs={one},{other}")


def test_a_row_of_the_table_picks_its_run_and_a_box_a_second(page, found):
    page.locator("#runs-table").scroll_into_view_if_needed()
    rows = page.locator(".tabulator-row")
    rows.first.wait_for()
    first, second = (rows.nth(i).locator("a").first.inner_text() for i in (1, 3))
    rows.nth(1).locator(".tabulator-cell").nth(3).click()
    page.locator("#picked").get_by_role("heading", name=f"Run {first}").wait_for()
    assert "is-picked" in rows.nth(1).get_attribute("class")
    page.get_by_label(f"Pick run {second}", exact=True).click()
    page.locator("#picked").get_by_text("Two runs side by side").wait_for()
    assert settled(page) == f"#?runs={first},{second}"
    assert {first, second} <= set(found.runs.index)


def test_what_a_row_shows_comes_into_view_and_a_third_run_lets_the_first_go(page):
    page.locator("#runs-table").scroll_into_view_if_needed()
    rows = page.locator(".tabulator-row")
    rows.first.wait_for()
    rows.nth(1).locator(".tabulator-cell").nth(3).click()
    plot = page.locator("#picked canvas")
    plot.wait_for()
    page.wait_for_timeout(300)
    place = plot.bounding_box()
    assert place["y"] >= 0 and place["y"] + place["height"] <= 900
    first = rows.nth(1).locator("a").first.inner_text()
    for row in (2, 3):
        rows.nth(row).locator("input").check()
        page.wait_for_timeout(200)
    told = page.locator("#picked")
    told.get_by_text(f"Only two are compared: run {first} was let go.").wait_for()
    assert first not in told.get_by_role("link").all_inner_texts()


def test_filters_and_order_of_the_table_are_in_the_address(page, tab, path):
    page.locator("#runs-table").scroll_into_view_if_needed()
    page.locator(".tabulator-row").first.wait_for()
    page.get_by_label("Filter by sweep").fill("m")
    page.get_by_role("button", name="final validation accuracy").click()
    page.get_by_role("button", name="final validation accuracy").click()
    page.wait_for_timeout(300)
    assert settled(page) == "#?t=f.sweep:m;s.final validation accuracy:desc"
    wanted = page.locator(".tabulator-row").all_inner_texts()
    visit(tab, path.as_uri() + page.evaluate("location.hash"))
    tab.locator("#runs-table").scroll_into_view_if_needed()
    tab.locator(".tabulator-row").first.wait_for()
    tab.wait_for_timeout(300)
    assert tab.locator(".tabulator-row").all_inner_texts() == wanted
    assert tab.get_by_label("Filter by sweep").input_value() == "m"


def test_a_click_on_a_line_names_its_runs_or_picks_its_run(page, sweep):
    box = chart(page, "grid")
    point = """async () => {
      const chart = await boxOf('grid').chart;
      const [own] = chart.plots;
      const line = own.lines.find((one) => one.kind === '%s');
      const { left, top } = own.plot.over.getBoundingClientRect();
      const place = ['x', 'y'].map((axis) => own.plot.valToPos(line[axis][5], axis));
      return [left + place[0], top + place[1]];
    }"""
    page.mouse.click(*page.evaluate(point % "mean"))
    box.locator(".readout button").first.wait_for()
    assert "n = 3" in box.locator(".readout").inner_text()
    assert box.locator(".readout button").count() == 3
    choose(box, show="seeds")
    page.wait_for_timeout(300)
    page.mouse.click(*page.evaluate(point % "run"))
    page.locator("#picked canvas").wait_for()
    page.wait_for_timeout(300)
    assert len(picked_lines(page)) == 1
    assert f"Run {picked_lines(page)[0]} is picked" in box.locator(".readout").inner_text()


def test_a_double_click_shows_all_and_names_no_runs(page):
    box = chart(page, "grid")
    zoom(page, [200, 700])
    point = """async () => {
      const { plots: [own] } = await boxOf('grid').chart;
      const { left, top } = own.plot.over.getBoundingClientRect();
      const [{ x, y }] = own.lines;
      return [left + own.plot.valToPos(x[4], 'x'), top + own.plot.valToPos(y[4], 'y')];
    }"""
    page.mouse.dblclick(*page.evaluate(point))
    assert settled(page) == ""
    page.wait_for_timeout(400)
    assert box.locator(".readout").inner_text() == ""


# ---- keyboard, theme, size, print --------------------------------------------------------------


def test_arrow_keys_go_along_curves_and_say_what_is_there(page):
    box = chart(page, "grid")
    box.get_by_role("application").focus()
    readout = box.locator(".readout")
    page.keyboard.press("ArrowRight")
    at_end = readout.inner_text()
    assert "training step 800" in at_end
    page.keyboard.press("ArrowLeft")
    assert "training step 700" in readout.inner_text()
    page.keyboard.press("ArrowUp")
    other = readout.inner_text()
    assert "training step 700" in other
    assert other != at_end
    page.keyboard.press("Home")
    assert "training step 100" in readout.inner_text()
    page.keyboard.press("+")
    assert "z:" in settled(page)
    page.keyboard.press("0")
    assert settled(page) == ""


def test_theme_and_size_leave_the_view_as_it_is(page):
    box = chart(page, "grid")
    choose(box, show="both", panels=LR)
    zoom(page, [200, 700])
    before = settled(page)
    page.locator("#theme").click()
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(200)
    assert settled(page) == before
    assert box.locator(".panel-title").count() == 3
    edges = box.locator(".panel").evaluate_all("all => all.map((e) => e.getBoundingClientRect().x)")
    assert len(set(edges)) == 1  # stacked
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    scales = page.evaluate(
        "charts.find((one) => one.sweep === 'grid').plots.map(({ plot }) => plot.scales.x.min)"
    )
    assert scales == [200] * 3


def test_nothing_is_wider_than_a_phone_with_two_runs_picked(page, sweep):
    page.set_viewport_size({"width": 390, "height": 800})
    show(page, sweep.runs.index[0])
    page.evaluate("(name) => picked.toggle('grid', name, true)", sweep.runs.index[-1])
    page.wait_for_timeout(400)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_print_has_a_still_picture_on_white(page):
    from PIL import Image

    page.emulate_media(color_scheme="dark")
    box = chart(page, "grid")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    source = box.locator("img.printed-picture").get_attribute("src")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    assert pixels[0, -1, :3].tolist() == [255, 255, 255]
    blue = [int(style.ARM_COLOURS["batch"][i : i + 2], 16) for i in (1, 3, 5)]
    assert (pixels[..., :3] == blue).all(axis=-1).sum() > 100
    page.emulate_media(media="print", color_scheme="dark")
    assert box.locator(".controls").is_hidden()
    assert box.locator("img.printed-picture").is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("img.printed-picture").count() == 0


def test_the_picture_can_be_taken_away(page, tmp_path):
    box = chart(page, "grid")
    with page.expect_download() as download:
        box.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename == "grid_val_accuracy.png"
    saved = tmp_path / "view.png"
    download.value.save_as(saved)
    assert saved.read_bytes().startswith(b"\x89PNG")


def test_text_of_runs_stays_text_here_too(page, found):
    box = chart(page, "m")
    assert ODD in box.locator("fieldset").first.inner_text()
    last = found.runs[found.runs["norm.kind"] == ODD].index[0]
    shown = show(page, last)
    assert ODD in shown.inner_text()
    assert page.locator("b[onclick]").count() == 0
