"""Run folders made up from typed configs, as `execute` leaves them, without training."""

from pathlib import Path
from typing import Any

from bnexp.config import Config
from bnexp.folders import runs
from bnexp.folders.tables import HISTORY, HISTORY_COLUMNS, TableFile

RESULT: dict[str, Any] = {
    "test_loss": 0.5,
    "test_accuracy": 0.8,
    "test_log_loss": 0.5,
    "final_val_accuracy": 0.81,
    "best_val_accuracy": 0.82,
    "train_seconds": 1.5,
    "total_seconds": 3.0,
    "steps_per_second": 100.0,
    "error": None,
    "threads": 1,
    "machine": {"cpu": "a processor", "cores": 2, "system": "Linux 6", "gpu": []},
    "classes": 3,
}
ERROR = {"type": "ValueError", "message": "a value that cannot be"}


def made(config: Config, status: str | None = runs.FINISHED, **changes: Any) -> Path:
    """The folder of a run that ended so; None: it has not ended, and nobody runs it."""
    folder = runs.run_folder(config)
    folder.mkdir(parents=True)
    runs.write_config(folder, config)
    steps = config.trainer.steps if status == runs.FINISHED else config.trainer.steps // 2
    history(folder, steps, changes.get("final_val_accuracy", 0.81))
    (folder / ".lock").touch()
    (folder / "run.log").write_text(f"line of {folder.name}\n")
    if status in (runs.FAILED, None):
        (folder / runs.CHECKPOINT).mkdir()
        (folder / runs.CHECKPOINT / "state.npz").write_bytes(b"0" * 1000)
    if status is None:
        return folder
    failed = {"error": ERROR, "test_accuracy": None} if status == runs.FAILED else {}
    told = RESULT | runs.provenance() | {"run_id": folder.name, "status": status, "steps": steps}
    runs.write_result(folder, told | failed | changes)
    return folder


def history(folder: Path, steps: int, accuracy: float = 0.81) -> None:
    """history.csv with one evaluation."""
    values = (steps, 1.0, 0.5, 0.5, accuracy, 1.5)
    TableFile(folder / HISTORY, HISTORY_COLUMNS).begin(
        [dict(zip(HISTORY_COLUMNS, values, strict=True))]
    )


def files(root: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file below a folder with its time and content, and every folder; links as such."""
    return {
        path: (0, b"")
        if path.is_dir() or path.is_symlink()
        else (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(root.rglob("*"))
    }
