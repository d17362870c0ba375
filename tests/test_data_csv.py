"""Tables of numbers with a column of labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bnexp.data import DataError, Dataset, Preparation, prepare
from bnexp.data.csv import csv

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (30, 16))
WORDS = np.array(["ant", "NA", "None"])[np.arange(30) % 3]


def table(path: Path, labels: np.ndarray = WORDS, **settings: object) -> Path:
    """A row for each image: label, pixel0, pixel1, ..."""
    frame = pd.DataFrame(X[: len(labels)], columns=[f"pixel{i}" for i in range(16)])
    frame.insert(0, "label", labels)
    frame.to_csv(path, **{"index": False, **settings})
    return path


def prepared(path: Path, **settings: object) -> Dataset:
    return prepare(csv(str(path), **settings), Preparation(split_seed=None), "data=csv")


def whole(dataset: Dataset) -> np.ndarray:
    splits = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([split.images for split in splits])


def test_pixels_become_square_images_and_labels_classes(tmp_path):
    dataset = prepared(table(tmp_path / "a.csv"))
    np.testing.assert_array_equal(whole(dataset), X.reshape(30, 4, 4, 1))
    assert dataset.train.images.dtype == np.uint8
    assert dataset.class_names == ("NA", "None", "ant")
    assert dataset.train.labels[:3].tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.csv", {"sep": ";"}),
        ("a.tsv", {"sep": "\t"}),
        ("a.csv.gz", {}),
        ("a.csv", {"quoting": 1}),
    ],
)
def test_separators_quotes_and_compression_are_recognised(tmp_path, name, settings):
    np.testing.assert_array_equal(
        whole(prepared(table(tmp_path / name, **settings))), X.reshape(30, 4, 4, 1)
    )


def test_the_label_may_be_any_column_and_others_be_left_out(tmp_path):
    path = table(tmp_path / "a.csv")
    frame = pd.read_csv(path, keep_default_na=False)
    frame.insert(3, "kind", frame.pop("label"))
    frame.insert(0, "file", [f"{i}.png" for i in range(30)])
    frame.to_csv(path)  # with an index, a column without a name
    arrays = csv(str(path), label="kind", ignore=["file"])
    np.testing.assert_array_equal(arrays.x_train, X)
    assert arrays.notes == ("a column without a name left out",)


@pytest.mark.parametrize("place", ["first", "last"])
def test_without_a_line_of_names_the_label_is_first_or_last(tmp_path, place):
    path = tmp_path / "a.csv"
    columns = [np.arange(30) % 3, X] if place == "first" else [X, np.arange(30) % 3]
    np.savetxt(path, np.column_stack(columns), fmt="%d", delimiter=",")
    dataset = prepared(path, label=place)
    np.testing.assert_array_equal(whole(dataset), X.reshape(30, 4, 4, 1))
    assert dataset.train.labels[:3].tolist() == [0, 1, 2]
    with pytest.raises(DataError, match=r"no line with the names of columns; data\.label=first or"):
        csv(str(path))


def test_the_shape_of_images_can_be_told(tmp_path):
    path = table(tmp_path / "a.csv")
    assert prepared(path, shape=[2, 8]).input_shape == (2, 8, 1)
    assert prepared(path, shape=[2, 4, 2]).input_shape == (2, 4, 2)
    for shape in ([4, 5], [16], [2, 2, 2, 2]):
        with pytest.raises(
            DataError, match=r"data\.shape=.* does not fit 16 pixels; give \[height"
        ):
            csv(str(path), shape=shape)


@pytest.mark.parametrize("pattern", ["", "/mnist_*.csv"])
def test_parts_are_told_by_the_names_of_files(tmp_path, pattern):
    table(tmp_path / "mnist_train.csv")
    table(tmp_path / "mnist_test.csv", WORDS[:9])
    (tmp_path / "README.md").write_text("about")
    dataset = prepared(Path(f"{tmp_path}{pattern}"))
    assert (len(dataset.train), len(dataset.test)) == (27, 9)


def test_a_line_longer_than_what_is_read_at_once_is_read(tmp_path):
    path = tmp_path / "a.csv"
    names = ["label", *(f"pixel_{i}_of_a_large_image" for i in range(4096))]
    pixels = RNG.integers(0, 256, (6, 4096))
    frame = pd.DataFrame(np.column_stack([np.arange(6) % 2, pixels]), columns=names)
    frame.to_csv(path, index=False)
    np.testing.assert_array_equal(csv(str(path)).x_train, pixels)


def test_fractions_are_kept(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"a": X[:, 0] / 255, "b": X[:, 1] / 255, "label": WORDS}).to_csv(path, index=False)
    dataset = prepared(path)
    assert dataset.input_shape == (1, 2, 1)
    np.testing.assert_allclose(whole(dataset)[:, 0, :, 0], X[:, :2] / 255, rtol=1e-6)


def changed(path: Path, old: str, new: str) -> Path:
    path.write_text(path.read_text().replace(old, new))
    return path


def lines(path: Path, *texts: str) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


BAD = {
    "missing": (lambda d: d / "none.csv", "no such file or folder"),
    "empty": (lambda d: lines(d / "a.csv"), "an empty file; give a row for each image"),
    "no rows": (lambda d: lines(d / "a.csv", "label,p"), "has no rows; give a row for each image"),
    "no label": (
        lambda d: changed(table(d / "a.csv"), "label", "digit"),
        r"no column 'label' \(has digit, pixel0, .*, \.\.\., pixel15\); data\.label=NAME names",
    ),
    "no pixels": (lambda d: lines(d / "a.csv", "label", "1"), "no column but label; give pixels"),
    "text": (
        lambda d: lines(d / "a.csv", "label,file,p", "1,a.png,3", "2,b.png,4"),
        r"column 'file' holds string, not pixels; data\.ignore=\[file\] leaves it out",
    ),
    "short row": (
        lambda d: lines(d / "a.csv", "label,p,q", "1,2,3", "2,4"),
        "xpected 3 columns, got 2",
    ),
    "long row": (
        lambda d: lines(d / "a.csv", "label,p", "1,2", "2,4,5,6"),
        r"cannot be read as CSV \(.*xpected 2 columns, got .\D.*; give a line",
    ),
    "all rows longer": (
        lambda d: lines(d / "a.csv", "label,p", *["1,2,3", "2,4,5"] * 9),
        r"cannot be read as CSV \(.*xpected 2 columns, got .\D.*; give a line",
    ),
    "missing pixel": (
        lambda d: lines(d / "a.csv", "label,p,q", *["1,2,3", "2,4,"] * 9),
        "x_train has pixels that are NaN",
    ),
    "no names for all": (
        lambda d: lines(d / "a.csv", "label,p,p", "1,2,3"),
        "more than one column is called p; rename them",
    ),
    "binary": (
        lambda d: [(d / "a.csv").write_bytes(b"\x89PNG\r\n\xff\x00"), d / "a.csv"][1],
        "CSV",
    ),
    "no train": (lambda d: table(d / "a.csv").parent, "no file here has train in its name; has a"),
    "two trains": (
        lambda d: [table(d / "a_train.csv"), table(d / "b_train.csv"), d][2],
        "a_train.csv and b_train.csv are both train; name those of one dataset by a pattern",
    ),
    "unlabelled test": (
        lambda d: [table(d / "train.csv"), changed(table(d / "test.csv"), "label", "id"), d][2],
        r"\(test\.csv\): no column 'label' .* a file without labels must be left out",
    ),
    "other columns": (
        lambda d: [table(d / "train.csv"), changed(table(d / "test.csv"), "pixel3", "p"), d][2],
        "test.csv has other columns than train.csv",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_tables_that_cannot_be_used_are_refused_with_the_remedy(tmp_path, case):
    make, named = BAD[case]
    path = make(tmp_path)
    with pytest.raises(DataError, match=named) as refusal:
        prepared(path)
    assert "\n" not in str(refusal.value)


def test_an_unknown_column_to_ignore_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.ignore names size, which is no column"):
        csv(str(table(tmp_path / "a.csv")), ignore=["size"])
