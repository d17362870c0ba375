"""What this project measures, in a file to be read at one go: a network with and without BN.

Section 4.1 of Ioffe & Szegedy (2015), shorter: sigmoid layers on MNIST, plain SGD. Both networks
start from the same weights and see the same batches; they differ in Batch Normalization alone.

    python examples/run_in_60_lines.py        # about 10 seconds on 2 cores
"""

import keras
import numpy as np
import tensorflow as tf

import bnexp
from bnexp.data.mnist import mnist

STEPS, BATCH, RATE, SEED, EVERY = 1000, 60, 0.3, 0, 100


def network(normalized: bool) -> keras.Model:
    """Three hidden layers of 100 sigmoids; with BN each has a norm before it, and no bias."""
    keras.utils.set_random_seed(SEED)
    layers = [keras.Input((784,))]
    for _ in range(3):
        layers.append(keras.layers.Dense(100, use_bias=not normalized))
        if normalized:
            layers.append(bnexp.BatchNorm(momentum=0.9))
        layers.append(keras.layers.Activation("sigmoid"))
    return keras.Sequential([*layers, keras.layers.Dense(10)])  # one logit per digit


def train(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Validation accuracy by step; the last 5,000 images validate."""
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(jit_compile=True)
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))  # normalized by the batch's statistics
        weights = [variable.value for variable in model.trainable_variables]
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(RATE * gradient)

    curve = {}
    for number in range(1, STEPS + 1):
        chosen = np.random.default_rng([SEED, number]).integers(0, 55_000, BATCH)
        step(images[chosen], labels[chosen])
        if number % EVERY == 0:
            logits = model(images[55_000:], training=False)  # by the moving averages
            curve[number] = float(np.mean(np.argmax(logits, axis=1) == labels[55_000:]))
    return curve


if __name__ == "__main__":
    data = mnist()
    pixels = np.reshape(data.x_train, (-1, 784)).astype("float32") / 255
    digits = np.asarray(data.y_train, "int32")
    without, with_bn = (train(network(normalized), pixels, digits) for normalized in (False, True))
    print("step  without BN  with BN")
    for number, accuracy in without.items():
        print(f"{number:4}  {accuracy:10.4f}  {with_bn[number]:7.4f}")
