"""result.json: what it holds, and what its values can be."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from bnexp.config import ConfigError
from bnexp.config.checking import checked
from bnexp.config.types import Count, In, Index
from bnexp.folders.errors import RunError

FINISHED, DIVERGED, FAILED = "finished", "diverged", "failed"
STATUSES = (FINISHED, DIVERGED, FAILED)

Accuracy = Annotated[float, In("[0, 1]")] | None
Loss = Annotated[float, In("(-1e39, 1e39)")] | None  # with penalties, and of float32
Amount = Annotated[float, In("[0, 1e10]")] | None

# Of each run's result; whatever else a run adds is kept beside them.
RESULT_FIELDS: dict[str, Any] = {
    "run_id": str,
    "status": Literal["finished", "diverged", "failed"],
    "steps": Index | None,
    "test_loss": Loss,
    "test_accuracy": Accuracy,
    "test_log_loss": Annotated[float, In("[0, 1e39)")] | None,
    "final_val_accuracy": Accuracy,
    "best_val_accuracy": Accuracy,
    "train_seconds": Amount,
    "total_seconds": Amount,
    "steps_per_second": Amount,
    "error": dict | None,
    "versions": dict | None,
    "git_commit": str | None,
    "threads": Count | None,
}
# Written, but not required: older results lack them.
LATER_FIELDS: dict[str, Any] = {
    "machine": dict | None,
    "classes": Annotated[int, In("[1, 1e6]")] | None,
}
TYPES = RESULT_FIELDS | LATER_FIELDS
NULLABLE = {key for key, kind in TYPES.items() if type(None) in get_args(kind)}
HALF = re.compile("[\ud800-\udfff]")  # of a character: no file can hold it


def parsed_result(text: str, path: Path) -> dict[str, Any]:
    """A result from its JSON, checked.

    Raises:
        RunError: it is damaged, or a value cannot be; the message names the path.
    """
    try:
        result = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    if not isinstance(result, dict) or result.get("status") not in STATUSES:
        raise RunError(f"{path}: no result of a run (status must be one of {', '.join(STATUSES)})")
    missing = [field for field in RESULT_FIELDS if field not in result]
    if missing:
        raise RunError(f"{path}: written by another version (lacks {', '.join(missing)})")
    try:
        known = {
            key: None
            if result[key] is None and key in NULLABLE
            else checked(key, result[key], kind)
            for key, kind in TYPES.items()
            if key in result
        }
    except ConfigError as error:
        raise RunError(f"{path}: {error}") from error
    return _whole(result | known) if "\\u" in text else result | known


def _whole(value: Any) -> Any:
    """The same without half characters, which no file or terminal takes."""
    if isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return HALF.sub("\ufffd", value) if isinstance(value, str) else value
