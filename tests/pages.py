"""The pages of docs/ and the README as one who follows them to the letter would run them.

As a script it runs one page in the folder it stands in: files that the page shows are written,
commands and Python are carried out in their order. They are made small (few steps, images, seeds),
and one process serves all of them, so that TensorFlow starts and a network is compiled once.

    python tests/pages.py faq.md
"""

import contextlib
import importlib
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pebble
import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}

# Commands that are shown and not carried out here: how they begin, and why not. Those of `bnexp`
# are understood at least: see tests/test_docs.py.
NOT_RUN = {
    "python3 -m venv": "makes an environment: .ci/run does",
    "source": "makes an environment: .ci/run does",
    "pip install": "needs a network: .ci/run installs",
    "python -m pytest": "the tests themselves",
    "ruff": ".ci/run does it",
    "mypy": ".ci/run does it",
    "mkdocs build": "tests/test_docs.py builds the site",
    "python examples/": "tests/test_examples.py runs the examples",
    "eval": "tests/test_terminal.py tries completion",
    "ray start": "needs Ray: tests/test_clusters.py starts one where it is installed",
    "bnexp run --multirun hydra/launcher=ray": "needs Ray: tests/test_clusters.py",
    "bnexp run --multirun hydra/launcher=submitit_slurm": "needs Slurm: tests/test_clusters.py",
    "bnexp run --multirun hydra/sweeper=search": "needs Optuna: tests/test_clusters.py",
    "bnexp export": "needs MLflow: tests/test_exports.py",
    "bnexp run --multirun model=keras model.builder=keras.applications:MobileNetV2": (
        "minutes to compile: tests/test_foreign.py builds it"
    ),
    "bnexp plot outputs/reference": "minutes to draw: .ci/run has the reference judged",
    "bnexp reproduce --only": "has no tiny form without --: tests/test_reproduce.py",
    "bnexp reproduce --check": "needs the runs of a whole preset: tests/test_reproduce.py",
    "bnexp reproduce --unpack": "writes thousands of folders: tests/test_reproduce.py",
}
ELSEWHERE = {"extending.md"}  # tests/test_extending.py runs it, a section in a folder of its own


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        language: after the first fence.
        text: between them.
        file: the name in bold before it, of a file that is to be written; or empty.
    """

    language: str
    text: str
    file: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command of a bash block."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        return [one for one in words if one]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page from top to bottom."""
    shown = re.finditer(r"(?:\*\*`([^`]+)`\*\*\n\n)?```(\w+)\n(.*?)```", PAGES[page], re.DOTALL)
    for file, language, text in (match.groups() for match in shown):
        yield Block(language, text, file or "")


def commands(page: str) -> list[list[str]]:
    """The words of all commands of a page's bash blocks."""
    return [words for block in blocks(page) if block.language == "bash" for words in block.commands]


def reason_not_to_run(words: Sequence[str]) -> str | None:
    """The beginning in `NOT_RUN` that a command has."""
    line = " ".join(words)
    return next((one for one in NOT_RUN if line.startswith(one)), None)


def has_what_can_be_run(page: str) -> bool:
    """Whether there is more on it than commands in `NOT_RUN`."""
    python = any(block.language == "python" for block in blocks(page))
    return python or not all(map(reason_not_to_run, commands(page)))


# ---- small ---------------------------------------------------------------------------------------

TINY = {
    "trainer.steps": "20",
    "trainer.eval_every": "10",
    "data.train_size": "320",
    "data.val_size": "64",
}
FEW = {"trial.tune_seeds": "1", "trial.report_seeds": "2"}


def small(words: Sequence[str], trial: bool = False) -> list[str]:
    """The words of a run, sweep or trial, with fewer steps, images and seeds."""
    given = {key: value for key, _, value in (word.partition("=") for word in words)}
    tiny = TINY | (FEW if trial else {})
    if given.get("trainer.batch_size", "").isdecimal():
        tiny["trainer.batch_size"] = str(min(int(given["trainer.batch_size"]), 64))
    if "seed" in given:
        first = re.sub(r"range\(\d+\)", "0,1", given["seed"]).split(",")[:2]
        tiny["seed"] = ",".join(first)
    elif _sweeps_seeds(given.get("experiment", "")):
        tiny["seed"] = "0,1"
    return [f"{key}={value}" for key, value in (given | tiny).items()]


def _sweeps_seeds(experiment: str) -> bool:
    path = ROOT / "conf" / "experiment" / f"{experiment}.yaml"
    tree = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return "seed" in tree.get("hydra", {}).get("sweeper", {}).get("params", {})


MY_NORM = """
import keras


@keras.saving.register_keras_serializable(package="mine")
class MyNorm(keras.layers.LayerNormalization):
    pass
"""


def fixtures(folder: Path) -> None:
    """What the pages take for granted that a user has: images, a network, a normalizer."""
    rng = np.random.default_rng(0)
    looks = rng.random((3, 28, 28, 1))
    arrays = {}
    for part, count in (("train", 480), ("test", 90)):
        labels = rng.integers(0, 3, count)
        noisy = 255 * np.clip(looks[labels] + rng.normal(0, 0.3, (count, 28, 28, 1)), 0, 1)
        arrays |= {f"x_{part}": noisy.astype(np.uint8), f"y_{part}": labels}
    np.savez(folder / "my_images.npz", **arrays)
    _write_pictures(folder / "photos", arrays["x_train"], arrays["y_train"])
    rows = ["label," + ",".join(f"p{i}" for i in range(784))]
    labels, flat = arrays["y_train"], arrays["x_train"].reshape(-1, 784)
    rows += [f"{label}," + ",".join(map(str, row)) for label, row in zip(labels, flat, strict=True)]
    (folder / "table.csv").write_text("\n".join(rows))
    (folder / "my_net.py").write_text((ROOT / "examples/my_net.py").read_text())
    (folder / "my_norm.py").write_text(MY_NORM)


def _write_pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    from PIL import Image

    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / f"kind_{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)


# ---- carried out ---------------------------------------------------------------------------------


class Here:
    """A pool without processes: what it is given is done at once, in this one."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def schedule(self, job: Callable, args: Sequence = (), **_: object) -> Future:
        future: Future = Future()
        try:
            future.set_result(job(*args))
        except Exception as error:  # noqa: BLE001 (whoever asks for the result gets it)
            future.set_exception(error)
        return future

    def stop(self) -> None: ...

    def close(self) -> None: ...

    def join(self) -> None: ...


def prepare(folder: Path) -> None:
    """Runs and drawings are made here, MNIST is its first images, calls from Python are small.

    Dense networks are compiled without XLA, which takes half the time, and one exact claim is
    checked: tests/test_exact.py checks them all.
    """
    pebble.ProcessPool = Here  # before the modules that import it
    from bnexp import api
    from bnexp.analysis.claims import exact

    exact.EXACT = exact.EXACT[:1]
    importlib.import_module("bnexp.networks.mlp").mlp.jit = False
    mnist = importlib.import_module("bnexp.data.mnist")
    with np.load(mnist.FILE) as file:
        few = {name: file[name][: 600 if "train" in name else 100] for name in file}
    mnist.FILE = folder / "mnist.npz"
    np.savez(mnist.FILE, **few)
    for name in ("run", "sweep", "trial"):
        setattr(api, name, _smaller(getattr(api, name), name == "trial"))


def _smaller(call: Callable, trial: bool) -> Callable:
    return lambda *words, **others: call(*small(words, trial), **others)


def carry_out(page: str, home: Path) -> None:
    """Runs a page in the folder one stands in.

    Raises:
        SystemExit: a command failed.
        AssertionError: a command's output is not the one shown.
    """
    prepare(home)
    fixtures(Path.cwd())
    for block in blocks(page):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            for words in block.commands:
                if not reason_not_to_run(words):
                    command(words)
        elif block.language == "python":
            print(f"# {block.text.splitlines()[0]} ...", flush=True)
            exec(_with_run_id(block.text), {"__name__": "__main__"})
        elif block.text.startswith("$ "):
            line, _, shown = block.text.partition("\n")
            assert said(shlex.split(line)[1:]).strip() == shown.strip(), line


def command(words: Sequence[str]) -> None:
    """One command of a page, made small."""
    words = [os.path.expandvars(_with_run_id(word)) for word in words]
    if words[0] == "export":
        os.environ.update(word.split("=", 1) for word in words[1:])
        return
    assert words[0] == "bnexp", f"neither ours nor in NOT_RUN: {shlex.join(words)}"
    if words[1] in ("run", "trial"):
        flags = [word for word in words[2:] if word.startswith("-")]
        if not {"--help", "--cfg"} & {*flags}:
            words = [*words[:2], *_small_behind_flags(words[2:], words[1] == "trial")]
    if words[1] == "plot" and "--format" not in words:
        words += ["--format", "svg"]
    print(f"$ {shlex.join(words)}", flush=True)
    leave = _called(words)
    assert not leave, f"exit code {leave}"


def _small_behind_flags(words: Sequence[str], trial: bool) -> list[str]:
    """Flags and their values stay as they are."""
    given = list(words)
    flags: list[str] = []
    while "--config-dir" in given:
        place = given.index("--config-dir")
        flags += given[place : place + 2]
        del given[place : place + 2]
    flags += [word for word in given if word.startswith("-")]
    return [*flags, *small([word for word in given if not word.startswith("-")], trial)]


def _called(words: Sequence[str]) -> object:
    """The exit code of a command of ours, called in this process."""
    from bnexp.__main__ import main

    sys.argv = list(words)
    try:
        main()
    except SystemExit as left:
        return left.code
    return 0


def said(words: Sequence[str]) -> str:
    """What a command that is refused says."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        assert _called(words) == 2
    return told.getvalue()


def _with_run_id(text: str) -> str:
    """RUN_ID as the newest run of its folder, OTHER_ID as the one before."""
    for folder, which in re.findall(r"([\w/]+)/(RUN_ID|OTHER_ID)", text):
        runs = sorted(Path(folder).glob("*/result.json"), key=lambda path: path.stat().st_mtime)
        run = runs[-1 if which == "RUN_ID" else -2].parent
        text = text.replace(f"{folder}/{which}", str(run))
    return text


if __name__ == "__main__":
    carry_out(sys.argv[1], Path(os.environ["HOME"]))
