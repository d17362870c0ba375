"""Layouts of images, types and ranges of pixels: used as meant, or refused with the remedy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.data import Arrays, DataError, Dataset, Preparation, prepare

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
BYTES = RNG.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)


def prepared(images: object, test: object = None, **settings: object) -> Dataset:
    labels = None if test is None else LABELS
    source = Arrays(images, LABELS, test, labels)
    settings = {"split_seed": None, **settings}
    return prepare(source, Preparation(**settings), "data=x")  # type: ignore[arg-type]


def whole(dataset: Dataset) -> np.ndarray:
    splits = (dataset.train, dataset.validation, dataset.test)
    return np.concatenate([split.images for split in splits])


def noise(*shape: int) -> np.ndarray:
    return RNG.random((60, *shape)).astype(np.float32)


# ---- layout --------------------------------------------------------------------------------------

LAYOUTS = {
    (9, 7): (9, 7, 1),
    (9, 7, 1): (9, 7, 1),
    (5, 6, 3): (5, 6, 3),
    (784,): (28, 28, 1),
    (7,): (1, 7, 1),
    (1, 28, 28): (28, 28, 1),
    (3, 32, 32): (32, 32, 3),
    (3, 20, 10): (20, 10, 3),
    (13, 16, 16): (16, 16, 13),
    (16, 16, 13): (16, 16, 13),
    (3, 3, 3): (3, 3, 3),
    (3, 32, 3): (3, 32, 3),
    (1, 1, 64): (1, 1, 64),
}


@pytest.mark.parametrize("shape", LAYOUTS)
def test_layouts_that_can_be_read_in_one_way_only_are_read(shape):
    assert prepared(noise(*shape)).input_shape == LAYOUTS[shape]


def test_flat_images_become_square_ones_row_by_row_and_it_is_told():
    images = noise(28, 28)
    flat = prepared(images.reshape(60, 784))
    np.testing.assert_array_equal(whole(flat)[..., 0], images)
    assert "x_train: 784 numbers each, taken as (28, 28, 1)" in flat.notes


def test_channels_that_come_first_are_moved_pixels_intact_and_it_is_told():
    last = prepared(BYTES)
    first = prepared(np.moveaxis(BYTES, -1, 1), channels="first")
    np.testing.assert_array_equal(whole(first), whole(last))
    moved = prepared(np.moveaxis(noise(8, 8, 3), -1, 1))
    assert "x_train: channels moved from the first axis to the last, (8, 8, 3)" in moved.notes


@pytest.mark.parametrize("shape", [(28, 28, 28), (5, 7, 16), (3, 4, 4), (2, 16, 32)])
def test_layouts_that_can_be_read_in_two_ways_are_refused_until_told(shape):
    with pytest.raises(DataError, match=r"say data\.channels=first or data\.channels=last"):
        prepared(noise(*shape))
    assert prepared(noise(*shape), channels="last").input_shape == shape
    assert prepared(noise(*shape), channels="first").input_shape == (*shape[1:], shape[0])


def test_a_list_of_images_is_an_array_of_them():
    images = np.empty(60, object)
    images[:] = list(BYTES)
    np.testing.assert_array_equal(whole(prepared(images)), BYTES)
    np.testing.assert_array_equal(whole(prepared(list(BYTES))), BYTES)


ODD = {
    "different shapes": ([np.zeros((i % 2 + 1, 2)) for i in range(60)], "different shapes; resize"),
    "text": (np.full((60, 4), "a"), "x_train holds <U1, not numbers; give pixels"),
    "complex": (np.ones((60, 4, 4), complex), "holds complex128, not numbers"),
    "one axis": (np.ones(60), r"shape \(60,\); give \(n, height, width, channels\)"),
    "volumes": (np.ones((60, 4, 4, 4, 1)), r"shape \(60, 4, 4, 4, 1\); give"),
    "none": (np.ones((0, 4, 4)), r"shape \(0, 4, 4\): nothing in it"),
    "no pixels": (np.ones((60, 0, 4)), "nothing in it"),
    "flat in three channels": (np.ones((60, 3072)), r"reshape it to \(n, 32, 32, 3\), or to \(n,"),
    "counted last": (
        np.ones((6, 5, 3, 60)),
        "along the first axis: numpy.moveaxis",
    ),
}


@pytest.mark.parametrize("case", ODD)
def test_what_are_no_images_is_refused(case):
    images, named = ODD[case]
    with pytest.raises(DataError, match=named) as refusal:
        prepared(images)
    assert "\n" not in str(refusal.value)


# ---- pixels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "uint16", "float16", "float32", "f8"])
def test_whole_numbers_to_255_of_any_type_give_the_bytes_themselves(dtype):
    images = np.minimum(BYTES, 127) if dtype == "int8" else BYTES
    same, told = prepared(images), prepared(images.astype(dtype), images.astype(dtype))
    assert same.train.images.dtype == told.train.images.dtype == np.uint8
    np.testing.assert_array_equal(told.test.images, images)
    np.testing.assert_array_equal(told.train.images, images[: len(told.train)])
    assert any("divided by 255" in note for note in told.notes)


def test_bytes_are_kept_and_nothing_is_told():
    dataset = prepared(BYTES, BYTES, val_size=6)
    assert dataset.train.images.dtype == np.uint8
    assert dataset.notes == ()


def test_other_floats_to_255_are_divided_and_it_is_told():
    images = noise(4, 4) * 255
    dataset = prepared(images, val_size=6)
    np.testing.assert_array_equal(whole(dataset)[..., 0], images / np.float32(255))
    assert any("divided by 255" in note for note in dataset.notes)


def test_sixteen_bits_are_divided_by_their_full_scale():
    images = RNG.integers(0, 65536, (60, 4, 4), dtype=np.uint16)
    images[0, 0, 0] = 65535
    dataset = prepared(images)
    expected = images.astype(np.float32) / np.float32(65535)
    np.testing.assert_array_equal(whole(dataset)[..., 0], expected)
    assert whole(dataset).max() == 1


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_zeros_and_ones_stay_zeros_and_ones(dtype):
    images = RNG.integers(0, 2, (60, 4, 4)).astype(dtype)
    found = whole(prepared(images))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[..., 0], images)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["0..1", "beyond 1", "standardized"])
def test_floats_that_are_scaled_already_are_left_as_they_are_and_it_is_told(dtype, kind):
    images = noise(4, 4)
    images = {"0..1": images, "beyond 1": images * 1.05, "standardized": images * 6 - 3}[kind]
    dataset = prepared(images.astype(dtype))
    assert dataset.train.images.dtype == np.float32
    np.testing.assert_array_equal(whole(dataset)[..., 0], images.astype(dtype).astype("float32"))
    assert any("taken as they are" in note for note in dataset.notes)


UNCLEAR = {
    "digits": RNG.integers(0, 17, (60, 8, 8)).astype(float),
    "twelve bits": RNG.integers(0, 4096, (60, 8, 8), dtype=np.uint16),
    "large": RNG.integers(0, 3000, (60, 8, 8)),
    "Hounsfield": RNG.integers(-1000, 3000, (60, 8, 8), dtype=np.int16),
    "wide": noise(4, 4) * 200 - 100,
    "features": noise(4, 4) * 8,
    "signed": RNG.integers(-128, 128, (60, 8, 8), dtype=np.int8),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_pixels_of_unknown_full_scale_are_refused_until_told(case):
    with pytest.raises(DataError, match=r"full scale unknown; data\.scaling=max .* standardize"):
        prepared(UNCLEAR[case])
    assert np.abs(whole(prepared(UNCLEAR[case], scaling="max"))).max() == 1
    plain = whole(prepared(UNCLEAR[case], scaling="none"))
    np.testing.assert_array_equal(plain[..., 0], UNCLEAR[case].astype(np.float32))


def test_dark_bytes_are_divided_by_255_and_the_doubt_is_told():
    dataset = prepared(BYTES // 16)
    assert dataset.train.images.dtype == np.uint8
    assert any("largest pixel is 15 of 255; data.scaling=max" in note for note in dataset.notes)


def test_full_scale_can_be_told():
    dark = (BYTES // 16).astype(np.int32)
    np.testing.assert_array_equal(whole(prepared(dark, scaling="uint8")), dark)
    with pytest.raises(DataError, match=r"pixels of 0..2000, beyond 0..255; clip them"):
        prepared(np.linspace(0, 2000, 960).reshape(60, 4, 4), scaling="uint8")


def test_unscaled_bytes_are_floats_that_training_does_not_divide():
    found = whole(prepared(BYTES, scaling="none"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, BYTES)


@pytest.mark.parametrize("seed", [None, 0])
def test_standardizing_uses_the_training_images_alone(seed):
    images = BYTES.copy()
    dataset = prepared(images, scaling="standardize", split_seed=seed)
    pixels = dataset.train.images.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(pixels.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(pixels.std(axis=0), 1, atol=1e-6)
    assert abs(dataset.test.images.mean()) > 1e-5
    raw = prepared(images, split_seed=seed).train.images.reshape(-1, 3).astype(np.float64)
    wanted = (dataset.test.images * raw.std(axis=0)) + raw.mean(axis=0)
    np.testing.assert_allclose(wanted, prepared(images, split_seed=seed).test.images, atol=1e-3)


def test_a_constant_channel_does_not_divide_by_zero():
    images = BYTES.copy()
    images[..., 1] = 9
    assert np.isfinite(whole(prepared(images, scaling="standardize"))).all()


@pytest.mark.parametrize(
    ("images", "test"),
    [
        (BYTES, BYTES / 255),
        (BYTES / 255, BYTES),
        (BYTES, BYTES.astype(np.uint16) * 257),
        (BYTES > 127, BYTES),
    ],
)
def test_parts_of_different_scale_are_refused(images, test):
    with pytest.raises(DataError, match=r"x_test has pixels of .*; (give all parts|clip them)"):
        prepared(images, test)


def test_a_part_with_fractions_makes_all_parts_floats():
    dataset = prepared(BYTES, np.clip(BYTES + 0.5, 0, 255))
    assert dataset.train.images.dtype == dataset.test.images.dtype == np.float32
    expected = BYTES[: len(dataset.train)] / np.float32(255)
    np.testing.assert_array_equal(dataset.train.images, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("scaling", ["auto", "none", "standardize"])
def test_pixels_that_are_no_numbers_are_refused(value, scaling):
    images = noise(4, 4).astype(np.float64)
    images[30, 1, 1] = value
    with pytest.raises(DataError, match="x_train has pixels that are NaN or infinite; replace"):
        prepared(images, scaling=scaling)


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_binarize_thresholds_at_half_scale(dtype):
    binary = prepared(BYTES.astype(dtype), binarize=True)
    np.testing.assert_array_equal(whole(binary), (BYTES > 127).astype(np.float32))
    assert binary.train.images.dtype == np.float32
    fractions = prepared(noise(4, 4), binarize=True)
    assert set(np.unique(whole(fractions))) == {0, 1}


@pytest.mark.parametrize("scaling", ["none", "standardize"])
def test_binarize_needs_scaled_pixels(scaling):
    with pytest.raises(DataError, match=r"data\.binarize=true needs pixels scaled to 0\.\.1"):
        prepared(BYTES, binarize=True, scaling=scaling)


@given(
    st.sampled_from(["uint8", "int32", "float64"]), st.integers(0, 1 << 30), st.integers(64, 255)
)
def test_the_type_in_which_an_image_was_saved_changes_no_bit(dtype, seed, high):
    images = np.random.default_rng(seed).integers(0, high + 1, (60, 3, 3), dtype=np.uint8)
    images[0, 0, 0] = high
    settings = {"split_seed": seed, "train_size": 30}
    first, second = prepared(images, **settings), prepared(images.astype(dtype), **settings)
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        if hasattr(a, "images"):
            assert a.images.dtype == b.images.dtype
            np.testing.assert_array_equal(a.images, b.images)
