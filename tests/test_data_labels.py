"""Labels of any kind become class numbers, or are refused."""

import numpy as np
import pytest

from bnexp.data import Arrays, DataError, Dataset, Preparation, prepare

IMAGES = np.random.default_rng(0).random((60, 4, 4))
NUMBERS = np.arange(60) % 3
WORDS = np.array(["dog", "ant", "cat"])


def prepared(labels: object, test: object = None, names: list[str] | None = None) -> Dataset:
    images = None if test is None else IMAGES[: len(test)]  # type: ignore[arg-type]
    arrays = Arrays(IMAGES, labels, images, test, class_names=names)
    return prepare(arrays, Preparation(split_seed=None), "data=x")


def whole(dataset: Dataset) -> list[int]:
    splits = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([split.labels for split in splits]).tolist()


SAME = {
    "int64": NUMBERS,
    "uint8": NUMBERS.astype("uint8"),
    "float": NUMBERS.astype(float),
    "column": NUMBERS[:, None],
    "one-hot": np.eye(3)[NUMBERS],
    "one-hot bool": np.eye(3, dtype=bool)[NUMBERS],
    "text of numbers": NUMBERS.astype(str),
    "bytes": NUMBERS.astype("S1"),
    "objects": NUMBERS.astype(object),
    "list": NUMBERS.tolist(),
}


@pytest.mark.parametrize("form", SAME)
def test_whole_numbers_from_0_are_the_classes_in_any_form(form):
    dataset = prepared(SAME[form])
    assert whole(dataset) == NUMBERS.tolist()
    assert dataset.train.labels.dtype == np.int32
    assert (dataset.classes, dataset.class_names) == (3, ("0", "1", "2"))
    assert any("one-hot" in note for note in dataset.notes) == ("one-hot" in form)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, 2, 3], "labels 1..3 numbered 0..2"),
        ([0, 2, 5], "labels 0, 2, 5 numbered 0..2"),
        ([-1, 1, 1], "labels -1, 1 numbered 0..1"),
        ([10, 9, 8], "labels 8..10 numbered 0..2"),
        (["b", "a", "b"], "labels a, b numbered 0..1"),
        (list("abcdef"), r"labels a, b, c, d, e, ... \(6 in all\) numbered 0..5"),
        (["10", "9", "8"], "labels 8..10 numbered 0..2"),
        ([True, False, True], None),
    ],
)
def test_other_labels_are_numbered_in_their_order_and_it_is_told(values, told):
    labels = np.resize(np.array(values), 60)
    dataset = prepared(labels)
    order = sorted({int(v) if str(v).isdigit() else v for v in values})
    assert whole(dataset) == [order.index(type(order[0])(label)) for label in labels]
    assert dataset.class_names == tuple(str(int(v) if v in (True, False) else v) for v in order)
    told_lines = [note for note in dataset.notes if note.startswith("labels")]
    assert told_lines == ([told.replace("\\", "")] if told else [])


def test_test_labels_get_the_numbers_of_the_training_part():
    dataset = prepared(WORDS[NUMBERS], test=np.array(["cat", "cat", "dog"]))
    assert dataset.test.labels.tolist() == [1, 1, 2]
    assert dataset.class_names == ("ant", "cat", "dog")


def test_class_names_go_with_the_numbers_they_name():
    assert prepared(NUMBERS, names=["a", "b", "c"]).class_names == ("a", "b", "c")
    assert prepared(NUMBERS * 2, names=list("abcde")).class_names == ("a", "c", "e")
    assert prepared(NUMBERS + 1, names=["a", "b", "c"]).class_names == ("a", "b", "c")
    with pytest.raises(DataError, match="2 class names for 3 classes"):
        prepared(NUMBERS, names=["a", "b"])


BAD = {
    "too few": (NUMBERS[:10], r"y_train has shape \(10,\) for 60 images; give one label per"),
    "fractions": (NUMBERS + 0.5, "y_train holds float64 that are no class labels"),
    "nan": (np.full(60, np.nan), "no class labels; give whole numbers or text"),
    "complex": (NUMBERS + 0j, "holds complex128 that are no class labels"),
    "several": (np.ones((60, 3)), "rows that are not one-hot; give one class per image"),
    "shares": (np.full((60, 2), 0.5), "rows that are not one-hot"),
    "one-hot text": (np.full((60, 2), "a"), "rows that are not one-hot"),
    "maps": (np.zeros((60, 4, 4)), r"shape \(60, 4, 4\) for 60 images"),
    "single class": (np.full(60, 4), "y_train has a single class, 4; give two or more"),
    "unlabelled": (NUMBERS - 1, "has the label -1; remove images without a label"),
    "ids": (np.arange(60), "60 different labels for 60 images; give class labels"),
    "empty text": (np.resize(["a", "", "b"], 60), "y_train has no label for image 1"),
    "missing": (np.resize(np.array(["a", "b", None]), 60), "y_train has no label for image 2"),
    "missing number": (np.resize(np.array([1, np.nan], object), 60), "no label for image 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_are_no_labels_is_refused(case):
    labels, named = BAD[case]
    with pytest.raises(DataError, match=named) as refusal:
        prepared(labels)
    assert str(refusal.value).startswith("data=x: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("labels", "test", "named"),
    [
        (NUMBERS, [0, 3, 7], "y_test has 3, 7, which y_train lacks; remove those images"),
        (WORDS[NUMBERS], ["ant", "eel"], "y_test has eel, which y_train lacks"),
        (NUMBERS, ["ant", "cat"], "labels are text in one part and numbers in another"),
        (NUMBERS, [-1, -1], "y_test has -1, which y_train lacks"),
    ],
)
def test_a_class_in_test_that_training_lacks_is_refused(labels, test, named):
    with pytest.raises(DataError, match=named):
        prepared(labels, np.array(test))
