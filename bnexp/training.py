"""Trains and tests one network: from a typed config and a folder to history and outcome.

Knows neither Hydra nor the terminal: progress goes to a `Reporter`.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from bnexp import runs
from bnexp.config import Config, Trainer
from bnexp.data import Dataset, load
from bnexp.normalization import set_population_statistics
from bnexp.program import BatchOrder, Metrics, Program, on_device, program_for, scaled

Tensors = tuple[tf.Tensor, tf.Tensor]


class Reporter(Protocol):
    """Is told how a run goes."""

    def line(self, text: str) -> None:
        """A line for the log."""

    def step(self, steps: int) -> None:
        """So many steps are made."""


@dataclass
class Outcome:
    """What a run came to; None where it diverged before the figure could be had."""

    status: str
    steps: int
    test: Metrics | None = None
    final_val_accuracy: float | None = None
    best_val_accuracy: float | None = None
    train_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def as_result(self) -> dict[str, Any]:
        """The fields of result.json that training knows."""
        test = self.test or Metrics(None, None, None)  # type: ignore[arg-type]
        return {
            "status": self.status,
            "steps": self.steps,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "test_log_loss": test.log_loss,
            "final_val_accuracy": self.final_val_accuracy,
            "best_val_accuracy": self.best_val_accuracy,
            "train_seconds": self.train_seconds,
            "steps_per_second": self.steps / self.train_seconds if self.train_seconds else None,
        }


def next_evaluation(trainer: Trainer, step: int) -> int:
    """The first step after `step` at which to evaluate."""
    every = trainer.early_eval_every if step < trainer.early_steps else trainer.eval_every
    following = (step // every + 1) * every
    if step < trainer.early_steps:
        following = min(following, trainer.early_steps)
    return min(following, trainer.steps)


def train_and_evaluate(config: Config, folder: Path, report: Reporter) -> Outcome:
    """Trains as configured, keeps history.csv up to date in `folder`, and tests at the end.

    A loss that is not finite ends the run: its outcome is `diverged`, with the history up to
    there.

    Raises:
        DataError: data that cannot be had or used.
    """
    dataset = load(config.data)
    program = program_for(config, dataset)
    program.reset(config)
    outcome = _train(config, dataset, program, folder, report)
    if outcome.status == runs.FINISHED:
        if config.norm.kind == "batch" and config.norm.population == "exact":
            _use_exact_statistics(config, dataset, program)
        outcome.test = program.evaluate(*on_device(dataset.test))
        report.line(outcome.test.test_line())
        if not np.isfinite(outcome.test.loss):
            outcome.status = runs.DIVERGED
        if config.trainer.save_model:
            save_model(program, folder)
    return outcome


def _train(
    config: Config, dataset: Dataset, program: Program, folder: Path, report: Reporter
) -> Outcome:
    trainer = config.trainer
    train, validation = on_device(dataset.train), on_device(dataset.validation)
    order = BatchOrder(config.seed, len(dataset.train), trainer.batch_size)
    program.train(train, order, config.optimizer, 0, 0, np.float32(0))  # compiles
    outcome = Outcome(runs.FINISHED, steps=0)
    while outcome.steps < trainer.steps and outcome.status == runs.FINISHED:
        metrics = _train_to_evaluation(config, program, train, order, outcome, report)
        if outcome.status == runs.FINISHED:
            validated = program.evaluate(*validation)
            _record(outcome, len(dataset.train), trainer, metrics, validated)
            report.line(validated.validation_line(outcome.steps))
            if not np.isfinite(validated.loss):
                outcome.status = runs.DIVERGED
        runs.write_history(folder, outcome.history)
    if outcome.status == runs.DIVERGED:
        report.line(f"step {outcome.steps:5d}: diverged (the loss is not finite)")
    return outcome


def _train_to_evaluation(
    config: Config,
    program: Program,
    train: Tensors,
    order: BatchOrder,
    outcome: Outcome,
    report: Reporter,
) -> float:
    """Trains up to the next evaluation or divergence; the mean training loss on the way."""
    first, until = outcome.steps, next_evaluation(config.trainer, outcome.steps)
    loss_sum = np.float32(0)
    while outcome.steps < until and outcome.status == runs.FINISHED:
        count = min(program.steps_per_call, until - outcome.steps)
        started = time.perf_counter()
        progress = program.train(train, order, config.optimizer, outcome.steps, count, loss_sum)
        outcome.train_seconds += time.perf_counter() - started
        outcome.steps, loss_sum = progress.steps, progress.loss_sum
        if progress.diverged:
            outcome.status = runs.DIVERGED
        report.step(outcome.steps)
    return float(loss_sum) / (outcome.steps - first)


def _record(
    outcome: Outcome, images: int, trainer: Trainer, train_loss: float, validated: Metrics
) -> None:
    outcome.history.append(
        {
            "step": outcome.steps,
            "epoch": outcome.steps / (images // trainer.batch_size),
            "train_loss": train_loss,
            "val_loss": validated.loss,
            "val_accuracy": validated.accuracy,
            "seconds": round(outcome.train_seconds, 3),
        }
    )
    outcome.final_val_accuracy = validated.accuracy
    outcome.best_val_accuracy = max(outcome.best_val_accuracy or 0.0, validated.accuracy)


def _use_exact_statistics(config: Config, dataset: Dataset, program: Program) -> None:
    """Alg. 2, lines 7-12, over the batches that training would have come to next."""
    images, _ = on_device(dataset.train)
    order = BatchOrder(config.seed, len(dataset.train), config.trainer.batch_size)
    rows = order.rows(config.trainer.steps, config.norm.population_batches)
    set_population_statistics(program.model, (scaled(tf.gather(images, row)) for row in rows))


def save_model(program: Program, folder: Path) -> None:
    """model.keras, for plain Keras: images scaled to 0..1 in, logits out."""
    aside = folder / ".saving.keras"
    program.model.save(aside)
    aside.replace(folder / "model.keras")
