"""The pages: every command on them is run, every link leads somewhere, the site loads nothing."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pages
import pytest
import yaml
from conftest import CONF, ROOT, environment
from pages import (
    ELSEWHERE,
    NOT_RUN,
    PAGES,
    blocks,
    commands,
    has_what_can_be_run,
    reason_not_to_run,
)

from bnexp import __main__
from bnexp.analysis import command
from bnexp.config import options, schema
from bnexp.folders.runs import HISTORY_COLUMNS, PROBE_COLUMNS
from bnexp.sweeps import reproduce

REFERENCE = ROOT / "outputs" / "reference"
GENERATED = ["options.md"]  # docs/hooks.py makes it
LIVE = [page for page in PAGES if page not in ELSEWHERE and has_what_can_be_run(page)]


def flat(text: str) -> str:
    return " ".join(text.split())


def block(page: str, containing: str) -> str:
    """The Python that holds some words."""
    return next(
        one.text for one in blocks(page) if one.language == "python" and containing in one.text
    )


@pytest.mark.parametrize("page", LIVE)
def test_a_page_can_be_followed_from_top_to_bottom(page: str, tmp_path: Path):
    """In an empty folder and home, offline, with less of everything."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/pages.py"), page],
        cwd=folder,
        env=environment(
            PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}", HOME=str(home), MPLBACKEND="agg", TERM="dumb"
        ),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_what_is_not_run_is_on_a_page_and_every_command_is_one_that_there_is():
    shown = [words for page in PAGES for words in commands(page)]
    assert {*map(reason_not_to_run, shown)} - {None} == {*NOT_RUN}
    for words in shown:
        if words[0] == "bnexp":
            assert words[1] in {*__main__.COMMANDS, "--version"}


COMPOSE = """
import json, sys
from bnexp.config import ConfigError
from bnexp.config.compose import compose, compose_sweep

for words in json.loads(sys.argv[1]):
    given = [word for word in words if not word.startswith("-")]
    try:
        compose_sweep(*given) if "--multirun" in words else compose(*given)
    except ConfigError as error:
        print(" ".join(words), "->", error)
"""
PARSERS = {"plot": command.parser, "reproduce": reproduce.parser}


def test_commands_that_are_not_run_are_understood(tmp_path: Path):
    """But for launchers and searches, whose packages may not be there."""
    shown = [words for page in PAGES for words in commands(page) if reason_not_to_run(words)]
    ours = [words[1:] for words in shown if words[0] == "bnexp"]
    for name, *given in ours:
        if name in PARSERS:
            PARSERS[name]().parse_args(given)
    runs = [
        [word for word in words if not re.match(r"hydra[/.]|optimizer.lr=tag", word)]
        for words in ours
        if words[0] == "run"
    ]
    assert len(runs) == 4
    pages.fixtures(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", COMPOSE, json.dumps([words[1:] for words in runs])],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.stdout, done.stderr) == ("", "")


# ---- what the pages list is what there is --------------------------------------------------------


def test_every_preset_is_listed_with_its_question():
    listed = PAGES["student.md"].partition("## Presets")[2].partition("\n## ")[0]
    names = re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)
    assert sorted(names) == sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


def test_every_option_and_setting_is_in_the_reference():
    page = PAGES["reference.md"]
    for group in ("data", "model", "norm", "init", "optimizer", "schedule", "probes"):
        row = re.search(rf"^\| `{group}` \| (.*?) \|", page, re.MULTILINE)
        assert row and sorted(row[1].split(", ")) == options.names(group)
    for field in fields(schema.Trainer):
        assert f"`trainer.{field.name}`" in page
    for name in options.names("norm"):
        assert f"| `{name}` |" in page
    own, common = options.parameters("norm", "bnexp.norms.batch.batch")
    for name, parameter in (own | common).items():
        row = re.search(rf"^\|.*`norm\.{name}`.*?\| (\S+) \|", PAGES["layer.md"], re.MULTILINE)
        assert row and str(parameter.default).lower().replace("none", "null") == row[1]


def test_columns_and_commands_are_those_listed():
    for columns in (HISTORY_COLUMNS, PROBE_COLUMNS):
        assert f"`{','.join(columns)}`" in PAGES["reference.md"]
    listed = re.findall(r"^\| `bnexp (\w+)` \|", PAGES["reference.md"], re.MULTILINE)
    assert sorted(listed) == sorted(__main__.COMMANDS)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"The command `bnexp`\*\* \((.*?)\)", flat(changes))
    assert {name.strip(" `") for name in listed.split(",")} == set(__main__.COMMANDS)


# ---- examples, links, the site -------------------------------------------------------------------


@pytest.mark.parametrize("containing", ["layers.ReLU", "from_config", "set_population_statistics("])
def test_the_layers_examples_make_networks_that_work(containing: str):
    names: dict = {}
    exec(block("layer.md", containing), names)
    if "model" in names:
        model, width = names["model"], 5 if "batches" in names else 7
        assert model(np.ones((4, width), "float32"), training=True).shape == (4, 100)


def test_the_notebooks_example_runs(reference, monkeypatch):
    monkeypatch.chdir(reference)
    example = block("teacher.md", "sweep_figures").replace("outputs/", "")
    *statements, last = example.strip().splitlines()
    names: dict = {}
    exec("\n".join(statements), names)
    compared = names["compare"](names["runs"], "test_accuracy")
    assert (compared["difference"] > 0).all()
    assert list(compared["verdict"]) == ["inconclusive", "inconclusive"]  # three seeds
    assert eval(last, names)._repr_png_().startswith(b"\x89PNG")


def test_every_figure_shown_and_every_page_linked_is_there():
    figures = {path.name for path in REFERENCE.rglob("*.png")}
    for page, text in PAGES.items():
        folder = ROOT / "docs" if (ROOT / "docs" / page).is_file() else ROOT
        for path in re.findall(r"\]\(((?!https?:)[^)#]+)(?:#[^)]*)?\)", text):
            if path.startswith("figures/"):  # docs/hooks.py puts them there
                assert Path(path).name in figures
            else:
                assert path in GENERATED or (folder / path).exists(), f"{page}: {path}"


def test_every_page_is_in_the_menu():
    tree = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), yaml.BaseLoader)
    listed = re.findall(r"[\w-]+\.md", json.dumps(tree["nav"]))
    assert sorted(listed) == sorted([*(path.name for path in ROOT.glob("docs/*.md")), *GENERATED])


def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    loaded = re.compile(r"<(?:script|img|iframe)[^>]* src=[\"']?(?:https?:)?//[^>]*>"
                        r"|<link[^>]*rel=[\"']?(?:stylesheet|preload|icon)[^>]*(?:https?:)?//[^>]*>"
                        r"|(?:@import|url\()\s*[\"']?(?:https?:)?//")  # fmt: skip
    for path in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        assert not loaded.search(path.read_text(encoding="utf-8")), path
