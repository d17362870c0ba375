"""From what a source returned to three splits: sizes, shuffling, what is told and refused."""

import hashlib
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import yaml

from bnexp.config import options
from bnexp.data import Arrays, DataError, Dataset, Preparation, Split, memory_of, prepare
from bnexp.data.mnist import mnist

CONF = Path(__file__).resolve().parent.parent / "conf" / "data"
CUSTOMARY = {"val_size": 5000, "split_seed": None}  # as conf/data/mnist.yaml has it


def arrays(images: int = 100, classes: int = 5, tests: int | None = 20) -> Arrays:
    """Images that each have their own number as their first pixel."""
    x = np.zeros((images, 4, 4), np.uint8)
    x[:, 0, 0], x[:, 1, 1] = np.arange(images), 255
    y = np.arange(images) % classes
    return Arrays(x, y) if tests is None else Arrays(x, y, x[:tests], y[:tests])


def numbers(split: Split) -> list[int]:
    """Which of the images of `arrays` are in a split."""
    return split.images[:, 0, 0, 0].tolist()


def prepared(source: Arrays | None = None, **settings: object) -> Dataset:
    return prepare(source or arrays(), Preparation(**settings), "data=x")  # type: ignore[arg-type]


def test_mnist_is_whole_and_split_as_is_customary():
    dataset = prepared(mnist(), **CUSTOMARY)
    sizes = [len(part) for part in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [55_000, 5_000, 10_000]
    assert (dataset.input_shape, dataset.classes, dataset.notes) == ((28, 28, 1), 10, ())
    images = np.concatenate([dataset.train.images, dataset.validation.images])
    header = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")
    md5 = hashlib.md5(header + images.tobytes()).hexdigest()
    assert md5 == "6bbc9ace898e44ae57da46a324031adb"  # as first published


# What version 0.1 made of the same settings: SHA-256 of the training images and labels.
FIRST = {
    "shuffled": ({"split_seed": 1}, "99bb0cc3f92be36d", "cdad83caa2865cba"),
    "fewer": ({"train_size": 1000, "split_seed": 3}, "f5f7b841b0c59eab", "ed12d32ba20c55ce"),
    "binary": ({"binarize": True}, "85b0d4174c2d3a6d", "c004f5b94105135a"),
}


@pytest.mark.parametrize("case", FIRST)
def test_settings_of_the_first_version_give_the_same_arrays(case):
    settings, images, labels = FIRST[case]
    train = prepared(mnist(), **(CUSTOMARY | settings)).train
    found = [hashlib.sha256(a.tobytes()).hexdigest()[:16] for a in (train.images, train.labels)]
    assert found == [images, labels]


def test_each_shipped_option_is_a_function_whose_every_setting_is_told():
    names = sorted(path.stem for path in CONF.glob("*.yaml"))
    assert names == ["cifar10", "csv", "fashion_mnist", "folder", "huggingface", "mnist", "npz"]
    for name in names:
        text = (CONF / f"{name}.yaml").read_text()
        assert text.startswith("# ") and f"data={name}" in text
        node = yaml.safe_load(text)
        options.filled("data", name, node)
        own, common = options.parameters("data", node["_target_"])
        assert common.keys() == Preparation.__dataclass_fields__.keys()
        assert all(parameter.doc for parameter in [*own.values(), *common.values()])
        assert all(node[key] != (own | common)[key].default for key in node.keys() - {"_target_"})


def test_data_is_checked_and_split_without_tensorflow():
    code = (
        "import sys\n"
        "from bnexp.data import Preparation, prepare\n"
        "from bnexp.data import cifar10, csv, fashion_mnist, folder, huggingface, npz\n"
        "from bnexp.data.mnist import mnist\n"
        "prepare(mnist(), Preparation(), 'data=mnist')\n"
        "assert not {'tensorflow', 'keras'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_train_size_takes_the_first_images_and_leaves_the_other_splits_alone():
    whole, part = prepared(), prepared(train_size=10)
    assert numbers(part.train) == numbers(whole.train)[:10]
    assert numbers(part.validation) == numbers(whole.validation)
    assert len(whole.train) == 90


def test_the_training_part_is_shuffled_by_its_seed_alone_before_it_is_split():
    mixed, other = prepared(), prepared(split_seed=1)
    assert numbers(mixed.validation) != numbers(other.validation)
    assert numbers(prepared(val_size=20).validation)[-10:] == numbers(mixed.validation)
    assert sorted(numbers(mixed.train) + numbers(mixed.validation)) == list(range(100))
    assert numbers(mixed.test) == list(range(20))
    assert "training part shuffled (data.split_seed=0)" in mixed.notes


def test_without_a_seed_order_is_kept_and_validation_is_the_last_part():
    dataset = prepared(split_seed=None, val_size=30)
    assert numbers(dataset.train) == list(range(70))
    assert numbers(dataset.validation) == list(range(70, 100))
    assert dataset.notes == ()


def test_labels_stay_with_their_images():
    for split in (prepared().train, prepared().validation, prepared().test):
        np.testing.assert_array_equal(split.labels, np.array(numbers(split)) % 5)


def test_a_missing_test_part_is_split_off_and_told():
    dataset = prepared(arrays(tests=None), split_seed=None)
    assert numbers(dataset.test) == list(range(80, 100))
    assert numbers(dataset.validation) == list(range(72, 80))
    assert "no test part: 20 of 100 training images split off as such" in dataset.notes
    assert "no validation part: 8 of 80 training images split off as such" in dataset.notes
    assert len(prepared(arrays(tests=None), test_size=7).test) == 7


def test_a_validation_part_of_the_data_s_own_is_used():
    own = arrays()
    own.x_val, own.y_val = own.x_test[5:15], own.y_test[5:15]
    assert numbers(prepared(own).validation) == list(range(5, 15))
    assert len(prepared(own).train) == 100
    assert numbers(prepared(own, val_size=4).validation) == list(range(5, 9))
    with pytest.raises(DataError, match=r"data.val_size=11, but the data has a validation part"):
        prepared(own, val_size=11)


def test_ten_images_are_enough_for_three_splits():
    dataset = prepared(arrays(10, 2, None))
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [7, 1, 2]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"train_size": 91}, "data.train_size=91 is larger than the 90"),
        ({"val_size": 100}, "data.val_size=100 leaves none of 100"),
        ({"test_size": 5}, "data.test_size=5, but the data has a test part .* leave test_size out"),
        ({"crop": 4}, "data.crop=4 shifts images of 4x4 out of sight; give less"),
    ],
)
def test_sizes_beyond_the_data_are_refused(settings, named):
    with pytest.raises(DataError, match=named):
        prepared(**settings)


def test_rows_of_numbers_cannot_be_mirrored():
    rows = Arrays(np.random.default_rng(0).random((30, 7)), np.arange(30) % 2)
    with pytest.raises(DataError, match=r"data\.flip=true needs images"):
        prepared(rows, flip=True)


def test_a_file_sorted_by_class_is_learnable_by_default_and_refused_in_its_order():
    by_class = arrays()
    by_class.y_train = np.sort(by_class.y_train)
    assert len(set(prepared(by_class).validation.labels)) > 2
    with pytest.raises(DataError, match=r"no training image of 4 .* data\.split_seed=0 shuffles"):
        prepared(by_class, split_seed=None, val_size=20)


def test_a_class_whose_few_images_were_all_split_off_is_told():
    rare = arrays(tests=None)
    rare.y_train = np.where(np.arange(100) == 7, 5, rare.y_train)
    notes = [prepared(rare, split_seed=seed).notes for seed in range(8)]
    told = [note for lines in notes for note in lines if "no training image of 5" in note]
    assert 0 < len(told) < 8


def test_memory_counts_images_and_labels_of_all_splits():
    assert memory_of(prepared()) == 120 * (16 + 4)
    floats = arrays()
    floats.x_train, floats.x_test = floats.x_train / 255, floats.x_test / 255
    assert memory_of(prepared(floats)) == 120 * (64 + 4)


def test_large_images_are_converted_without_a_further_copy():
    images = np.random.default_rng(0).random((400, 100, 100, 3))  # 96 MB
    tracemalloc.start()
    dataset = prepared(Arrays(images, np.arange(400) % 2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < memory_of(dataset) + 45e6


def test_images_of_another_shape_in_test_are_refused():
    other = arrays()
    other.x_test = np.zeros((20, 5, 4), np.uint8)
    with pytest.raises(DataError, match=r"x_train has images of \(4, 4, 1\), x_test of \(5, 4, 1"):
        prepared(other)


def test_images_without_labels_are_refused():
    unlabelled = arrays()
    unlabelled.y_test = None
    with pytest.raises(DataError, match=r"data=x: has x_test but no y_test; give both or neither"):
        prepared(unlabelled)
