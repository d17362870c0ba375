"""TensorFlow 1 style, as the original repository: a graph, fed batch by batch."""

from typing import Any

import numpy as np

from rivals import task
from rivals.task import Asked, asked, go


def main() -> None:
    """The contender."""
    order = asked()
    import tensorflow as tf

    tf1 = tf.compat.v1
    tf1.disable_eager_execution()
    tf1.set_random_seed(order.seed)
    data = task.mnist()
    images, labels = data["train"]
    x = tf1.placeholder(tf.float32, (None, 28, 28, 1))
    y = tf1.placeholder(tf.int32, (None,))
    training = tf1.placeholder(tf.bool, ())
    logits = network(order, x, training)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    if order.task.network == "cnn":
        optimizer = tf1.train.AdagradOptimizer(order.task.lr, task.ACCUMULATOR)
    else:
        optimizer = tf1.train.GradientDescentOptimizer(order.task.lr)
    with tf.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
        step = optimizer.minimize(loss)
    right = tf.equal(tf.argmax(logits, 1, tf.int32), y)  # == compares identity in such a graph
    hits = tf.reduce_sum(tf.cast(right, tf.float32))
    threads = {"intra_op_parallelism_threads": order.threads, "inter_op_parallelism_threads": 1}
    session = tf1.Session(config=tf1.ConfigProto(**threads))
    session.run(tf1.global_variables_initializer())
    random = np.random.default_rng(order.seed)

    def train(steps: int) -> None:
        for _ in range(steps):
            rows = random.integers(0, len(labels), order.batch_size)
            session.run(step, {x: images[rows], y: labels[rows], training: True})

    def accuracy(part: str) -> float:
        pixels, wanted = data[part]
        counts = [
            session.run(hits, {x: pixels[i : i + 500], y: wanted[i : i + 500], training: False})
            for i in range(0, len(wanted), 500)
        ]
        return float(sum(counts) / len(wanted))

    go(order, train, accuracy)


def network(order: Asked, x: Any, training: Any) -> Any:
    """Logits, from TensorFlow 1's variables and functions."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    kind = order.task.network

    def weight(name: str, *shape: int, stddev: float = 0.05) -> Any:
        return tf1.get_variable(
            name, shape, initializer=tf1.truncated_normal_initializer(0, stddev)
        )

    def batch_norm(x: Any, name: str) -> Any:
        return _batch_norm(x, name, training, task.MOMENTUM[kind])

    if kind == "mlp":
        x = tf.reshape(x, (-1, 784))
        for i, (before, after) in enumerate(zip((784, *task.HIDDEN), task.HIDDEN, strict=False)):
            x = tf.sigmoid(batch_norm(x @ weight(f"w{i}", before, after), f"norm{i}"))
        return x @ weight("out", task.HIDDEN[-1], 10) + weight("bias", 10)
    for i, (before, after) in enumerate(zip((1, *task.FILTERS), task.FILTERS, strict=False)):
        kernel = weight(f"w{i}", task.KERNEL, task.KERNEL, before, after, stddev=0.1)
        x = tf.nn.relu(batch_norm(tf.nn.conv2d(x, kernel, 1, "SAME"), f"norm{i}"))
        x = tf.nn.max_pool2d(x, 2, 2, "SAME")
    x = tf.reshape(x, (-1, 7 * 7 * task.FILTERS[-1]))
    x = tf.nn.relu(x @ weight("dense", int(x.shape[1]), task.DENSE) + weight("b", task.DENSE))
    x = tf.cond(training, lambda: tf1.nn.dropout(x, rate=1 - task.KEEP), lambda: x)
    return x @ weight("out", task.DENSE, 10) + weight("bias", 10)


def _batch_norm(x: Any, name: str, training: Any, momentum: float) -> Any:
    """Statistics of the batch while training, moving averages otherwise."""
    import tensorflow as tf

    tf1 = tf.compat.v1
    units = int(x.shape[-1])
    gamma = tf1.get_variable(f"{name}_gamma", (units,), initializer=tf1.ones_initializer())
    beta = tf1.get_variable(f"{name}_beta", (units,), initializer=tf1.zeros_initializer())
    zeros, ones = tf1.zeros_initializer(), tf1.ones_initializer()
    mean = tf1.get_variable(f"{name}_mean", (units,), initializer=zeros, trainable=False)
    variance = tf1.get_variable(f"{name}_variance", (units,), initializer=ones, trainable=False)
    now, spread = tf.nn.moments(x, list(range(x.shape.rank - 1)))
    for moving, value in ((mean, now), (variance, spread)):
        update = tf1.assign_sub(moving, (1 - momentum) * (moving - value))
        tf1.add_to_collection(tf1.GraphKeys.UPDATE_OPS, update)
    used = tf.cond(training, lambda: (now, spread), lambda: (mean.value(), variance.value()))
    return tf.nn.batch_normalization(x, *used, beta, gamma, task.EPSILON)


if __name__ == "__main__":
    main()
