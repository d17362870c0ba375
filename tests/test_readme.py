"""README and docs keep their word: their numbers are those of the committed results."""

import json
import re
import sys

import pandas as pd
import yaml
from conftest import ROOT
from derived import committed_claims, row_in_words
from pages import PAGES

from bnexp.analysis import load_runs
from bnexp.analysis.claims.judge import family
from bnexp.analysis.statistics import paired_difference
from bnexp.folders.runs import PACK
from bnexp.sweeps import reproduce

sys.path.insert(0, str(ROOT / "scripts"))
from timing import tables as timing
from timing.targets import PYTORCH

REFERENCE = ROOT / "outputs" / "reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROTOCOL_1 = REFERENCE / "protocol-1"
TABLES = REFERENCE / "report" / "tables"
CLAIMS = pd.read_csv(PROTOCOL_1 / "claims.csv").fillna({"part": ""})
JUDGED = CLAIMS[~CLAIMS["beside"]]
NEW = committed_claims().set_index("claim")
PRIMARY = committed_claims().query("primary")


def flat(text: str) -> str:
    return " ".join(text.split())


def cells(line: str) -> list[str]:
    """Those of a row of a table in Markdown; a bar within one stands without spaces."""
    return [cell.strip() for cell in re.split(r"(?<= )\|(?= )", line.strip("|"))]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


def block(page: str, language: str, containing: str) -> str:
    return next(text for text in blocks(page, language) if containing in text)


# ---- the README ----------------------------------------------------------------------------------


def test_the_readme_is_short_and_shows_a_figure_before_the_commands():
    assert len(README.splitlines()) <= 200
    assert README.index("![") < README.index("```bash")


def test_the_two_commands_set_up_everything_themselves():
    lines = [line for line in README.splitlines() if line.startswith("python3 ")]
    setup = (
        "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.lock && "
        ".venv/bin/pip install -q --no-deps -e . && "
    )
    start, tests = lines
    assert start == (
        f"{setup}.venv/bin/python -m bnexp.run experiment=quickstart && "
        ".venv/bin/python scripts/plot.py outputs/quickstart"
    )
    assert tests == f"{setup}.venv/bin/python -m pytest -n auto"  # .ci/run takes this one
    assert block("CONTRIBUTING.md", "bash", "venv").startswith(setup.removesuffix(" && "))


def name_of(row: pd.Series) -> str:
    return f"{row['claim']}: {row['part']}".removesuffix(": ")


def test_the_readme_has_every_primary_part_that_was_judged():
    units = {"percentage points": "points", "log2 ratio": "(log2)"}
    listed = [cells(line) for line in README.splitlines() if re.match(r"\| [a-z0-9]+[-:| ]", line)]
    wanted = [
        [
            name_of(row),
            f"{row_in_words(row)} {units.get(row['unit'], row['unit'])}, n = {row['n']}",
            row["verdict_holm"],
        ]
        for _, row in PRIMARY.iterrows()
    ]
    assert listed == [["claim: primary part", "effect", "verdict"], *wanted]
    counts = PRIMARY["verdict_holm"].value_counts()
    assert len(PRIMARY) == family()
    assert (
        f"All {family()} claims are judged, with Holm's correction: {counts['supported']} "
        f"supported, {counts['contradicted']} contradicted, {counts['inconclusive']} inconclusive."
    ) in flat(README)


def test_results_say_of_every_primary_part_that_is_not_supported_what_would_settle_it():
    units = {"percentage points": "points", "log2 ratio": "log2"}
    [told] = re.findall(
        r"what would settle it \|\n\|[-|]+\|\n(.*?)\n\n", PAGES["results.md"], re.DOTALL
    )
    assert [cells(line)[:3] for line in told.splitlines()] == [
        [name_of(row), f"{row_in_words(row)} {units.get(row['unit'], row['unit'])}", verdict]
        for _, row in PRIMARY.iterrows()
        if (verdict := row["verdict_holm"]) != "supported"
    ]
    made = pd.read_parquet(REFERENCE / PACK, columns=["sweep"])
    assert f"In all there are {len(made):,} runs" in PAGES["results.md"]


def test_what_the_readme_says_of_them_is_what_was_judged():
    primary = PRIMARY.set_index("claim")
    lead = row_in_words(primary.loc["higher-accuracy"]).removeprefix("+")
    speed = NEW.loc["faster-training"].set_index("part")
    assert primary.loc["faster-training", "verdict_holm"] == "inconclusive"
    assert speed.loc["tuned, 90%", "verdict"] == "supported"
    assert speed.loc["tuned, 97%", "verdict"] == "inconclusive"
    assert (
        f"by {lead.replace(' [', ' points [')}; whether it gets to 95% or 97% sooner, ten seeds "
        f"could not tell (to 90% {2 ** speed.loc['tuned, 90%', 'effect']:.1f} times as fast)"
    ) in flat(README)
    gain = NEW.loc["large-rate-is-the-cause", "sentence"].iloc[0]
    points, interval = re.search(r"is \+([\d.]+) (\[[\d., ]+\]), n = 6, where each", gain).groups()
    assert f"gains {points} points of test accuracy {interval}" in flat(README)
    rows = (TABLES / "deep_figure3.md").read_text(encoding="utf-8").splitlines()
    steps = {tuple(cells(row)[:2]): cells(row)[2] for row in rows[2:]}
    none, batch = (
        int(steps[arm].split(" (")[0]) for arm in (("none", "0.03 (1×)"), ("batch", "0.15 (5×)"))
    )
    assert round(none / batch) == 9  # a ninth
    deep = primary.loc["saturating-nonlinearities", "sentence"]
    ours, theirs = re.search(r"is ([\d.]+%) with norm=batch and ([\d.]+%) with", deep).groups()
    assert f"With sigmoids it has {ours}, and without BN {theirs}, chance" in flat(README)
    stand = ["stable-inputs", "less-saturation", "init-robust", "noisy-bn"]
    assert set(primary.loc[stand, "verdict_holm"]) == {"supported"}
    fell = {"jacobian", "shift-not-reduced", "smoother-landscape", "batch-mismatch"}
    assert set(primary.index[primary["verdict_holm"] == "contradicted"]) == fell


def test_speed_in_the_readme_is_that_of_the_benchmark():
    report = json.loads((REFERENCE / "benchmark/benchmark.json").read_text())
    step = report["step"]["mlp"]["contenders"]
    assert f"takes {1e6 * step['bnexp']['seconds']:.0f} µs on one core" in flat(README)
    assert f"`fit` {step['Keras fit']['ratio']:.2f} times as long" in flat(README)
    assert f"(of version {report['versions']['bnexp']})" in README
    for rivals, told in ((["Keras fit"], "Keras needs"), (PYTORCH, "PyTorch at its best")):
        field = [report["step"][name]["contenders"] for name in ("cnn", "plain", "inception")]
        best = [min(timed[rival]["ratio"] for rival in rivals) for timed in field]
        assert f"{told} {min(best):.1f} to {max(best):.1f} times" in flat(README)
    sweeps = timing.sweep_table(report["sweep"])
    [ours], [theirs] = (
        re.findall(rf"mlp, 1,000 steps a run \| {name} +\| ([\d.]+) +\| ([\d.]+)", sweeps)
        for name in ("bnexp", "Keras fit")
    )
    assert f"Two cores make {ours[0]} runs of 1,000 steps a minute, {theirs[1]} times" in flat(
        README
    )


def test_how_many_runs_and_verdicts_protocol_1_had():
    summaries = {path.stem: path for path in PROTOCOL_1.glob("*_summary.csv")}
    del summaries["original_summary"]  # is of no claim
    made = f"{sum(pd.read_csv(path)['n'].sum() for path in summaries.values()):,} trainings"
    counts, after = (JUDGED[key].value_counts() for key in ("verdict", "verdict_holm"))
    told = (
        f"{len(JUDGED)} parts of {JUDGED['claim'].nunique()} claims, {counts['supported']} are "
        f"supported, {counts['contradicted']} contradicted and {counts['inconclusive']} "
        f"inconclusive; after Holm's correction {after['supported']}, {after['contradicted']} and "
        f"{after['inconclusive']}."
    )
    assert made in flat(PAGES["claims.md"]) and told in flat(PAGES["claims.md"])


# ---- numbers in docs/ ----------------------------------------------------------------------------


def test_every_verdict_stands_in_docs_with_what_was_seen_where_it_is_not_supported():
    page = PAGES["claims.md"]
    header, _, *rows = map(cells, (PROTOCOL_1 / "claims.md").read_text("utf-8").splitlines())
    shown = ["claim", "part", "verdict", "after Holm", "effect", "n", "source"]
    listed = [cells(line) for line in page.splitlines() if line.startswith("|")]
    for row in rows:
        assert [row[header.index(name)] for name in shown] in listed
    for _, row in JUDGED[JUDGED["verdict"] != "supported"].iterrows():
        assert row["sentence"] in flat(page)
    [beside] = CLAIMS[CLAIMS["beside"] & (CLAIMS["claim"] == "small-batches")]["sentence"]
    assert beside in flat(page)


def test_the_tables_of_results_are_the_committed_ones():
    page = PAGES["results.md"]
    for name in ("quickstart_summary", "original_summary", "inception_figure3"):
        assert (TABLES / f"{name}.md").read_text(encoding="utf-8") in page
    report = json.loads((REFERENCE / "benchmark/benchmark.json").read_text())
    assert report["form"] == "full"
    shown = (REFERENCE / "benchmark/benchmark.md").read_text(encoding="utf-8")
    assert timing.step_table(report["step"]) in shown
    for table in shown.strip().split("\n\n"):
        assert table in page
    times = reproduce.times_text(reproduce.read_rows(REFERENCE / reproduce.TIMES))
    assert times in page
    minutes = re.search(r"together *\| *\d+ \| *([\d.]+)", times)
    assert minutes and f"took {minutes[1]} minutes in all" in page
    rows = reproduce.read_rows(REFERENCE / reproduce.TIMES)
    *over, last = [
        f"`{row['preset']}`" for row in rows if round(float(row["seconds"]) / 60, 1) > 60
    ]
    assert f"and {', '.join(over)} and {last} took more than the 60 minutes" in flat(page)


def test_numbers_of_the_original_run_and_of_another_rerun():
    found = load_runs(REFERENCE)
    assert found.problems == []
    original = found.of_sweep("original")
    batch = original.runs[original.runs["arm"] == "batch"]
    early = original.history[original.history["step"] == 200].set_index("run")["val_accuracy"]
    listed = ", ".join(f"{value:.4f}" for value in early[batch.index])
    assert f"{listed} at step 200" in flat(PAGES["results.md"])
    assert batch["test_accuracy"].mean() >= 0.9890
    assert (early[batch.index] >= 0.955).all()

    _, _, *rows = (PROTOCOL_1 / "fig1_summary.md").read_text(encoding="utf-8").splitlines()
    by_cell = {tuple(cells(row)[:2]): cells(row)[3] for row in rows}
    shown = [by_cell[f"lr={lr}", arm] for lr in ("0.01", "1") for arm in ("none", "batch")]
    told = f"they are {shown[0]} and {shown[1]}, and {shown[2]} and {shown[3]}."
    assert told in flat(PAGES["results.md"])


def test_numbers_of_the_questions_are_those_of_the_committed_verdicts():
    sentences = committed_claims().set_index(["claim", "part"])["sentence"]
    page = flat(PAGES["faq.md"])
    numbers = {
        ("moving-average-lag", "decay 0.999"): ["1.817"],
        ("moving-average-lag", "decay 0.99"): ["0.022"],
        ("moving-average-lag", "decay 0.9"): ["0.003"],
        ("higher-learning-rate", "activation=sigmoid, stddev=0.05"): [
            "is 32 with BN and 8 without"
        ],
        ("small-batches", ""): ["87.97%", "92.93%", "93.91%", "95.59%"],
        ("small-batches", "norm=group"): ["95.47%"],
        ("small-batches", "norm=batch norm.momentum=0.99 norm.renorm=true"): ["92.67%"],
        ("before-nonlinearity", "activation=relu, accuracy"): ["97.93%", "97.65%"],
        ("before-nonlinearity", "activation=sigmoid, accuracy"): ["97.07%", "97.37%"],
    }
    numbers["small-batches", ""] += ["94.88%", "95.53%", "95.10%", "94.29%"]
    for claim, listed in numbers.items():
        for number in listed:
            assert number in sentences[claim]
            assert number in page
    lost = committed_claims().set_index(["claim", "part"]).loc[("regularizes", "without dropout")]
    gain = (
        f"{-lost['effect']:.2f} points of test accuracy [{-lost['high']:.2f}, {-lost['low']:.2f}]"
    )
    assert f"the best dropout tried gains {gain}" in page
    assert f"after 500 steps at 0.999, {0.999**500:.0%} of it is still" in page


def test_the_effect_that_is_put_in_words_is_that_of_the_trial():
    judged = pd.read_csv(TABLES / "claims.csv").set_index(["claim", "part"])
    sentence = judged.loc[("higher-accuracy", "tuned"), "sentence"]
    effect, low, high = re.search(r": \+([\d.]+) \[([\d.]+), ([\d.]+)\]", sentence).groups()
    told = f"by {effect} points (95% interval {low} to {high})"
    assert told in flat(PAGES["researcher.md"])


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {cited['version']}" in changes
    assert cited["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_accuracy_in_bfloat16_is_that_of_the_runs():
    table = pd.read_csv(REFERENCE / "benchmark/precision.csv")
    text = flat(PAGES["results.md"]).replace("−", "-")
    for network, runs in table.groupby("network"):
        pair = runs.pivot(index="seed", columns="precision", values="test_accuracy")
        assert len(pair.dropna()) == len(pair) == 10
        found = paired_difference(pair["bfloat16"], pair["float32"]).scaled(100)
        row = f"| {network} | {pair['float32'].mean():.2%} | {pair['bfloat16'].mean():.2%} "
        assert f"{row}| {found.mean:+.2f} [{found.low:.2f}, {found.high:.2f}] |" in text
    plain = table[(table["network"] == "plain") & (table["seed"] < 3)]
    pair = plain.pivot(index="seed", columns="precision", values="test_accuracy")
    few = paired_difference(pair["bfloat16"], pair["float32"]).scaled(100)
    assert f"give {few.mean:+.2f} [{few.low:.2f}, {few.high:.2f}]" in text
