"""Shared by all tests: tiny data, typed configs composed from conf/, one TensorFlow start."""

import os
import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bnexp.config import Config
from bnexp.config.compose import compose as compose_config
from bnexp.folders.pack import unpack
from bnexp.folders.runs import PACK
from bnexp.training import interrupt

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"

# What a quick run of the dense network needs.
MOMENTUM = "norm.momentum=0.9"
SMALL = (
    "model=mlp",
    "model.hidden=[16,16]",
    "init=glorot",
    "optimizer=sgd",
    MOMENTUM,
    "trainer.steps=40",
    "trainer.batch_size=20",
    "trainer.eval_every=20",
)
_DEEP = ("init=glorot", "optimizer=sgd", "trainer.steps=12", "trainer.batch_size=20",
         "trainer.eval_every=6")  # fmt: skip
DEEP = {
    "plain": ("model=plain", "model.filters=[4,8]", "model.depth=1", *_DEEP),
    "residual": ("model=residual", "model.filters=[4]", "model.skip_init=true", *_DEEP),
    "inception": ("model=inception", "model.maps=[4,4]", "model.stem=[4,4]", *_DEEP),
}
SMALL_CNN = (
    "model.filters=[4,6]",
    "model.hidden=[16]",
    "trainer.steps=12",
    "trainer.batch_size=20",
    "trainer.eval_every=6",
)


@pytest.fixture(scope="session", autouse=True)
def _tensorflow() -> None:
    """One thread, as in a sweep; the count cannot change within a process."""
    from bnexp.training import backend

    backend.start(1)


def write_npz(path: Path, **changes: np.ndarray) -> Path:
    """A learnable set of 8x8 images in 3 classes; `changes` replace arrays."""
    rng = np.random.default_rng(0)
    prototypes = rng.integers(0, 256, (3, 8, 8))
    arrays = {}
    for part, count in (("train", 320), ("test", 90)):
        labels = rng.integers(0, 3, count)
        noise = rng.integers(-120, 120, (count, 8, 8))
        images = np.clip(prototypes[labels] + noise, 0, 255).astype(np.uint8)
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    np.savez(path, **(arrays | changes))
    return path


@pytest.fixture(scope="session")
def npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_npz(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps of the reference runs as folders; the layout is that of outputs/."""
    folder = tmp_path_factory.mktemp("reference")
    unpack(ROOT / "outputs" / "reference" / PACK, folder, ("quickstart", "original"))
    return folder


@pytest.fixture(scope="session")
def version_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweeps quickstart and original as version 0.1 made them, as folders."""
    folder = tmp_path_factory.mktemp("version_0_1")
    unpack(Path(__file__).parent / "version_0_1" / PACK, folder)
    return folder


@pytest.fixture
def compose(npz: Path, tmp_path: Path) -> Callable[..., Config]:
    """Composes conf/ with overrides, on the tiny data, writing below tmp_path."""

    def composed(*overrides: str) -> Config:
        given = [
            "data=npz",
            f"data.path={npz}",
            "data.val_size=64",
            "data.split_seed=null",
            f"output_dir={tmp_path}",
            *overrides,
        ]
        last = {text.partition("=")[0]: text for text in given}
        if last.get("norm") not in (None, "norm=batch") and MOMENTUM in last.values():
            del last["norm.momentum"]
        return compose_config(*last.values())

    return composed


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[int] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, steps: int) -> None:
        self.steps.append(steps)


class StopAt(Lines):
    """Interrupts a run after so many calls of the training program."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    def step(self, steps: int) -> None:
        super().step(steps)
        self._left -= 1
        if self._left == 0:
            raise interrupt.Interrupted(signal.SIGTERM)


def installed(module: str, extra: str) -> pytest.MarkDecorator:
    """Skips unless the module, with all of its parents, can be found."""
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    return pytest.mark.skipif(not found, reason=f"the extra '{extra}' is not installed")


def environment(**extra: str) -> dict[str, str]:
    """For child processes: ours, less what pytest set."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return kept | extra


class Clock:
    """Stands still unless told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()
