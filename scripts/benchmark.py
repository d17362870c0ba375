"""Times a training step beside what a user would write instead: Keras's `fit`.

Same network, batch, optimizer, data and thread count; the contenders take turns within one
process, and the ratio is that of their medians.

Examples:
    python scripts/benchmark.py            both networks, about 2 minutes
    python scripts/benchmark.py mlp --repeats 9
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bnexp import backend, runs
from bnexp.command_line import one_line_errors
from bnexp.config import Config
from bnexp.run import compose

# A network as its preset has it, and how many steps make one measurement.
WORKLOADS = {
    "mlp": (("experiment=quickstart", "norm=batch"), 1000),
    "cnn": ((), 30),
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; default: all")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("outputs/benchmark"))
    arguments = parser.parse_args()
    with one_line_errors():
        runs.make_folder(arguments.out)
        backend.start(arguments.threads)
        results = {
            name: measure(name, arguments.repeats) for name in arguments.workloads or WORKLOADS
        }
        report = {
            "machine": {"processor": processor(), "threads": arguments.threads},
            **runs.provenance(),
            "workloads": results,
        }
        text = json.dumps(report, indent=2) + "\n"
        runs.write_atomically(arguments.out / "benchmark.json", text)
        print(table(results))


def measure(name: str, repeats: int) -> dict[str, dict[str, float]]:
    """Microseconds a step of every contender: median, lowest, highest, and ratio to Keras."""
    overrides, steps = WORKLOADS[name]
    config = compose(*overrides)
    contenders = {"bnexp": ours(config), "Keras fit": keras_fit(config)}
    times: dict[str, list[float]] = {contender: [] for contender in contenders}
    for train in contenders.values():
        train(steps)  # compiles, warms up
    for _ in range(repeats):
        for contender, train in contenders.items():
            started = time.perf_counter()
            train(steps)
            times[contender].append((time.perf_counter() - started) / steps * 1e6)
    medians = {contender: statistics.median(values) for contender, values in times.items()}
    return {
        contender: {
            "median_us": medians[contender],
            "min_us": min(values),
            "max_us": max(values),
            "ratio_to_keras": medians[contender] / medians["Keras fit"],
        }
        for contender, values in times.items()
    }


def ours(config: Config) -> Callable[[int], object]:
    """Trains so many further steps in this program's loop."""
    from bnexp.data import load
    from bnexp.program import BatchOrder, on_device, program_for

    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    train = on_device(dataset.train)
    order = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    position = 0

    def steps(count: int) -> None:
        nonlocal position
        end = position + count
        while position < end:
            size = min(program.steps_per_call, end - position)
            progress = program.train(train, order, config.optimizer, position, size, np.float32(0))
            position = progress.end

    return steps


def keras_fit(config: Config) -> Callable[[int], object]:
    """The same network with Keras's own layers, optimizer and `fit`, fed by tf.data."""
    import keras
    import tensorflow as tf

    from bnexp.data import load

    dataset = load(config.data)
    model = keras_model(config, dataset.input_shape)
    optimizers = {"sgd": keras.optimizers.SGD, "adagrad": keras.optimizers.Adagrad}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers[config.optimizer.kind](config.optimizer.lr), loss)
    images = tf.constant(dataset.train.images.astype("float32") / 255)
    labels = tf.constant(dataset.train.labels)
    batches = (
        tf.data.Dataset.range(len(labels))  # numbers are quicker to shuffle than images
        .shuffle(len(labels), seed=0)
        .repeat()
        .batch(config.trainer.batch_size, drop_remainder=True)
        .map(lambda rows: (tf.gather(images, rows), tf.gather(labels, rows)))
        .prefetch(tf.data.AUTOTUNE)
    )
    return lambda count: model.fit(
        batches, steps_per_epoch=count, epochs=1, verbose=0, shuffle=False
    )


def keras_model(config: Config, input_shape: tuple[int, ...]) -> Any:
    """What `bnexp.models` builds, from Keras's layers alone."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input(input_shape)])
    norm = {"momentum": config.norm.momentum, "epsilon": config.norm.epsilon}

    def unit(linear: Any) -> None:
        model.add(linear)
        model.add(layers.BatchNormalization(**norm))
        model.add(layers.Activation(config.model.activation))

    if config.model.kind == "cnn":
        for filters in config.model.filters:
            unit(layers.Conv2D(filters, config.model.kernel_size, padding="same", use_bias=False))
            model.add(layers.MaxPooling2D(padding="same"))
        model.add(layers.Flatten())
        for units in config.model.hidden:
            model.add(layers.Dense(units, activation=config.model.activation))
        model.add(layers.Dropout(config.model.dropout, seed=0))
    else:
        model.add(layers.Flatten())
        for units in config.model.hidden:
            unit(layers.Dense(units, use_bias=False))
    model.add(layers.Dense(10))
    return model


def processor() -> str:
    """The CPU's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """The results as Markdown."""
    import pandas as pd

    rows = [
        {
            "network": name,
            "": contender,
            "µs a step (median)": f"{row['median_us']:,.0f}",
            "lowest to highest": f"{row['min_us']:,.0f} to {row['max_us']:,.0f}",
            "ratio to Keras": f"{row['ratio_to_keras']:.2f}",
        }
        for name, contenders in results.items()
        for contender, row in contenders.items()
    ]
    return str(pd.DataFrame(rows).to_markdown(index=False))


if __name__ == "__main__":
    main()
