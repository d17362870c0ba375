"""README and docs keep their word: numbers are the committed results', commands are understood."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import CONF, ROOT, SMALL, environment, write_npz

from bnexp import __main__
from bnexp.analysis import command, load_runs, tables
from bnexp.config import options, schema
from bnexp.folders import pack
from bnexp.folders.runs import HISTORY_COLUMNS, PROBE_COLUMNS
from bnexp.sweeps import reproduce

sys.path.insert(0, str(ROOT / "scripts"))
from timing import tables as timing
from timing.targets import PYTORCH

REFERENCE = ROOT / "outputs" / "reference"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
}
PROTOCOL_1 = REFERENCE / "protocol-1"
CLAIMS = pd.read_csv(PROTOCOL_1 / "claims.csv").fillna({"part": ""})
JUDGED = CLAIMS[~CLAIMS["beside"]]


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


def test_claims_in_the_readme_are_the_committed_ones():
    found = {
        f"{row['claim']}: {row['part']}".removesuffix(": "): (row["verdict"], row["sentence"])
        for _, row in JUDGED.iterrows()
    }
    row = r"^\| ([a-z-]+-[a-z-]+(?:: .*?)?|regularizes: .*?) +\| (\w+) +\| (.*?) \|$"
    rows = re.findall(row, README, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\| .*[.] \|$", README, re.MULTILINE)) == 7
    assert {verdict for _, verdict, _ in rows} == {"supported", "contradicted", "inconclusive"}
    for name, verdict, sentence in rows:
        assert found[name.strip()] == (verdict, sentence)


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


def test_how_many_runs_and_verdicts_there_are():
    packed = {
        sweep: len(runs) for sweep, runs in pack.read(REFERENCE / "runs.parquet").runs.items()
    }
    every = sum(packed.values())
    assert f"{every:,} runs" in PAGES["results.md"]
    made = f"{every - packed['original']:,} trainings"
    counts, after = (JUDGED[key].value_counts() for key in ("verdict", "verdict_holm"))
    told = (
        f"{len(JUDGED)} parts of {JUDGED['claim'].nunique()} claims, {counts['supported']} are "
        f"supported, {counts['contradicted']} contradicted and {counts['inconclusive']} "
        f"inconclusive; after Holm's correction {after['supported']}, {after['contradicted']} and "
        f"{after['inconclusive']}."
    )
    assert made in flat(PAGES["claims.md"]) and told in flat(PAGES["claims.md"])
    assert f"{made} for {JUDGED['claim'].nunique()} claims" in flat(README)
    assert f"Of {len(JUDGED)} parts of these" in flat(README)
    assert told.partition("claims, ")[2] in flat(README)


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
    for sweep in ("quickstart", "original"):
        assert (REFERENCE / f"report/tables/{sweep}_summary.md").read_text(encoding="utf-8") in page
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

    summary = tables.as_text(tables.summarize(found.of_sweep("fig1")))
    by_cell = summary.set_index(["condition", "arm"])["test accuracy"]
    cells = [by_cell[f"lr={lr}", arm] for lr in ("0.01", "1") for arm in ("none", "batch")]
    told = f"they are {cells[0]} and {cells[1]}, and {cells[2]} and {cells[3]}."
    assert told in flat(PAGES["results.md"])


def test_numbers_of_the_questions_are_those_of_the_committed_verdicts():
    sentences = JUDGED.set_index(["claim", "part"])["sentence"]
    page = flat(PAGES["faq.md"])
    numbers = {
        ("moving-average-lag", ""): ["1.89", "0.656", "0.00841"],
        ("small-batches", ""): ["81.50%", "94.60%", "96.03%", "96.42%"],
        ("before-nonlinearity", "activation=relu, accuracy"): ["98.24%", "97.96%"],
        ("before-nonlinearity", "activation=sigmoid, accuracy"): ["97.45%", "97.76%"],
    }
    numbers["small-batches", ""] += ["95.24%", "95.46%", "95.84%", "95.67%"]
    for claim, listed in numbers.items():
        for number in listed:
            assert number in sentences[claim]
            assert number in page
    assert f"after 500 steps at 0.999, {0.999**500:.0%} of it is still" in page


def test_every_preset_is_listed():
    listed = PAGES["guide.md"].partition("### Presets")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)
    assert sorted(names) == sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


# ---- what the guide lists is what there is -------------------------------------------------------


def test_every_option_and_setting_is_in_the_guide():
    guide = PAGES["guide.md"]
    for group in ("data", "model", "norm", "init", "optimizer", "schedule", "probes"):
        row = re.search(rf"^\| `{group}` \| (.*?) \|", guide, re.MULTILINE)
        assert row and sorted(row[1].split(", ")) == options.names(group)
    for field in fields(schema.Trainer):
        assert f"`trainer.{field.name}`" in guide
    for name in options.names("norm"):
        assert f"| `{name}` |" in guide
    own, common = options.parameters("norm", "bnexp.norms.batch.batch")
    for name, parameter in (own | common).items():
        row = re.search(rf"^\|.*`norm\.{name}`.*?\| (\S+) \|", PAGES["layer.md"], re.MULTILINE)
        assert row and str(parameter.default).lower().replace("none", "null") == row[1]


def test_columns_and_commands_are_those_listed():
    for columns in (HISTORY_COLUMNS, PROBE_COLUMNS):
        assert f"`{','.join(columns)}`" in PAGES["guide.md"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"The command `bnexp`\*\* \((.*?)\)", flat(changes))
    assert {name.strip(" `") for name in listed.split(",")} == set(__main__.COMMANDS)


# ---- commands and examples -----------------------------------------------------------------------


def commands() -> list[list[str]]:
    """The words of every command of ours in a bash block of the pages, less docs/extending.md's."""
    lines = [
        line
        for page in PAGES
        if page != "extending.md"
        for text in blocks(page, "bash")
        for line in text.replace("\\\n", " ").splitlines()
    ]
    words = [shlex.split(line, comments=True) for line in lines]
    return [one for one in words if one[:1] == ["bnexp"] and "completion" not in one]


def test_every_command_shown_is_one_that_there_is():
    assert len(commands()) > 50
    for words in commands():
        assert words[1] in {*__main__.COMMANDS, "--version"}
        if words[1] == "plot":
            command.parser().parse_args(words[2:])


COMPOSE = """
import json, sys
from bnexp.config import ConfigError
from bnexp.config.compose import compose, compose_sweep

for command, *words in json.loads(sys.argv[1]):
    words += ["hydra/sweeper=trial"] * (command == "trial")
    folder = words.pop(words.index("--config-dir") + 1) if "--config-dir" in words else None
    given = [word for word in words if not word.startswith("-")]
    swept = {"--multirun", "hydra/sweeper=trial"} & {*words}
    swept = swept or any(word.startswith("experiment=") for word in words)
    try:
        compose_sweep(*given, config_dir=folder) if swept else compose(*given, config_dir=folder)
    except ConfigError as error:
        print(" ".join(words), "->", error)
"""


def test_the_settings_of_every_run_shown_are_understood(tmp_path: Path):
    """Composed in a folder that has the files they speak of."""
    for name in ("my_images", "tiny"):
        write_npz(tmp_path / f"{name}.npz")
    (tmp_path / "table.csv").write_text("label,p\n0,1\n")
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.png").write_bytes(b"")
    (tmp_path / "my_net.py").write_text((ROOT / "examples/my_net.py").read_text())
    experiments = tmp_path / "conf" / "experiment"
    experiments.mkdir(parents=True)
    (experiments / "epsilon.yaml").write_text(block("guide.md", "yaml", "name: epsilon"))
    runs = [
        words[1:]
        for words in commands()
        if words[1] in ("run", "trial") and not {"--help", "--cfg"} & {*words}
    ]
    # launchers and searches need packages that may not be there
    runs = [one for one in runs if not any(word.startswith("hydra/") for word in one)]
    assert len(runs) > 30
    done = subprocess.run(
        [sys.executable, "-c", COMPOSE, json.dumps(runs)],
        cwd=tmp_path,
        env=environment(PYTHONPATH=f"{ROOT}:{tmp_path}"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_every_figure_shown_and_every_page_linked_is_there():
    figures = {path.name for path in REFERENCE.rglob("*.png")}
    for page, text in PAGES.items():
        folder = ROOT / "docs" if (ROOT / "docs" / page).is_file() else ROOT
        for path in re.findall(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)", text):
            if path.startswith("figures/"):  # docs/hooks.py puts them there
                assert Path(path).name in figures
            else:
                assert (folder / path).exists(), f"{page}: {path}"


def test_the_guides_preset_runs(tmp_path: Path):
    experiments = tmp_path / "conf" / "experiment"
    experiments.mkdir(parents=True)
    (experiments / "epsilon.yaml").write_text(block("guide.md", "yaml", "name: epsilon"))
    write_npz(tmp_path / "tiny.npz")
    overrides = [o for o in SMALL if o != "model=mlp" and not o.startswith("optimizer")]
    data = ["data=npz", "data.path=tiny.npz", "data.val_size=64"]
    line = next(words for words in commands() if "experiment=epsilon" in words)
    done = subprocess.run(
        [sys.executable, "-m", "bnexp", *line[1:], *overrides, *data],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = load_runs(tmp_path / "outputs" / "epsilon").runs
    assert sorted(results["norm.epsilon"].unique()) == [1e-5, 1e-3, 1e-1]
    assert (results["status"] == "finished").all()
    assert len(results) == 9


@pytest.mark.parametrize("containing", ["layers.ReLU", "from_config", "set_population_statistics("])
def test_the_layers_examples_run(containing: str):
    names: dict = {}
    exec(block("layer.md", "python", containing), names)
    if "model" in names:
        model, width = names["model"], 5 if "batches" in names else 7
        assert model(np.ones((4, width), "float32"), training=True).shape == (4, 100)


def test_the_readmes_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(tmp_path)
    example = block("README.md", "python", "bnexp.sweep").replace("steps=500", "steps=20")
    exec(example, {})
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].split()[1:3] == ["batch", "3"]
    assert len(load_runs(tmp_path / "outputs").runs) == 6  # the run is one of the sweep's


def test_the_notebooks_example_runs(reference, monkeypatch):
    monkeypatch.chdir(reference)
    example = block("guide.md", "python", "sweep_figures").replace("outputs/", "")
    *statements, last = example.strip().splitlines()
    names: dict = {}
    exec("\n".join(statements), names)
    compared = names["compare"](names["runs"], "test_accuracy")
    assert (compared["difference"] > 0).all()
    assert list(compared["verdict"]) == ["inconclusive", "inconclusive"]  # three seeds
    assert eval(last, names)._repr_png_().startswith(b"\x89PNG")


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {cited['version']}" in changes
    assert cited["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
