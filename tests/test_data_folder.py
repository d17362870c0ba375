"""A folder of images by class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnexp.data import DataError, Dataset, Preparation, prepare
from bnexp.data.folder import folder

RNG = np.random.default_rng(0)


def picture(path: Path, pixels: np.ndarray | None = None, mode: str = "L") -> Path:
    """Writes an image of 8x6 pixels, or of those given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(pixels if pixels is not None else noise())
    (made if made.mode == mode else made.convert(mode)).save(path)
    return path


def noise(*shape: int, high: int = 256, dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(0, high, shape or (8, 6)).astype(dtype)


def classes(root: Path, count: int = 6, **settings: str) -> Path:
    for name in ("cats", "dogs"):
        for i in range(count):
            picture(root / name / f"{i}.png", **settings)
    return root


def prepared(place: Path, **settings: object) -> Dataset:
    return prepare(folder(str(place), **settings), Preparation(split_seed=None), "data=folder")


def test_folders_at_the_top_are_the_classes(tmp_path):
    arrays = folder(str(classes(tmp_path)))
    assert arrays.y_train == ["cats"] * 6 + ["dogs"] * 6
    assert arrays.x_test is None
    for image, name in zip(arrays.x_train, sorted(tmp_path.glob("*/*")), strict=True):
        np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(name)))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "validation", "testing")])
def test_parts_may_have_folders_of_their_own(tmp_path, names):
    for name, count in zip(names, (6, 2, 3), strict=True):
        classes(tmp_path / name, count)
    dataset = prepared(tmp_path)
    sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [12, 4, 6]
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_images_may_lie_deeper_and_the_class_is_the_upper_folder(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "cats/siamese/x.png")
    assert folder(str(tmp_path)).y_train.count("cats") == 7


def test_gray_and_colour_become_colour_or_what_is_asked(tmp_path):
    classes(tmp_path)
    assert folder(str(tmp_path)).x_train.shape == (12, 8, 6, 1)
    pixels = noise(8, 6, 3)
    picture(tmp_path / "dogs/0.png", pixels, "RGB")
    mixed = folder(str(tmp_path))
    assert mixed.x_train.shape == (12, 8, 6, 3)
    np.testing.assert_array_equal(mixed.x_train[6], pixels)
    np.testing.assert_array_equal(mixed.x_train[0, ..., 0], mixed.x_train[0, ..., 2])
    assert mixed.notes == ("11 gray images and 1 in colour, all taken in colour",)
    assert folder(str(tmp_path), color="gray").x_train.shape == (12, 8, 6, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_image_is_read(tmp_path, mode):
    suffix = ".tif" if mode == "CMYK" else ".png"
    for name in ("cats", "dogs"):
        for i in range(5):
            picture(tmp_path / name / f"{i}{suffix}", noise(8, 6, 3), mode)
    arrays = folder(str(tmp_path))
    assert arrays.x_train.shape[-1] == (1 if mode in ("1", "L", "LA") else 3)
    assert arrays.x_train.dtype == np.uint8
    assert arrays.x_train.max() > 100
    assert ("transparency left out" in arrays.notes) == ("A" in mode)


def test_sixteen_bits_are_kept(tmp_path):
    pixels = noise(8, 6, high=65536, dtype="uint16")
    for i in range(10):
        picture(tmp_path / f"{i % 2}" / f"{i}.png", pixels, "I;16")
    arrays = folder(str(tmp_path))
    assert arrays.x_train.dtype == np.uint16
    np.testing.assert_array_equal(arrays.x_train[3, ..., 0], pixels)
    small = folder(str(tmp_path), size=[4, 3]).x_train
    assert small.dtype == np.uint16
    assert abs(small.mean() - pixels.mean()) < 0.1 * 65535
    picture(tmp_path / "0/8bits.png")
    with pytest.raises(DataError, match=r"has pixels of 16 bits or more, others .* 8; convert all"):
        folder(str(tmp_path))


def test_more_than_sixteen_bits_are_refused(tmp_path):
    for i in range(4):
        picture(tmp_path / f"{i % 2}" / f"{i}.tif", noise(8, 6, high=80_000, dtype="int32"), "I")
    with pytest.raises(DataError, match=r"tif has pixels beyond 0\.\.65535; scale it"):
        folder(str(tmp_path))


def test_images_of_several_sizes_are_resized_if_asked_and_it_is_told(tmp_path):
    classes(tmp_path)
    picture(tmp_path / "dogs/wide.png", noise(8, 60))
    with pytest.raises(
        DataError, match=r"2 sizes, from 8x6 \(cats.0.png\) to 8x60 .* data\.size=\["
    ):
        folder(str(tmp_path))
    arrays = folder(str(tmp_path), size=[8, 6])
    assert arrays.x_train.shape == (13, 8, 6, 1)
    assert arrays.notes == ("1 of 13 images resized to 8x6",)
    np.testing.assert_array_equal(
        arrays.x_train[0, ..., 0], np.asarray(Image.open(tmp_path / "cats/0.png"))
    )
    assert folder(str(tmp_path), size=[4]).x_train.shape == (13, 4, 4, 1)


def test_other_files_are_left_out_and_it_is_told(tmp_path):
    classes(tmp_path)
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / ".DS_Store").write_text("hidden")
    assert folder(str(tmp_path)).notes == ("1 files that are no images left out",)


def test_the_home_folder_may_be_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    classes(tmp_path / "pets")
    assert len(folder("~/pets").x_train) == 12


def broken(root: Path, keep: int = 60) -> Path:
    path = picture(classes(root) / "dogs/9.png")
    path.write_bytes(path.read_bytes()[:keep])
    return root


def file(path: Path) -> Path:
    path.write_text("text")
    return path


BAD = {
    "missing": (lambda d: d / "none", "no such file or folder"),
    "file": (lambda d: file(d / "a.txt"), "a file; give the folder that holds a folder for each"),
    "no image": (
        lambda d: file(d / "a.txt").parent,
        r"no image below it, only \.txt; give a folder",
    ),
    "cut": (broken, r"dogs.9\.png cannot be read as an image \(.*\); replace or remove it"),
    "not an image": (lambda d: broken(d, 5), r"dogs.9\.png cannot be read as an image"),
    "no class": (lambda d: picture(classes(d) / "a.png").parent, "a.png lies in no folder of a"),
    "beside parts": (
        lambda d: [classes(d / "train"), picture(d / "more/cats/1.png"), d][2],
        r"more.cats.1\.png lies in no folder of a class; put it into train/CLASS/, or remove it",
    ),
    "part without classes": (
        lambda d: [classes(d / "train"), picture(d / "test/1.png"), d][2],
        r"test.1\.png lies in no folder of a class",
    ),
    "one level too high": (
        lambda d: classes(d / "PetImages").parent,
        "a single class, PetImages; if cats, dogs are the classes, give the folder right above",
    ),
    "single class": (lambda d: picture(d / "cats/1.png").parents[1], "a single class, cats; give"),
}


@pytest.mark.parametrize("case", BAD)
def test_folders_that_cannot_be_used_are_refused_with_the_remedy(tmp_path, case):
    make, named = BAD[case]
    path = make(tmp_path)
    with pytest.raises(DataError, match=named) as refusal:
        folder(str(path))
    assert str(refusal.value).startswith(f"data.path={path}: ")
    assert "\n" not in str(refusal.value)
