"""The state of an unfinished run on disk, from which it goes on as if never interrupted."""

import json
import os
import shutil
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bnexp.folders.runs import CHECKPOINT, RunError

# Raised when what is stored changes; another version's checkpoint is not gone on from.
VERSION = 2


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        steps: training steps made.
        loss_sum: of the steps since the last evaluation (float32, summed step by step).
        loss_steps: how many these are.
        train_seconds: spent in training steps.
        history: the rows of history.csv.
        probes: the rows of probes.csv.
        memory: what probes keep from one step to the next.
        together: the most runs that trained in step, this one included.
    """

    steps: int = 0
    loss_sum: np.float32 = field(default_factory=lambda: np.float32(0))
    loss_steps: int = 0
    train_seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    probes: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    together: int = 1


def save(folder: Path, progress: Progress, state: list[np.ndarray]) -> None:
    """Writes the checkpoint aside and moves it into place.

    Args:
        folder: the run's.
        progress: how far the run has come.
        state: all that training changes (weights, statistics, optimizer, generators).
    """
    target = folder / CHECKPOINT
    target.mkdir(exist_ok=True)
    meta = asdict(progress) | {"version": VERSION, "loss_sum": float(progress.loss_sum)}
    aside = target / f".state.{os.getpid()}.npz"
    try:
        arrays: dict[str, Any] = {f"v{i}": array for i, array in enumerate(state)}
        np.savez(aside, meta=json.dumps(meta), **arrays)
        aside.replace(target / "state.npz")
    finally:
        aside.unlink(missing_ok=True)


def load(folder: Path) -> tuple[Progress, list[np.ndarray]] | None:
    """What `save` wrote; None if there is no checkpoint.

    Raises:
        RunError: it is damaged, or of another version of this program.
    """
    path = folder / CHECKPOINT / "state.npz"
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
            state = [file[f"v{i}"] for i in range(len(file.files) - 1)]
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    if meta.pop("version", None) != VERSION:
        raise RunError(f"{path}: written by another version of this program")
    return Progress(**meta | {"loss_sum": np.float32(meta["loss_sum"])}), state


def remove(folder: Path) -> None:
    """A finished run needs no checkpoint."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
