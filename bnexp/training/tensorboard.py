"""TensorBoard event files of a run, written while it trains (`trainer.tensorboard=true`)."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = "tensorboard"  # within a run's folder
START = 1  # SessionLog.START
SCALARS = {
    "train/loss": "train_loss",
    "validation/loss": "val_loss",
    "validation/accuracy": "val_accuracy",
}


class Events:
    """Takes what a run comes to, for TensorBoard; this one, for runs without it, drops it."""

    def row(self, row: dict[str, Any]) -> None:
        """Takes a row of history.csv."""

    def test(self, step: int, seconds: float, loss: float, accuracy: float) -> None:
        """Takes the test after the last step; `seconds`: of training, until then."""


class EventFile(Events):
    """Writes the curves of one run from its first step on, in place of an earlier start's.

    TensorBoard's own writer has a thread and names its files by the host. This one writes at
    once, so that a full disk is an error of this run, and names them by the time alone.

    Args:
        folder: the run's.
        history: the rows of history.csv so far.
    """

    def __init__(self, folder: Path, history: Sequence[dict[str, Any]]) -> None:
        target = folder / FOLDER
        target.mkdir(exist_ok=True)
        for old in target.glob("*.tfevents.*"):
            old.unlink()
        # TensorBoard's relative time is then the time spent in training
        self._began = time.time() - (history[-1]["seconds"] if history else 0)
        # the last by name: a TensorBoard that looks on goes from one file to the next
        self._path = target / f"events.out.tfevents.{time.time_ns()}"
        self._append(file_version="brain.Event:2")
        # a TensorBoard that looks on forgets what it has read
        self._append(step=0, session_log={"status": START})
        for row in history:
            self.row(row)

    def row(self, row: dict[str, Any]) -> None:
        scalars = {tag: row[column] for tag, column in SCALARS.items()}
        self._scalars(row["step"], row["seconds"], scalars)

    def test(self, step: int, seconds: float, loss: float, accuracy: float) -> None:
        self._scalars(step, seconds, {"test/loss": loss, "test/accuracy": accuracy})

    def _scalars(self, step: int, seconds: float, scalars: dict[str, float]) -> None:
        """What is not a finite number is left out, as in history.csv."""
        values = [
            {"tag": tag, "simple_value": value}
            for tag, value in scalars.items()
            if math.isfinite(value)
        ]
        self._append(seconds, step=step, summary={"value": values})

    def _append(self, seconds: float = 0.0, **event: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # an extra
        from tensorboard.summary.writer.record_writer import RecordWriter

        with self._path.open("ab") as file:
            encoded = Event(wall_time=self._began + seconds, **event).SerializeToString()
            RecordWriter(file).write(encoded)
