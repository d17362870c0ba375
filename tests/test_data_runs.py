"""Whole runs on data of real life: what an image was saved as changes no number of a run."""

import sys

import numpy as np
import pytest
from conftest import SMALL, SMALL_CNN, Lines

from bnexp.config.options import option
from bnexp.data.loading import load
from bnexp.training.loop import train_and_evaluate


def history(config, folder):
    """history.csv without the seconds."""
    folder.mkdir(exist_ok=True)
    train_and_evaluate(config, folder, Lines())
    lines = (folder / "history.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


FORMS = {
    "floats": lambda x, y: (x.astype(np.float64), y),
    "int64": lambda x, y: (x.astype(np.int64), y),
    "flat": lambda x, y: (x.reshape(len(x), -1), y),
    "channels first, one-hot": lambda x, y: (x[:, None].astype(np.float32), np.eye(3)[y]),
    "text, column": lambda x, y: (x[..., None], np.array(["a", "b", "c"])[y][:, None]),
    "labels from 1": lambda x, y: (x, y + 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_images_give_the_same_numbers_whatever_they_were_saved_as(compose, npz, tmp_path, form):
    with np.load(npz) as file:
        parts = {part: (file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")}
    arrays = {}
    for part, (x, y) in parts.items():
        arrays[f"x_{part}"], arrays[f"y_{part}"] = FORMS[form](x, y)
    np.savez(tmp_path / "other.npz", **arrays)
    settings = [s for s in SMALL if not s.startswith("norm.")]
    plain = history(compose(*settings, "norm=none"), tmp_path / "plain")
    other = compose(*settings, "norm=none", f"data.path={tmp_path / 'other.npz'}")
    assert history(other, tmp_path / "other") == plain


@pytest.mark.parametrize("small", [SMALL, SMALL_CNN], ids=["mlp", "cnn"])
def test_augmented_images_are_the_same_in_every_run_of_a_seed(compose, tmp_path, small):
    augmented = compose(*small, "data.flip=true", "data.crop=2")
    first = history(augmented, tmp_path / "first")
    assert history(augmented, tmp_path / "second") == first
    assert history(compose(*small), tmp_path / "plain") != first


def test_a_source_may_return_batches_that_can_be_iterated_once(tmp_path, monkeypatch):
    (tmp_path / "once.py").write_text(
        "import numpy as np\n"
        "def batches(count: int = 3):\n"
        "    for i in range(count):\n"
        "        yield np.full((10, 4, 4), 80 * i + 90, np.uint8), np.arange(10) % 2\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    chosen = {"_target_": "once:batches", "kind": "once"}
    for seed in (0, 1):
        dataset = load(option("data", chosen | {"split_seed": seed}))
        sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
        assert sizes == [22, 2, 6]
