"""How a run stands, for people: also whether it is going on just now."""

from pathlib import Path

from bnexp.folders import heartbeat, lock
from bnexp.folders.results import STATUSES

RUNNING, UNFINISHED = "running", "unfinished"
STATES = (*STATUSES, RUNNING, UNFINISHED)


def state_of(folder: Path, status: str) -> str:
    """The status, told from a run that nobody runs is one that is going on."""
    return RUNNING if status == UNFINISHED and lock.is_held(folder) else status


def steps_of(folder: Path, evaluated: int) -> int:
    """The steps made by a run that has not ended, of which so many were evaluated."""
    return max(evaluated, heartbeat.steps(folder))
