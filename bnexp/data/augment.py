"""Random changes to training images: mirrored, shifted.

Each is drawn from the seed alone, so that all arms of a run's seed see the same images.
TensorFlow's stateless generators give other numbers under XLA than without, hence the hash below.
"""

import tensorflow as tf


def augment(images: tf.Tensor, seed: tf.Tensor, flip: bool, crop: int) -> tf.Tensor:
    """Every image mirrored with probability 1/2, and shifted by up to `crop` pixels.

    To shift is to pad by `crop` pixels of 0 on every side and to cut out the image's size at a
    random place (He et al. 2015, section 4.2). Whether an image is mirrored does not depend on
    `crop`, nor where it is cut on `flip`.

    Args:
        images: (batch, height, width, channels), float32.
        seed: (2,), int32; another for every step.
        flip: whether to mirror.
        crop: pixels; 0: no shift.

    Returns:
        Images of the same shape; the same ones for the same seed, with and without XLA.
    """
    height, width = images.shape[1], images.shape[2]
    mirror, down, right = tf.unstack(_draws(seed, tf.shape(images)[0]))  # (batch, 1) each
    columns = tf.range(width)[tf.newaxis]  # (1, width)
    if flip:
        columns = tf.where(mirror % 2 == 0, columns, width - 1 - columns)  # (batch, width)
    if crop:
        images = tf.pad(images, [[0, 0], [crop, crop], [crop, crop], [0, 0]])
        rows = tf.range(height)[tf.newaxis] + down % (2 * crop + 1)  # (batch, height)
        images = tf.gather(images, rows, axis=1, batch_dims=1)
        columns += right % (2 * crop + 1)
    if flip or crop:
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    return images


def _draws(seed: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Three random numbers an image, int32 from 0 to 2^31 - 1: (3, batch, 1)."""
    counters = tf.reshape(tf.range(3 * batch), [3, batch, 1])
    state = _mixed(tf.cast(counters, tf.uint32))
    for word in tf.unstack(tf.cast(seed, tf.uint32)):
        state = _mixed(state ^ word)
    return tf.cast(tf.bitwise.right_shift(state, tf.constant(1, tf.uint32)), tf.int32)


def _mixed(state: tf.Tensor) -> tf.Tensor:
    """The last step of MurmurHash3 (Appleby), after which every bit depends on all bits."""
    state += tf.constant(0x9E3779B9, tf.uint32)  # 0 would stay 0
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state ^= tf.bitwise.right_shift(state, tf.constant(shift, tf.uint32))
        state *= tf.constant(factor, tf.uint32)
    return state ^ tf.bitwise.right_shift(state, tf.constant(16, tf.uint32))
