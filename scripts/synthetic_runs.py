"""Writes run folders with made-up results, to try the analysis on many runs.

Each folder is what a real run leaves, but nothing was trained: the curves are drawn from a
formula with noise. Sweeps of 1,000 runs: two arms, two activations, five initial standard
deviations, ten learning rates, five seeds; high learning rates diverge without normalization.

Examples:
    python scripts/synthetic_runs.py /tmp/many --runs 10000
    python scripts/plot.py /tmp/many
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bnexp.command_line import Parser, one_line_errors, path, whole
from bnexp.config import Config
from bnexp.config.compose import compose
from bnexp.config.options import Option, named_option
from bnexp.folders import runs
from bnexp.folders.tables import HISTORY, HISTORY_COLUMNS, TableFile

NORMS = ("none", "batch")
ACTIVATIONS = ("sigmoid", "relu")
STDDEVS = (0.005, 0.02, 0.05, 0.5, 5.0)
RATES = tuple(2.0**k for k in range(-6, 4))
SEEDS = range(5)
STEPS_PER_ROW = 50


def main() -> None:
    """The command."""
    parser = Parser(None, __doc__)
    add = parser.add_argument
    add("folder", type=path)
    add("--runs", type=whole("[1, 1e6]"), default=1000)
    add("--rows", type=whole("[2, 1e5]"), default=40, help="evaluations of each run")
    with one_line_errors():
        arguments = parser.parse_args()
        runs.make_folder(arguments.folder)
        write_runs(arguments.folder, arguments.runs, arguments.rows)


def write_runs(folder: Path, count: int, rows: int = 40) -> None:
    """`count` run folders below `folder`, in sweeps of 1,000."""
    base = compose(
        "model=mlp", "init=gaussian", "optimizer=sgd", f"trainer.steps={rows * STEPS_PER_ROW}"
    )
    base = replace(base, output_dir=str(folder))
    for config in itertools.islice(configs(base), count):
        _write(config, rows)


def configs(base: Config) -> Iterator[Config]:
    """Sweep after sweep, each with another batch size; without end."""
    norms = {name: named_option("norm", name) for name in NORMS}
    for index in itertools.count():
        trainer = replace(base.trainer, batch_size=20 + index)
        cells = itertools.product(SEEDS, NORMS, ACTIVATIONS, STDDEVS, RATES)
        for seed, norm, activation, stddev, rate in cells:
            yield replace(
                base,
                name=f"synthetic-{index}",
                seed=seed,
                trainer=trainer,
                norm=norms[norm],
                model=_with(base.model, "activation", activation),
                init=_with(base.init, "stddev", stddev),
                optimizer=_with(base.optimizer, "lr", rate),
            )


def _with(option: Option, key: str, value: float | str) -> Option:
    """The option with another value of a setting."""
    own = {k: value if k == key else v for k, v in option.settings.items()}
    common = {k: value if k == key else v for k, v in option.common.items()}
    return replace(option, settings=own, common=common)


def _write(config: Config, rows: int) -> None:
    folder = runs.run_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    history, status = _history(config, rows)
    runs.write_config(folder, config)
    TableFile(folder / HISTORY, HISTORY_COLUMNS).begin(history)
    finished = status == runs.FINISHED
    last = history[-1] if history else {}
    result = {
        "run_id": folder.name,
        "status": status,
        "steps": config.trainer.steps if finished else last.get("step", 1),
        "test_loss": last["val_loss"] if finished else None,
        "test_accuracy": last["val_accuracy"] if finished else None,
        "test_log_loss": last["val_loss"] if finished else None,
        "final_val_accuracy": last.get("val_accuracy"),
        "best_val_accuracy": max((row["val_accuracy"] for row in history), default=None),
        "train_seconds": last.get("seconds"),
        "total_seconds": last.get("seconds"),
        "threads": 1,
    }
    runs.write_result(folder, result | {"versions": {"synthetic": "1"}})


def _history(config: Config, rows: int) -> tuple[list[dict[str, float]], str]:
    """A curve that rises to a ceiling; a high rate without normalization ends it early."""
    random = np.random.default_rng(int(runs.run_id(config), 16))
    rate, normalized = config.optimizer["lr"], config.norm.kind != "none"
    distance = abs(np.log10(config.init["stddev"] / 0.05))
    ceiling = 0.98 - (0.02 if normalized else 0.15) * distance + random.normal(0, 0.003)
    speed = rate * (3 if normalized else 1) * STEPS_PER_ROW / 30
    diverges = not normalized and rate * (1 + distance) > 6
    steps = np.arange(1, (random.integers(0, rows // 2) if diverges else rows) + 1)
    accuracy = np.clip(ceiling - 0.88 * np.exp(-speed * steps), 0.1, 0.999)
    loss = -np.log(accuracy) + random.uniform(0.01, 0.02, len(steps))
    history = [
        {
            "step": int(step) * STEPS_PER_ROW,
            "epoch": int(step) * STEPS_PER_ROW * config.trainer.batch_size / 55_000,
            "train_loss": float(loss[i]),
            "val_loss": float(loss[i]),
            "val_accuracy": float(accuracy[i]),
            "seconds": round(0.02 * int(step), 3),
        }
        for i, step in enumerate(steps)
    ]
    return history, runs.DIVERGED if diverges else runs.FINISHED


if __name__ == "__main__":
    main()
