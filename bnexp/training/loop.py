"""Trains and tests one network: from a typed config and a folder to history and outcome.

Knows neither Hydra nor the terminal: progress goes to a `Reporter`, which may also ask it to
stop.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from bnexp.config import Config
from bnexp.config.schema import Trainer
from bnexp.data import Dataset, Split
from bnexp.data.loading import load
from bnexp.folders import runs
from bnexp.folders.tables import (
    HISTORY,
    HISTORY_COLUMNS,
    PREDICTION_COLUMNS,
    PREDICTIONS,
    PROBE_COLUMNS,
    PROBES,
    TableFile,
)
from bnexp.norms.population import set_population_statistics
from bnexp.probes.recorder import Recorder
from bnexp.training import checkpoint, memory
from bnexp.training.batches import BatchOrder, on_device, scaled
from bnexp.training.calls import Call, Run, alone
from bnexp.training.checkpoint import Progress
from bnexp.training.evaluation import Metrics
from bnexp.training.interrupt import Interrupted
from bnexp.training.program import Program, metric_name, program_for
from bnexp.training.stopwatch import Part, Stopwatch
from bnexp.training.tensorboard import EventFile, Events

# whose settings `population` and `population_batches` are read after training
EXACT_FOR = "bnexp.norms.batch.batch"


class Reporter(Protocol):
    """Is told how a run goes."""

    def line(self, text: str) -> None:
        """Takes a line for the log."""

    def step(self, steps: int) -> None:
        """Is told that so many steps are made; raises `Interrupted` to stop the run."""


@dataclass
class Outcome:
    """What a run came to; `test` is None where it diverged before."""

    status: str
    progress: Progress
    test: Metrics | None = None

    def as_result(self) -> dict[str, Any]:
        """The fields of result.json that training knows."""
        accuracies = [row["val_accuracy"] for row in self.progress.history]
        steps, seconds = self.progress.steps, self.progress.train_seconds
        together = self.progress.together
        return {
            "status": self.status,
            "steps": steps,
            "test_loss": self.test and self.test.loss,
            "test_accuracy": self.test and self.test.accuracy,
            "test_log_loss": self.test and self.test.log_loss,
            "final_val_accuracy": accuracies[-1] if accuracies else None,
            "best_val_accuracy": max(accuracies, default=None),
            "train_seconds": seconds,
            "steps_per_second": steps / seconds if seconds else None,
            **({"together": together} if together > 1 else {}),
            **{f"test_{k}": v for k, v in (self.test.further.items() if self.test else ())},
        }


def next_evaluation(trainer: Trainer, step: int) -> int:
    """The first step after `step` at which to evaluate."""
    every = trainer.early_eval_every if step < trainer.early_steps else trainer.eval_every
    following = (step // every + 1) * every
    if step < trainer.early_steps:
        following = min(following, trainer.early_steps)
    return min(following, trainer.steps)


def train_and_evaluate(
    config: Config, folder: Path, report: Reporter, watch: Stopwatch | None = None
) -> Outcome:
    """Trains as configured, keeps history.csv up to date in `folder`, and tests at the end.

    Goes on from the folder's checkpoint if there is one, to the same numbers as without the
    interruption. A loss that is not finite ends the run: its outcome is `diverged`, with the
    history up to there.

    Args:
        config: the run.
        folder: where its files go.
        report: is told how it goes.
        watch: charges the seconds to the parts of the run.

    Raises:
        DataError: data that cannot be had or used.
        Interrupted: the reporter asked to stop; the checkpoint is up to date.
    """
    return alone(training(config, folder, report, watch or Stopwatch()))


def training(
    config: Config,
    folder: Path,
    report: Reporter,
    watch: Stopwatch,
    program: Program | None = None,
) -> Run[Outcome]:
    """`train_and_evaluate` for whoever makes the steps that the run asks for.

    Args:
        config, folder, report, watch: see there.
        program: the run's in a group; None: the one of this process.
    """
    with watch("load"):
        dataset = load(config.data)
    run = _Run(config, dataset, folder, report, watch, program)
    outcome = yield from run.train()
    if outcome.status == runs.FINISHED:
        outcome.test = run.evaluate(dataset.test)
        run.record_test(outcome.test)
        if not np.isfinite(outcome.test.loss):
            outcome.status = runs.DIVERGED
        if config.trainer.predictions and outcome.status == runs.FINISHED:
            run.write_predictions(dataset.test)
        if config.trainer.save_model:
            with watch("write"):
                save_model(run.program, folder)
    return outcome


class _Run:
    """One training, from its start or its checkpoint."""

    def __init__(
        self,
        config: Config,
        dataset: Dataset,
        folder: Path,
        report: Reporter,
        watch: Stopwatch,
        program: Program | None,
    ) -> None:
        self._config, self._folder, self._report, self._watch = config, folder, report, watch
        self._trainer = config.trainer
        self._validation = dataset.validation
        metrics = [f"val_{metric_name(word)}" for word in config.metrics]
        self._history = TableFile(folder / HISTORY, [*HISTORY_COLUMNS, *metrics])
        self._probed = TableFile(folder / PROBES, PROBE_COLUMNS)
        with watch("load"):
            self._images = on_device(dataset.train)
        self._order = BatchOrder(
            config.seed, len(dataset.train), self._trainer.batch_size, self._trainer.reshuffle
        )
        with watch("compile"):
            self.program = program or program_for(config, dataset)
        self._tell(dataset)
        self._progress = self._restored() or Progress()
        self._progress.together = max(self._progress.together, self.program.together)
        self._recorder = Recorder(config, self.program, dataset, self._progress.memory)
        self._saved_at = (time.monotonic(), self._progress.steps)
        history = self._progress.history
        with watch("write"):
            self._events = EventFile(folder, history) if self._trainer.tensorboard else Events()

    def _tell(self, dataset: Dataset) -> None:
        """Notes on the data and on what the run will need, for its log."""
        program = self.program
        images = self._trainer.batch_size * program.together
        needs = memory.check(dataset, program.model, program.hints, images)
        for note in (*dataset.notes, *_few_probed(self._config, dataset), *needs):
            self._report.line(note)

    def _restored(self) -> Progress | None:
        """The checkpoint, in force; None: start from the beginning."""
        self.program.reset(self._config)
        try:
            with self._watch("checkpoint"):
                stored = checkpoint.load(self._folder)
                if stored is None:
                    return None
                progress, state = stored
                self.program.restore(state)
        except (runs.RunError, ValueError) as error:
            self._report.line(f"starts afresh: {error}")
            self.program.reset(self._config)
            return None
        self._report.line(f"goes on from step {progress.steps}")
        return progress

    def train(self) -> Run[Outcome]:
        """Trains to the last step or divergence."""
        progress = self._progress
        yield from self._steps(0)  # compiles
        with self._watch("write"):
            self._history.begin(progress.history)
            if self._config.probes.record:
                self._probed.begin(progress.probes)
        if not progress.steps:
            self._probe()
        status = runs.FINISHED
        # loss_steps: interrupted after the last step, before its evaluation
        while status == runs.FINISHED and (
            progress.steps < self._trainer.steps or progress.loss_steps
        ):
            if (yield from self._train_to_evaluation()):
                if progress.steps == self._trainer.steps:
                    self._use_exact_statistics()
                validated = self.evaluate(self._validation)
                self._record(validated)
                if np.isfinite(validated.loss):
                    self._probe()
                    continue
            status = runs.DIVERGED
            self._report.line(f"step {progress.steps:5d}: diverged (the loss is not finite)")
        return Outcome(status, progress)

    def _use_exact_statistics(self) -> None:
        """Alg. 2, lines 7-12, over the batches that training would have come to next."""
        norm = self._config.norm
        if norm.target == EXACT_FOR and norm["population"] == "exact":
            with self._watch("evaluate"):
                images, _ = self._images
                rows = self._order.rows(self._trainer.steps, norm["population_batches"])
                batches = (scaled(tf.gather(images, row)) for row in rows)
                set_population_statistics(self.program.model, batches)

    def evaluate(self, split: Split) -> Metrics:
        """Validates or tests the network as it stands."""
        with self._watch("load"):
            images = on_device(split)
        with self._timed("evaluate"):
            return self.program.evaluate(*images)

    @contextmanager
    def _timed(self, part: Part) -> Iterator[None]:
        """Charges a call of the program to a part of the run, or to `compile` if it compiled."""
        with self._watch(part):
            before = self.program.compilations
            yield
            if self.program.compilations > before:
                self._watch.note_compiled()

    def _train_to_evaluation(self) -> Run[bool]:
        """Trains up to the next evaluation; False if the loss ceased to be finite."""
        progress = self._progress
        until = next_evaluation(self._trainer, progress.steps - progress.loss_steps)
        while progress.steps < until:
            count = min(self.program.steps_per_call, until - progress.steps)
            try:
                if not (yield from self._steps(count)):
                    return False
                self._report.step(progress.steps)
            except Interrupted:
                self._save()
                raise
            if self._is_checkpoint_due():
                self._save()
        return True

    def _steps(self, count: int) -> Run[bool]:
        """Makes `count` steps in one call; False if the loss ceased to be finite."""
        progress = self._progress
        with self._timed("train" if count else "compile"):
            made = yield Call(
                self.program,
                self._images,
                self._order,
                self._config,
                progress.steps,
                count,
                progress.loss_sum,
            )
        if count:
            progress.train_seconds += made.seconds
        self._watch.note_steps(made.end - progress.steps)
        progress.loss_steps += made.end - progress.steps
        progress.steps, progress.loss_sum = made.end, made.loss_sum
        return not made.diverged

    def _record(self, validated: Metrics) -> None:
        progress = self._progress
        progress.history.append(
            {
                "step": progress.steps,
                "epoch": progress.steps / self._order.batches_per_epoch,
                "train_loss": float(progress.loss_sum) / progress.loss_steps,
                "val_loss": validated.loss,
                "val_accuracy": validated.accuracy,
                "seconds": round(progress.train_seconds, 3),
                **{f"val_{name}": value for name, value in validated.further.items()},
            }
        )
        progress.loss_sum, progress.loss_steps = np.float32(0), 0
        with self._watch("write"):
            self._history.append(progress.history[-1:])
            self._events.row(progress.history[-1])
            self._report.line(validated.validation_line(progress.steps))

    def _probe(self) -> None:
        progress = self._progress
        if self._recorder.is_due(progress.steps):
            with self._watch("probe"):
                found = self._recorder.record(progress.steps)
            with self._watch("write"):
                self._probed.append(found)
            progress.probes += found

    def write_predictions(self, split: Split) -> None:
        """Writes what the network makes of each image: a row of label and probabilities."""
        with self._watch("load"):
            images, labels = on_device(split)
        with self._timed("evaluate"):
            found = self.program.evaluate.probabilities(images)
        names = [f"p{i}" for i in range(found.shape[1])]
        rows = (
            {"label": int(label), **{n: f"{p:.4g}" for n, p in zip(names, row, strict=True)}}
            for label, row in zip(labels.numpy(), found.round(4), strict=True)
        )
        with self._watch("write"):
            TableFile(self._folder / PREDICTIONS, [*PREDICTION_COLUMNS, *names]).begin(rows)

    def record_test(self, tested: Metrics) -> None:
        """Tells of the test after the last step."""
        progress = self._progress
        with self._watch("write"):
            self._events.test(progress.steps, progress.train_seconds, tested.loss, tested.accuracy)
            self._report.line(tested.test_line())

    def _is_checkpoint_due(self) -> bool:
        seconds, steps = self._trainer.checkpoint_seconds, self._trainer.checkpoint_every
        then, step = self._saved_at
        by_time = seconds is not None and time.monotonic() - then >= seconds
        return by_time or (steps is not None and self._progress.steps - step >= steps)

    def _save(self) -> None:
        with self._watch("checkpoint"):
            checkpoint.save(self._folder, self._progress, self.program.state())
        self._saved_at = (time.monotonic(), self._progress.steps)


def _few_probed(config: Config, dataset: Dataset) -> list[str]:
    """What is said where probes are to look at more images than there are."""
    there = min(len(dataset.test), len(dataset.train))
    if not config.probes.record or config.probes.images <= there:
        return []
    return [f"probes look at {there} images: there are no {config.probes.images}"]


def save_model(program: Program, folder: Path) -> None:
    """Writes model.keras for plain Keras: images scaled to 0..1 in, logits out."""
    aside = folder / ".saving.keras"
    program.model.save(aside)
    aside.replace(folder / "model.keras")
