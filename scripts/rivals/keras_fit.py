"""Keras's layers, optimizers and `fit`, fed by tf.data. Variant: jit (XLA)."""

from typing import Any

from rivals import task
from rivals.task import Asked, asked, go

EPOCHS = 20


def main() -> None:
    """The contender."""
    order = asked()
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(order.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(order.seed)
    if order.task.precision == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    data = task.mnist()
    model = network(order)
    batches = shuffled(order, data["train"])

    def train(steps: int) -> None:
        model.fit(batches, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False)

    def accuracy(part: str) -> float:
        images, labels = data[part]
        return float((model.predict(images, batch_size=500, verbose=0).argmax(1) == labels).mean())

    go(order, train, accuracy)


def network(order: Asked) -> Any:
    """The network, compiled."""
    import keras
    from keras import layers

    kind = order.task.network
    norm = {"momentum": task.MOMENTUM[kind], "epsilon": task.EPSILON}
    model = keras.Sequential([keras.Input((28, 28, 1))])

    def unit(linear: Any, activation: str) -> None:
        for layer in (linear, layers.BatchNormalization(**norm), layers.Activation(activation)):
            model.add(layer)

    if kind == "cnn":
        for filters in task.FILTERS:
            unit(layers.Conv2D(filters, task.KERNEL, padding="same", use_bias=False), "relu")
            model.add(layers.MaxPooling2D(padding="same"))
        model.add(layers.Flatten())
        model.add(layers.Dense(task.DENSE, activation="relu"))
        model.add(layers.Dropout(1 - task.KEEP))
        optimizer = keras.optimizers.Adagrad(order.task.lr, task.ACCUMULATOR)
    else:
        model.add(layers.Flatten())
        for units in task.HIDDEN:
            unit(layers.Dense(units, use_bias=False), "sigmoid")
        optimizer = keras.optimizers.SGD(order.task.lr)
    model.add(layers.Dense(10, dtype="float32"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    jit = order.variant == "jit"
    model.compile(optimizer, loss, jit_compile=jit)
    return model


def shuffled(order: Asked, data: tuple[Any, Any]) -> Any:
    """Batches without end, shuffled anew in each of EPOCHS epochs.

    The order is drawn beforehand, a row a batch: `Dataset.shuffle` would fill its buffer, image
    number by image number, whenever `fit` starts.
    """
    import numpy as np
    import tensorflow as tf

    images, labels = map(tf.constant, data)
    random = np.random.default_rng(order.seed)
    count = len(labels) // order.batch_size
    epochs = [random.permutation(len(labels))[: count * order.batch_size] for _ in range(EPOCHS)]
    rows = np.concatenate(epochs).reshape(-1, order.batch_size)
    options = tf.data.Options()
    options.autotune.enabled = False  # else `fit` ends only when the tuner next wakes up
    return (
        tf.data.Dataset.from_tensor_slices(rows)
        .repeat()
        .map(lambda row: (tf.gather(images, row), tf.gather(labels, row)))
        .prefetch(4)
        .with_options(options)
    )


if __name__ == "__main__":
    main()
