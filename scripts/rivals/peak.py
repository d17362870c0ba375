"""The most that a core can do: one large matrix product a step, in the task's precision."""

from rivals.task import asked, serve

SIZE = 2048
FLOP = 2 * SIZE**3  # of one product


def main() -> None:
    """The contender."""
    order = asked()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(order.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    dtype = tf.dtypes.as_dtype(order.task.precision)
    a, b = (tf.cast(tf.random.normal((SIZE, SIZE)), dtype) for _ in range(2))

    def train(steps: int) -> float:
        for _ in range(steps):
            product = tf.matmul(a, b)
        return float(product[0, 0])

    serve(train, 0)


if __name__ == "__main__":
    main()
