"""TensorFlow 1 style, as the original repository: a graph, fed batch by batch."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rivals import layers as of
from rivals import task
from rivals.data import parts
from rivals.layers import Layers, Network
from rivals.task import asked, go


def main() -> None:
    """The contender."""
    order = asked()
    import tensorflow as tf

    tf1 = tf.compat.v1
    tf1.disable_eager_execution()
    tf1.set_random_seed(order.seed)
    chosen = order.task
    data = parts(chosen.network.input_shape)
    images, labels = data["train"]
    x = tf1.placeholder(tf.float32, (None, *chosen.network.input_shape))
    y = tf1.placeholder(tf.int32, (None,))
    training = tf1.placeholder(tf.bool, ())
    logits = Graph(chosen.network, training).logits(x)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    if chosen.optimizer == "adagrad":
        optimizer = tf1.train.AdagradOptimizer(chosen.lr, task.ACCUMULATOR)
    else:
        optimizer = tf1.train.GradientDescentOptimizer(chosen.lr)
    with tf.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
        step = optimizer.minimize(loss)
    right = tf.equal(tf.argmax(logits, 1, tf.int32), y)  # == compares identity in such a graph
    hits = tf.reduce_sum(tf.cast(right, tf.float32))
    threads = {"intra_op_parallelism_threads": order.threads, "inter_op_parallelism_threads": 1}
    session = tf1.Session(config=tf1.ConfigProto(**threads))
    session.run(tf1.global_variables_initializer())
    random = np.random.default_rng(order.seed)

    def train(steps: int) -> float:
        for _ in range(steps):
            rows = random.integers(0, len(labels), chosen.batch_size)
            feeds = {x: images[rows], y: labels[rows], training: True}
            last, _ = session.run((loss, step), feeds)
        return float(last)

    def accuracy(part: str) -> float:
        pixels, wanted = data[part]
        counts = [
            session.run(hits, {x: pixels[i : i + 500], y: wanted[i : i + 500], training: False})
            for i in range(0, len(wanted), 500)
        ]
        return float(sum(counts) / len(wanted))

    go(order, train, accuracy, sum(int(np.prod(each.shape)) for each in tf1.trainable_variables()))


class Graph:
    """Makes a network of TensorFlow 1's variables and functions.

    Args:
        network: its layers.
        training: a boolean tensor.
    """

    def __init__(self, network: Network, training: Any) -> None:
        self._network, self._training = network, training
        self._count = 0  # of variables, which need names

    def logits(self, x: Any) -> Any:
        """What the network makes of images."""
        return self._applied(self._network.layers, x)

    def _applied(self, layers: Layers, x: Any) -> Any:
        import tensorflow as tf

        for layer in layers:
            match layer:
                case of.Conv(_, _, strides):
                    x = tf.nn.conv2d(x, self._kernel(layer, x), strides, "SAME")
                    x = self._activated(self._normalized(x))
                case of.Dense(units, norm, logits):
                    x = x @ self._kernel(layer, x)
                    x = self._normalized(x) if norm else x + self._variable((units,), 0)
                    x = x if logits else self._activated(x)
                case of.Pool(kind, size, strides):
                    pool = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
                    x = pool(x, size, strides, "SAME")
                case of.Join(branches):
                    x = tf.concat([self._applied(branch, x) for branch in branches], -1)
                case of.Average():
                    x = tf.reduce_mean(x, (1, 2))
                case of.Flatten():
                    x = tf.reshape(x, (-1, int(np.prod(x.shape[1:]))))
                case of.Dropout(rate):
                    x = self._dropped(x, rate)
        return x

    def _kernel(self, layer: of.Conv | of.Dense, x: Any) -> Any:
        import tensorflow as tf

        shape = of.kernel(layer, tuple(x.shape[1:]))
        deviation = self._network.deviation(int(np.prod(shape[:-1])))
        return self._variable(shape, tf.compat.v1.truncated_normal_initializer(0, deviation))

    def _activated(self, x: Any) -> Any:
        import tensorflow as tf

        return tf.nn.relu(x) if self._network.activation == "relu" else tf.sigmoid(x)

    def _normalized(self, x: Any) -> Any:
        """Statistics of the batch while training, moving averages otherwise."""
        import tensorflow as tf

        tf1 = tf.compat.v1
        units = (int(x.shape[-1]),)
        gamma, beta = self._variable(units, 1), self._variable(units, 0)
        mean, variance = (self._variable(units, value, trainable=False) for value in (0, 1))
        batch = tf.nn.moments(x, list(range(x.shape.rank - 1)))
        for moving, value in zip((mean, variance), batch, strict=True):
            update = tf1.assign_sub(moving, (1 - self._network.momentum) * (moving - value))
            tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update)
        used = self._in_training(lambda: batch, lambda: (mean.value(), variance.value()))
        return tf.nn.batch_normalization(x, *used, beta, gamma, of.EPSILON)

    def _variable(self, shape: tuple[int, ...], initial: Any, *, trainable: bool = True) -> Any:
        """A new variable; `initial` is a number or an initializer."""
        import tensorflow as tf

        tf1 = tf.compat.v1
        if not callable(initial):
            initial = tf1.constant_initializer(float(initial))
        self._count += 1
        name = f"variable_{self._count}"
        return tf1.get_variable(name, shape, initializer=initial, trainable=trainable)

    def _in_training(self, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        import tensorflow as tf

        return tf.cond(self._training, then, otherwise)

    def _dropped(self, x: Any, rate: float) -> Any:
        import tensorflow as tf

        return self._in_training(lambda: tf.compat.v1.nn.dropout(x, rate=rate), lambda: x)


if __name__ == "__main__":
    main()
