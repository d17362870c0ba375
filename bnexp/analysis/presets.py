"""Whether runs are those of a preset, setting by setting: only then is a claim judged by them."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from bnexp.analysis.evidence import Evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import CONTENT
from bnexp.analysis.versions import in_todays_words
from bnexp.config import ConfigError, scientific
from bnexp.config.compose import composed_sweep
from bnexp.config.options import GROUPS, SOURCE
from bnexp.config.places import definitions
from bnexp.folders import trials

UNCOMPARED = {"data.path", CONTENT}  # what a file holds stands in its content


def is_preset(name: str) -> bool:
    """Whether there is a preset of this name."""
    return any(name == known for known, _ in definitions("experiment"))


def differences(runs: Evidence, preset: str) -> list[str]:
    """In what runs differ from a preset's: keys, or what is missing; empty: in nothing.

    Raises:
        ConfigError: the preset cannot be composed.
    """
    wanted = _wanted(preset)
    if isinstance(wanted, dict):
        if runs.trial is None:
            return ["no trial (trial.json)"]
        return [_short(key) for key in trials.differing(runs.trial["settings"], wanted)]
    return _of_grid(runs, wanted)


def _short(key: str) -> str:
    """conditions.0.arms.norm=none.trainer.steps as trainer.steps."""
    head, found, tail = key.partition(".arms.")
    if not (found and head.startswith("conditions.")):
        return key
    places = [tail.rfind(f".{group}.") for group in GROUPS]
    return tail[max(places) + 1 :]


@cache
def _wanted(preset: str) -> "dict[str, Any] | frozenset[Row]":
    """What a preset asks for: the settings of its trial, or its runs."""
    with composed_sweep([f"experiment={preset}"]) as sweeper:
        # not before: Hydra loads the class that sweepers derive from a second time
        from bnexp.sweeps.trial import asked
        from bnexp.sweeps.trial_sweeper import TrialSweeper

        if isinstance(sweeper, TrialSweeper):
            return asked(sweeper.trials(sweeper.arguments), sweeper.settings)
        jobs = sweeper.jobs(sweeper.arguments)
    return frozenset(_row(in_todays_words(scientific(job.config))) for job in jobs)


Row = tuple[tuple[str, str], ...]


def _row(flat: Mapping[str, Any]) -> Row:
    """Settings in comparable form: keys with dots and the seed, numbers as numbers."""
    return tuple(
        (key, _text(value))
        for key, value in sorted(flat.items())
        if _is_setting(key) and value is not None and value == value
    )


def _is_setting(key: str) -> bool:
    return (key == "seed" or "." in key) and key not in UNCOMPARED and not key.endswith(SOURCE)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return json.dumps(float(value))


def _of_grid(runs: Runs, wanted: "frozenset[Row]") -> list[str]:
    columns = [key for key in map(str, runs.runs.columns) if _is_setting(key)]
    records = runs.runs[columns].to_dict("records")
    found = {_row({str(key): value for key, value in record.items()}) for record in records}
    values: dict[str, set[str]] = {}
    for row in wanted:
        for key, text in row:
            values.setdefault(key, set()).add(text)
    strange = [
        f"{key}={text}"
        for key, text in dict.fromkeys(item for row in found - wanted for item in row)
        if text not in values.get(key, ())
    ]
    if strange:
        return strange
    if found - wanted:
        return ["combinations of settings"]
    missing = len(wanted - found)
    return [f"{missing} of {len(wanted)} runs are missing"] if missing else []


def claimable(runs: Evidence, preset: str) -> list[str]:
    """`differences`, where a preset that is not there asks for nothing.

    So a claim of the user's own may name any sweep.
    """
    if not is_preset(preset):
        return []
    try:
        return differences(runs, preset)
    except ConfigError as error:
        return [f"the preset cannot be composed ({error})"]
