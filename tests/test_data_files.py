"""NumPy's files in all the ways they are named, and the identity of files, folders, patterns."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import write_npz

from bnexp.data import DataError, Preparation, fingerprint, prepare
from bnexp.data.npz import npz

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8), np.arange(30) % 3
PARTS = {"x_train": X, "y_train": Y, "x_test": X[:9], "y_test": Y[:9]}


def test_an_npz_file_holds_arrays_by_name(npz):
    from bnexp.data.npz import npz as read

    dataset = prepare(read(str(npz)), Preparation(), "data=npz")
    assert (len(dataset.train), len(dataset.test)) == (288, 90)
    assert dataset.input_shape == (8, 8, 1)


def test_medmnist_s_keys_and_its_validation_part(tmp_path):
    names = {"train": X, "val": X[:6], "test": X[:9]}
    arrays = {f"{part}_images": images for part, images in names.items()}
    arrays |= {f"{part}_labels": Y[: len(images), None] for part, images in names.items()}
    np.savez(tmp_path / "pathmnist.npz", **arrays)
    dataset = prepare(npz(str(tmp_path / "pathmnist.npz")), Preparation(), "data=npz")
    sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [30, 6, 9]
    np.testing.assert_array_equal(dataset.validation.labels, Y[:6])


def save_kmnist(folder: Path, prefix: str, images: np.ndarray = X) -> None:
    """One npz file for each array, as KMNIST and Kuzushiji-49 have them."""
    folder.mkdir(exist_ok=True)
    for part, x, y in (("train", images, Y), ("test", images[:9], Y[:9])):
        np.savez_compressed(folder / f"{prefix}-{part}-imgs.npz", x)
        np.savez_compressed(folder / f"{prefix}-{part}-labels.npz", y)


def test_kmnist_s_files_are_found_in_their_folder_or_by_a_pattern(tmp_path):
    folder = tmp_path / "downloads"
    save_kmnist(folder, "kmnist")
    (folder / "kmnist_classmap.csv").write_text("index,codepoint,char\n0,U+304A,o\n")
    np.testing.assert_array_equal(npz(str(folder)).x_test, X[:9])
    save_kmnist(folder, "k49", 255 - X)
    with pytest.raises(
        DataError, match=r"more than one file with .* by a pattern, as 'data\.path="
    ):
        npz(str(folder))
    np.testing.assert_array_equal(npz(f"{folder}/k49-*").x_train, 255 - X)
    assert fingerprint(f"{folder}/k49-*") != fingerprint(f"{folder}/kmnist-*")


@pytest.mark.parametrize("style", ["x_train.npy", "train/images.npy", "my-train-images.npy"])
def test_npy_files_are_called_for_what_they_hold(tmp_path, style):
    for name, array in PARTS.items():
        kind, part = name.split("_")
        file = style.replace("x", kind, 1) if style[0] == "x" else style
        if kind == "y":
            file = file.replace("images", "labels")
        path = tmp_path / file.replace("train", part)
        path.parent.mkdir(exist_ok=True)
        np.save(path, array)
    arrays = npz(str(tmp_path))
    for name, array in PARTS.items():
        np.testing.assert_array_equal(getattr(arrays, name), array)


def test_the_home_folder_may_be_meant(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **PARTS)
    np.testing.assert_array_equal(npz("~/mine.npz").x_train, X)
    assert fingerprint("~/mine.npz") == fingerprint(tmp_path / "mine.npz")


def npy(folder: Path, **arrays: np.ndarray) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD = {
    "missing": (lambda d: d / "none.npz", "no such file or folder"),
    "no match": (lambda d: d / "none-*", "no such file or folder"),
    "empty folder": (lambda d: d, "no such file or folder, or nothing in it"),
    "no file": (lambda d: written(d / "a.npz", b""), "not a readable npz or npy file .* do so"),
    "no npz": (lambda d: written(d / "a.npz", b"not a zip"), "holds Python objects, or is no file"),
    "cut": (lambda d: cut(write_npz(d / "a.npz")), "not a readable npz or npy file"),
    "cut npy": (lambda d: cut(npy(d, x_train=X) / "x_train.npy").parent, r"\(x_train.npy\): not a"),
    "objects": (
        lambda d: write_npz(d / "a.npz", x_train=np.array([[1], [1, 2]], object)),
        "holds Python objects, or is no file of NumPy's; save plain arrays",
    ),
    "single array": (lambda d: npy(d, images=X) / "images.npy", "a single array; put it into a"),
    "single unnamed": (
        lambda d: [np.savez(d / "a.npz", X), d / "a.npz"][1],
        "a single array; put it into a folder with the others, called x_train and y_train",
    ),
    "no labels": (lambda d: npy(d, x_train=X), "lacks y_train; has x_train"),
    "other names": (lambda d: npy(d, left=X, right=Y), "no file here is called x_train and"),
    "many in one": (
        lambda d: [np.savez(d / "x_train.npz", a=X, b=Y), d][1],
        "x_train.npz holds a, b; beside other files it may hold one array",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_cannot_be_used_are_refused_by_name_with_the_remedy(tmp_path, case):
    make, named = BAD[case]
    path = make(tmp_path)
    with pytest.raises(DataError, match=named) as refusal:
        npz(str(path))
    assert str(refusal.value).startswith(f"data.path={path}")
    assert "\n" not in str(refusal.value)


def test_a_compressed_file_that_was_changed_on_the_way_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **PARTS)
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a readable npz"):
        npz(str(path))


def test_a_large_npy_file_is_mapped_rather_than_read(tmp_path):
    npy(tmp_path, **PARTS)
    assert isinstance(npz(str(tmp_path)).x_train, np.memmap)


# ---- identity ------------------------------------------------------------------------------------


def test_a_file_is_what_it_holds_wherever_it_lies(tmp_path):
    first = written(tmp_path / "a.npz", b"123")
    assert fingerprint(first) == fingerprint(shutil.copy(first, tmp_path / "b.npz"))
    assert fingerprint(first) != fingerprint(written(tmp_path / "c.npz", b"124"))


def tree(place: Path) -> Path:
    for name in ("train/a/1", "train/b/2", "test/a/3"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
    return place


def test_a_folder_is_its_files_names_and_contents(tmp_path):
    first, second = tree(tmp_path / "first"), tree(tmp_path / "second")
    assert fingerprint(first) == fingerprint(str(second)) == fingerprint(f"{second}/")
    (second / ".DS_Store").write_text("hidden files do not count")
    (second / ".cache").mkdir()
    (second / ".cache" / "4").write_text("nor do hidden folders")
    assert fingerprint(first) == fingerprint(second)
    (second / "train/a/1").rename(second / "train/b/1")
    moved = fingerprint(second)
    (second / "train/b/2").write_text("changed")
    (second / "train/b/5").write_text("new")
    assert len({fingerprint(first), moved, fingerprint(second)}) == 3


def test_a_pattern_is_the_files_it_names(tmp_path):
    place = tree(tmp_path / "data")
    before = fingerprint(f"{place}/train/*/*")
    (place / "test/a/3").write_text("of no account")
    assert fingerprint(f"{place}/train/*/*") == before
    (place / "train/a/1").write_text("changed")
    assert fingerprint(f"{place}/train/*/*") != before


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    path = written(tmp_path / "a.npz", b"123")
    first = fingerprint(path)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", None)  # whoever reads fails
        assert fingerprint(tmp_path / "a.npz") == first
    path.write_bytes(b"456")
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) != first


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.path=.*none\.npz: no such file"):
        fingerprint(tmp_path / "none.npz")
