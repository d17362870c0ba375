"""The README's recipes, followed to the letter in a copy of the project, do what they say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, environment

from bnexp.analysis import load_runs

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:diff|python)\n# (in|new file) (\S+)\n(.*?)```", README, re.DOTALL)
COPIES = {  # which option each new one is a copy of
    "data/permuted_mnist": "data/mnist",
    "norm/group": "norm/layer",
}


def edited(text: str, patch: str) -> str:
    """The text with a diff's lines taken out (-) and put in (+) behind those it shows ( )."""
    lines, place = text.splitlines(), 0
    waiting: list[str] = []  # to be put in before the next line that is shown
    for change in patch.splitlines():
        sign, line = change[:1], change[1:]
        if sign == "+" and place:
            lines.insert(place, line)
            place += 1
        elif sign == "+":
            waiting.append(line)
        else:
            found = lines.index(line, place)  # an error if the README shows what is not there
            lines[found:found] = waiting
            found, waiting = found + len(waiting), []
            if sign == "-":
                del lines[found]
            place = found + (sign != "-")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for part in ("bnexp", "conf", "hydra_plugins", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for new, old in COPIES.items():
        assert f"conf/{new}.yaml" in README
        text = (folder / "conf" / f"{old}.yaml").read_text()
        kind = f"kind: {new.partition('/')[2]}"
        (folder / "conf" / f"{new}.yaml").write_text(re.sub(r"^kind: .*$", kind, text, flags=re.M))
    assert len(BLOCKS) == 6
    for action, path, content in BLOCKS:
        file = folder / path
        file.write_text(content if action == "new file" else edited(file.read_text(), content))
    return folder


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_new_dataset_and_normalizer_train(copy: Path):
    options = ["data=permuted_mnist", "norm=none,group", "seed=0,1,2", "name=quickstart"]
    schedule = ["trainer.steps=600", "trainer.eval_every=500", "optimizer.lr=1"]
    python(copy, "-m", "bnexp.run", "--multirun", *SMALL, *options, *schedule)
    runs = load_runs(copy / "outputs" / "quickstart").runs
    assert list(runs.groupby("norm.kind")["status"].unique().map(list)) == [["finished"]] * 2
    assert set(runs["data.kind"]) == {"permuted_mnist"}
    group = runs[runs["norm.kind"] == "group"]
    assert (group["test_accuracy"] > 0.5).all()


def test_the_new_options_are_as_complete_as_the_others(copy: Path):
    python(copy, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_config.py", "-k", "option")


def test_the_new_claim_is_judged(copy: Path):
    judged = (
        "from bnexp.analysis import load_runs; from bnexp.analysis.claims.judge import judge\n"
        f"runs = load_runs({str(ROOT / 'outputs' / 'reference')!r})\n"
        "[one] = [one for one in judge(runs) if one.claim.id == 'ahead-early']\n"
        "print(*(f.verdict + '|' + f.sentence for f in one.findings), sep='\\n')"
    )
    lines = python(copy, "-c", judged).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"supported\|At step 500 BN is ahead by \+.*, n = 3 points\.", line)
