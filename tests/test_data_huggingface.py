"""Hugging Face datasets from files on disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bnexp.data import DataError, Dataset, Preparation, prepare
from bnexp.data.huggingface import huggingface

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (30, 8, 6), dtype=np.uint8)
NAMES = ["ant", "bee", "cat"]


@pytest.fixture
def datasets(tmp_path, monkeypatch) -> Iterator[Any]:
    library = pytest.importorskip("datasets", reason="the extra 'huggingface' is not installed")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    library.disable_progress_bars()
    yield library
    library.enable_progress_bars()


def rows(library: Any, count: int = 30, **columns: Any) -> Any:
    """Images, labels and a number each."""
    from PIL import Image

    values = {"image": [Image.fromarray(one) for one in PIXELS[:count]]}
    values |= {"label": [i % 3 for i in range(count)], "id": list(range(count))}
    features = {"image": library.Image(), "label": library.ClassLabel(names=NAMES)}
    features["id"] = library.Value("int64")
    made = library.Dataset.from_dict(values, features=library.Features(features))
    return made.rename_columns(columns) if columns else made


def write(folder: Path, **parts: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, part in parts.items():
        part.to_parquet(str(folder / f"{name}-00000-of-00001.parquet"))
    return folder


def prepared(**settings: object) -> Dataset:
    arrays = huggingface(**settings)  # type: ignore[arg-type]
    return prepare(arrays, Preparation(split_seed=None), "data=huggingface")


@pytest.mark.parametrize("form", ["folder", "pattern", "saved"])
def test_splits_images_and_class_names_are_found(datasets, tmp_path, form):
    parts = {"train": rows(datasets), "validation": rows(datasets, 6), "test": rows(datasets, 9)}
    path = str(write(tmp_path / "data", **parts))
    if form == "saved":
        path = str(tmp_path / "saved")
        datasets.DatasetDict(parts).save_to_disk(path)
    dataset = prepared(path=path + "/*.parquet" if form == "pattern" else path)
    np.testing.assert_array_equal(dataset.train.images[..., 0], PIXELS)
    np.testing.assert_array_equal(dataset.test.labels, np.arange(9) % 3)
    assert (len(dataset.validation), dataset.class_names) == (6, tuple(NAMES))


def test_a_single_file_is_all_to_train_on(datasets, tmp_path):
    folder = write(tmp_path / "data", all=rows(datasets))
    dataset = prepared(path=str(folder / "all-00000-of-00001.parquet"))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 30
    saved = tmp_path / "saved"
    rows(datasets).save_to_disk(str(saved))
    assert len(huggingface(path=str(saved)).x_train) == 30


def test_shards_of_a_split_are_put_together(datasets, tmp_path):
    whole = rows(datasets)
    write(tmp_path, **{"train-a": whole.select(range(20)), "train-b": whole.select(range(20, 30))})
    np.testing.assert_array_equal(huggingface(path=str(tmp_path)).x_train[..., 0], PIXELS)


def test_columns_can_be_told_and_images_resized(datasets, tmp_path):
    path = str(write(tmp_path, train=rows(datasets, image="photo", label="animal")))
    assert huggingface(path=path).x_train.shape == (30, 8, 6, 1)  # the only ones of their types
    told = huggingface(path=path, image="photo", label="id", size=[4], color="rgb")
    assert told.x_train.shape == (30, 4, 4, 3)
    assert told.y_train.tolist() == list(range(30))
    assert told.notes == ("30 of 30 images resized to 4x4",)
    with pytest.raises(DataError, match=r"there is no column 'x'; data\.image is one of photo, an"):
        huggingface(path=path, image="x")


def test_columns_of_numbers_are_images_too(datasets, tmp_path):
    made = datasets.Dataset.from_dict(
        {"pixels": PIXELS.tolist(), "label": [NAMES[i % 3] for i in range(30)]}
    )
    path = str(write(tmp_path, train=made))
    with pytest.raises(
        DataError, match=r"which column has the images of pixels, label; data\.image"
    ):
        huggingface(path=path)
    dataset = prepared(path=path, image="pixels")
    np.testing.assert_array_equal(dataset.train.images[..., 0], PIXELS[: len(dataset.train)])
    assert dataset.class_names == tuple(NAMES)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda d: d / "none", "no such file or folder"),
        (
            lambda d: [(d / "a.txt").write_text("a"), d][1],
            r"no Parquet file, only a\.txt; give Par",
        ),
        (lambda d: [(d / "a.parquet").write_bytes(b"PAR1"), d][1], r"cannot be read \(.*\); give"),
    ],
)
def test_files_that_cannot_be_used_are_refused(datasets, tmp_path, make, named):
    path = make(tmp_path)
    with pytest.raises(DataError, match=named) as refusal:
        huggingface(path=str(path))
    assert str(refusal.value).startswith(f"data.path={path}: ")
    assert "\n" not in str(refusal.value)


def test_a_row_without_an_image_is_refused(datasets, tmp_path):
    made = rows(datasets).map(lambda row: {"image": row["image"] if row["id"] != 7 else None})
    with pytest.raises(DataError, match="train row 7 has no image; remove that row"):
        huggingface(path=str(write(tmp_path, train=made)))


def test_files_and_splits_of_no_known_name_are_refused(datasets, tmp_path):
    folder = write(tmp_path / "data", train=rows(datasets), extra=rows(datasets))
    with pytest.raises(DataError, match=r"extra-.*parquet has none of train, validation, test in"):
        huggingface(path=str(folder))
    saved = tmp_path / "saved"
    datasets.DatasetDict(unsupervised=rows(datasets)).save_to_disk(str(saved))
    with pytest.raises(DataError, match="has no split 'train'; has unsupervised"):
        huggingface(path=str(saved))


def test_what_the_hub_says_is_told_in_one_line(datasets, monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach 'a/b' on the Hub\nlong story")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(
        DataError, match=r"data\.name=a/b cannot be had \(Couldn't reach"
    ) as refusal:
        huggingface(name="a/b")
    assert "give its Parquet files as data.path" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("settings", [{}, {"path": "a", "name": "b"}])
def test_one_of_path_and_name_is_needed(settings):
    with pytest.raises(DataError, match=r"give data\.path=FOLDER or data\.name=OWNER/DATASET"):
        huggingface(**settings)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs a package: pip install 'bnexp\[huggingface\]'"):
        huggingface(name="a/b")
