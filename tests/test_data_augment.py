"""Augmentation: what it does to an image, and that a seed alone determines it."""

import numpy as np
import pytest
import tensorflow as tf

from bnexp.data.augment import augment

IMAGES = np.random.default_rng(0).random((64, 8, 6, 3)).astype(np.float32)


def augmented(seed: int = 0, *, flip: bool, crop: int, jit: bool = False) -> np.ndarray:
    run = tf.function(lambda x, s: augment(x, s, flip, crop), jit_compile=jit)
    return run(tf.constant(IMAGES), tf.constant([seed, 7], tf.int32)).numpy()


def views(image: np.ndarray, flip: bool, crop: int) -> list[np.ndarray]:
    """Every image that may become of one."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)))
    offsets = range(2 * crop + 1)
    cuts = [padded[r : r + height, c : c + width] for r in offsets for c in offsets]
    return cuts + [cut[:, ::-1] for cut in cuts] if flip else cuts


@pytest.mark.parametrize(("flip", "crop"), [(True, 0), (False, 2), (True, 2)])
def test_each_image_is_mirrored_or_not_and_cut_out_at_any_place(flip, crop):
    chosen = []
    for seed in range(4):
        for image, found in zip(IMAGES, augmented(seed, flip=flip, crop=crop), strict=True):
            matches = [np.array_equal(found, view) for view in views(image, flip, crop)]
            assert any(matches)
            chosen.append(matches.index(True))
    shares = np.bincount(chosen) / len(chosen)
    count = (1 + flip) * (2 * crop + 1) ** 2
    assert len(shares) == count  # all of them occur
    assert shares.max() < 1 / count + 5 * np.sqrt(1 / count / len(chosen))


def test_what_is_off_changes_nothing():
    np.testing.assert_array_equal(augmented(flip=False, crop=0), IMAGES)


@pytest.mark.parametrize(("flip", "crop"), [(True, 0), (False, 2), (True, 2)])
def test_the_seed_alone_determines_the_images_with_and_without_xla(flip, crop):
    once = augmented(5, flip=flip, crop=crop)
    np.testing.assert_array_equal(augmented(5, flip=flip, crop=crop), once)
    np.testing.assert_array_equal(augmented(5, flip=flip, crop=crop, jit=True), once)
    assert (augmented(6, flip=flip, crop=crop) != once).any()


def test_where_an_image_is_cut_does_not_depend_on_whether_images_are_mirrored():
    cut, both = augmented(flip=False, crop=1), augmented(flip=True, crop=1)
    mirrored = (cut != both).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(both[~mirrored], cut[~mirrored])
    assert 16 < mirrored.sum() < 48
    only = augmented(flip=True, crop=0)
    np.testing.assert_array_equal((only != IMAGES).any(axis=(1, 2, 3)), mirrored)


@pytest.mark.parametrize("jit", [False, True])
def test_it_works_in_a_compiled_loop_with_another_seed_each_step(jit):
    @tf.function(jit_compile=jit)
    def steps(images: tf.Tensor) -> tf.Tensor:
        def step(i: tf.Tensor, outputs: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return i + 1, outputs.write(i, augment(images, tf.stack([i, 7]), True, 2))

        outputs = tf.TensorArray(tf.float32, 3, element_shape=images.shape)
        return tf.while_loop(lambda i, _: i < 3, step, (tf.constant(0), outputs))[1].stack()

    found = steps(tf.constant(IMAGES)).numpy()
    for seed, images in enumerate(found):
        np.testing.assert_array_equal(images, augmented(seed, flip=True, crop=2))
