"""Datasets that are downloaded: once, whole, and with a way out where there is no network."""

import gzip
import hashlib
import http.server
import multiprocessing
import threading
from pathlib import Path

import numpy as np
import pytest

from bnexp.data import DataError
from bnexp.data.fashion_mnist import MD5


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
    md5 = {name: hashlib.md5((site / name).read_bytes()).hexdigest() for name in MD5}
    yield {"URL": f"http://127.0.0.1:{server.server_port}/", "MD5": md5}, served, site
    server.shutdown()
    thread.join()
    server.server_close()


def load_fashion(home: str, settings: dict) -> tuple[int, list[str]]:
    """In a process of its own: Keras fixes its home when it is imported."""
    import importlib
    import os

    os.environ["KERAS_HOME"] = home
    module = importlib.import_module("bnexp.data.fashion_mnist")
    for name, value in settings.items():
        setattr(module, name, value)
    arrays = module.fashion_mnist()
    return len(arrays.x_train), list(arrays.class_names)


def test_many_runs_at_once_download_once(fashion_server, tmp_path):
    settings, served, _ = fashion_server
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        found = pool.starmap(load_fashion, [(str(tmp_path / "keras"), settings)] * 3)
    assert [count for count, _ in found] == [300] * 3
    assert found[0][1][:2] == ["T-shirt/top", "Trouser"]
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
            assert "\n" not in str(error.value)
            (home / "datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz").unlink(missing_ok=True)
