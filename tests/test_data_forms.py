"""The forms in which a source may return its data."""

import numpy as np
import pytest

from bnexp.data import Arrays, DataError, as_arrays

X = np.arange(24).reshape(6, 2, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def batches(size: int = 4):
    for start in range(0, len(X), size):
        yield X[start : start + size], Y[start : start + size]


class Loader:
    """A data loader: batches anew each time it is iterated."""

    def __iter__(self):
        return batches()


PAIRS = {
    "pair of arrays": (X, Y),
    "generator": batches(),
    "loader": Loader(),
    "list of batches": list(batches()),
    "single images": list(zip(X, Y, strict=True)),
    "batches by name": [{"image": x, "label": y} for x, y in batches()],
}


@pytest.mark.parametrize("form", PAIRS)
def test_images_and_labels_in_one_piece_or_in_batches_are_all_to_train_on(form):
    arrays = as_arrays(PAIRS[form], "s")
    np.testing.assert_array_equal(arrays.x_train, X)
    np.testing.assert_array_equal(arrays.y_train, Y)
    assert arrays.x_test is arrays.x_val is None


PARTS = {
    "Keras": ((X, Y), (X[:2], Y[:2])),
    "two loaders": (Loader(), [(X[:2], Y[:2])]),
    "names": {"x_train": X, "y_train": Y, "x_test": X[:2], "y_test": Y[:2], "x_val": None},
    "MedMNIST's names": {
        "train_images": X,
        "train_labels": Y,
        "test_images": X[:2],
        "test_labels": Y[:2],
    },
    "parts": {"train": Loader(), "test": (X[:2], Y[:2])},
}


@pytest.mark.parametrize("form", PARTS)
def test_a_test_part_is_recognised(form):
    arrays = as_arrays(PARTS[form], "s")
    np.testing.assert_array_equal(arrays.x_train, X)
    np.testing.assert_array_equal(arrays.y_test, Y[:2])
    assert arrays.x_val is None


def test_arrays_are_taken_as_they_are():
    arrays = Arrays(X, Y)
    assert as_arrays(arrays, "s") is arrays


def test_a_tf_dataset_is_gathered_and_an_endless_one_refused():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    np.testing.assert_array_equal(as_arrays(dataset.batch(4), "s").x_train, X)
    np.testing.assert_array_equal(as_arrays((dataset, dataset.take(2)), "s").y_test, Y[:2])
    with pytest.raises(DataError, match=r"never end; leave out repeat\(\)"):
        as_arrays(dataset.repeat(), "s")


def test_an_endless_generator_is_refused_before_memory_is_full(monkeypatch):
    monkeypatch.setattr("bnexp.data.forms._memory", lambda: 100_000)

    def endless():
        while True:
            yield X, Y

    with pytest.raises(DataError, match="more images than fit into memory; do its batches ever"):
        as_arrays(endless(), "s")


def test_class_names_are_found_and_what_is_not_used_is_told():
    arrays = as_arrays({"x": X, "y": Y, "class_names": [b"a", "b", "c"], "meta": 1}, "s")
    assert arrays.class_names == ["a", "b", "c"]
    assert arrays.notes == ("not used: meta",)


BAD = {
    "nothing": (None, "returned NoneType; return bnexp.data.Arrays"),
    "one array": (X, "returned ndarray; return bnexp.data.Arrays"),
    "four arrays": ((X, Y, X, Y), "a batch is no pair of images and labels; return"),
    "weights": ([(X, Y, Y)], "a batch is no pair"),
    "no batch": ([], "returned no batch"),
    "empty mapping": ({}, "lacks x_train and y_train; has nothing"),
    "no labels": ({"x_train": X}, "lacks y_train; has x_train; name the arrays"),
    "half a test part": ({"x": X, "y": Y, "x_test": X}, "has x_test but no y_test; give both"),
    "twice": ({"x": X, "x_train": X, "y": Y}, "has both x and x_train; leave one out"),
    "shapes": ([(X, Y), (X[:, :1], Y)], r"different shapes, \(1, 2\) and \(2, 2\); give all"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_with_what_to_return(case):
    returned, named = BAD[case]
    with pytest.raises(DataError, match=named) as refusal:
        as_arrays(returned, "data=mine")
    assert str(refusal.value).startswith("data=mine: ")
    assert "\n" not in str(refusal.value)
