"""Data: splits, the user's own file, downloads, and what is refused."""

import gzip
import hashlib
import http.server
import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import write_npz

from bnexp.data import DataError, load
from bnexp.data.sources import FASHION_MD5
from bnexp.run import compose


def data_config(path: Path, *overrides: str):
    return compose("data=npz", f"data.path={path}", "data.val_size=64", *overrides).data


def test_mnist_is_whole_and_split_as_is_customary():
    dataset = load(compose("data=mnist").data)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [
        55_000,
        5_000,
        10_000,
    ]
    assert dataset.input_shape == (28, 28, 1)
    assert dataset.classes == 10
    images = np.concatenate([dataset.train.images, dataset.validation.images])
    header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
    md5 = hashlib.md5(header + images.tobytes()).hexdigest()
    assert md5 == "6bbc9ace898e44ae57da46a324031adb"  # as first published


def test_train_size_takes_the_first_images_and_leaves_validation_alone(npz):
    whole, part = load(data_config(npz)), load(data_config(npz, "data.train_size=100"))
    np.testing.assert_array_equal(part.train.images, whole.train.images[:100])
    np.testing.assert_array_equal(part.validation.labels, whole.validation.labels)
    assert len(whole.train) == 320 - 64


def test_split_seed_shuffles_before_splitting(npz):
    plain, mixed = load(data_config(npz)), load(data_config(npz, "data.split_seed=1"))
    again = load(data_config(npz, "data.split_seed=1", "data.train_size=50"))
    assert (mixed.validation.labels != plain.validation.labels).any()
    np.testing.assert_array_equal(again.validation.images, mixed.validation.images)
    everything = np.concatenate([mixed.train.labels, mixed.validation.labels])
    original = np.concatenate([plain.train.labels, plain.validation.labels])
    np.testing.assert_array_equal(np.bincount(everything), np.bincount(original))


def test_binarize_thresholds_at_half_scale(npz):
    plain, binary = load(data_config(npz)), load(data_config(npz, "data.binarize=true"))
    np.testing.assert_array_equal(binary.test.images, plain.test.images > 127)
    assert binary.test.images.dtype == np.float32


@pytest.mark.parametrize("shape", [(9, 7), (5, 6, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_any_size_grey_or_colour_whole_or_float(tmp_path, shape, dtype):
    rng = np.random.default_rng(0)
    images = {
        f"x_{part}": (rng.random((n, *shape)) * (255 if dtype == "uint8" else 1)).astype(dtype)
        for part, n in (("train", 320), ("test", 90))
    }
    dataset = load(data_config(write_npz(tmp_path / "d.npz", **images)))
    assert dataset.input_shape == (shape if len(shape) == 3 else (*shape, 1))
    assert dataset.train.images.dtype == ("uint8" if dtype == "uint8" else "float32")


BAD = {
    "objects": ({"x_train": np.array([[1], [1, 2]], object)}, "objects"),
    "lengths": ({"y_train": np.zeros(10, int)}, "y_train has shape"),
    "negative": ({"y_train": np.full(320, -1)}, "-1"),
    "fractions": ({"y_test": np.full(90, 0.5)}, "y_test must hold whole numbers"),
    "text": ({"y_test": np.full(90, "cat")}, "y_test must hold whole numbers"),
    "nan labels": ({"y_test": np.full(90, np.nan)}, "y_test must hold whole numbers"),
    "nan pixels": ({"x_train": np.full((320, 8, 8), np.nan)}, "x_train has pixels"),
    "rank": ({"x_train": np.zeros((320, 64), "uint8")}, "x_train has shape"),
    "type": ({"x_train": np.zeros((320, 8, 8), "int64")}, "uint8 .* or float"),
    "sizes": ({"x_test": np.zeros((90, 9, 9), "uint8")}, "x_test"),
    "empty": ({"x_test": np.zeros((0, 8, 8), "uint8"), "y_test": np.zeros(0, int)}, "x_test"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_arrays_are_refused_by_name(tmp_path, case):
    changes, named = BAD[case]
    path = write_npz(tmp_path / "bad.npz", **changes)
    with pytest.raises(DataError, match=named) as refusal:
        load(data_config(path))
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "No such file"), (b"not a zip", "not a readable"), (b"", "not a readable")],
)
def test_unreadable_files_are_refused_by_name(tmp_path, content, named):
    path = tmp_path / "file.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=named):
        load(data_config(path))


def test_missing_arrays_are_named(tmp_path):
    path = tmp_path / "few.npz"
    np.savez(path, x_train=np.zeros(3), y_train=np.zeros(3))
    with pytest.raises(DataError, match="lacks x_test, y_test"):
        load(data_config(path))


@pytest.mark.parametrize(
    ("override", "named"),
    [("data.train_size=257", "data.train_size=257"), ("data.val_size=320", "data.val_size=320")],
)
def test_sizes_beyond_the_data_are_refused(npz, override, named):
    with pytest.raises(DataError, match=named):
        load(data_config(npz, override))


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return gzip.compress(header + values.astype("uint8").tobytes(), mtime=0)


@pytest.fixture
def fashion_server(tmp_path, monkeypatch):
    """A loopback server with a small Fashion-MNIST; counts its answers."""
    site = tmp_path / "site"
    site.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("t10k", 50)):
        images, labels = rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count)
        (site / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(images))
        (site / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(labels))
    served: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(site))

        def log_message(self, *_):
            served.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    md5 = {name: hashlib.md5((site / name).read_bytes()).hexdigest() for name in FASHION_MD5}
    settings = {"FASHION_URL": f"http://127.0.0.1:{server.server_port}/", "FASHION_MD5": md5}
    yield settings, served, site
    server.shutdown()
    thread.join()
    server.server_close()


def load_fashion(home: str, settings: dict) -> int:
    """In a process of its own: Keras fixes its home when it is imported."""
    import os

    os.environ["KERAS_HOME"] = home
    import importlib

    module = importlib.import_module("bnexp.data.sources")
    for name, value in settings.items():
        setattr(module, name, value)
    return len(module.load(compose("data=fashion_mnist", "data.val_size=100").data).train)


def test_many_runs_at_once_download_once(fashion_server, tmp_path):
    settings, served, _ = fashion_server
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        jobs = [(str(tmp_path / "keras"), settings)] * 3
        assert pool.starmap(load_fashion, jobs) == [200] * 3
    assert len(served) == 4


def test_a_failed_or_damaged_download_says_where_the_file_is_expected(fashion_server, tmp_path):
    settings, _, site = fashion_server
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for damage in (lambda p: p.write_bytes(b"changed on the way"), Path.unlink):
            damage(site / "t10k-labels-idx1-ubyte.gz")
            home = tmp_path / "keras"
            with pytest.raises(DataError, match=r"data=fashion_mnist cannot be had") as error:
                pool.starmap(load_fashion, [(str(home), settings)])
            assert str(home / "datasets") in str(error.value)
            (home / "datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz").unlink(missing_ok=True)
