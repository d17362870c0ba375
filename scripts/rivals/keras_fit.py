"""Keras's layers, optimizers and `fit`, fed by tf.data. Variant: jit (XLA)."""

from typing import Any

from rivals import layers as of
from rivals import task
from rivals.data import parts
from rivals.layers import Layers, Network
from rivals.task import Asked, Task, asked, go


def main() -> None:
    """The contender."""
    order = asked()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(order.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(order.seed)
    data = parts(order.task.network.input_shape)
    model = compiled(order.task, jit=order.variant == "jit")
    batches = random_batches(order, data["train"])

    def train(steps: int) -> float:
        history = model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)
        return float(history.history["loss"][-1])

    def accuracy(part: str) -> float:
        images, labels = data[part]
        return float((model.predict(images, batch_size=500, verbose=0).argmax(1) == labels).mean())

    go(order, train, accuracy, sum(int(tf.size(each)) for each in model.trainable_variables))


def compiled(chosen: Task, *, jit: bool) -> Any:
    """The network with its loss and optimizer."""
    import keras

    if chosen.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = built(chosen.network)
    if chosen.optimizer == "adagrad":
        optimizer = keras.optimizers.Adagrad(chosen.lr, task.ACCUMULATOR)
    else:
        optimizer = keras.optimizers.SGD(chosen.lr)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=jit)
    return model


def built(network: Network) -> Any:
    """The network as a functional model."""
    import keras

    inputs = keras.Input(network.input_shape)
    return keras.Model(inputs, applied(network, network.layers, inputs))


def applied(network: Network, layers: Layers, x: Any) -> Any:
    """What the layers make of a Keras tensor."""
    from keras.layers import (
        AveragePooling2D,
        Concatenate,
        Conv2D,
        Dense,
        Dropout,
        Flatten,
        GlobalAveragePooling2D,
        MaxPooling2D,
    )

    for layer in layers:
        match layer:
            case of.Conv(maps, size, strides):
                given = {"use_bias": False, "kernel_initializer": _initializer(network)}
                x = Conv2D(maps, size, strides, padding="same", **given)(x)
                x = _activated(network, x, norm=True)
            case of.Dense(units, logits=True):
                x = Dense(units, dtype="float32")(x)
            case of.Dense(units, norm):
                given = {"use_bias": not norm, "kernel_initializer": _initializer(network)}
                x = _activated(network, Dense(units, **given)(x), norm=norm)
            case of.Pool(kind, size, strides):
                pool = MaxPooling2D if kind == "max" else AveragePooling2D
                x = pool(size, strides, padding="same")(x)
            case of.Join(branches):
                x = Concatenate()([applied(network, branch, x) for branch in branches])
            case of.Average():
                x = GlobalAveragePooling2D()(x)
            case of.Flatten():
                x = Flatten()(x)
            case of.Dropout(rate):
                x = Dropout(rate)(x)
    return x


def _activated(network: Network, x: Any, *, norm: bool) -> Any:
    from keras import layers

    if norm:
        x = layers.BatchNormalization(momentum=network.momentum, epsilon=of.EPSILON)(x)
    return layers.Activation(network.activation)(x)


def _initializer(network: Network) -> Any:
    import keras

    relu = network.activation == "relu"
    return keras.initializers.HeNormal() if relu else keras.initializers.RandomNormal()


def random_batches(order: Asked, data: tuple[Any, Any]) -> Any:
    """Batches without end, each of images drawn at random, other ones at each call of `fit`."""
    import tensorflow as tf

    images, labels = map(tf.constant, data)
    generator = tf.random.Generator.from_seed(order.seed)

    def batch(_: Any) -> Any:
        rows = generator.uniform((order.task.batch_size,), 0, len(labels), tf.int32)
        return tf.gather(images, rows), tf.gather(labels, rows)

    options = tf.data.Options()
    options.autotune.enabled = False  # else `fit` ends only when the tuner next wakes up
    endless = tf.data.Dataset.range(1).repeat()
    return endless.map(batch).prefetch(4).with_options(options)


if __name__ == "__main__":
    main()
