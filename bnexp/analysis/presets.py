"""Whether runs are those of a preset, setting by setting: only then is a claim judged by them."""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import PurePath
from typing import Any

from bnexp.analysis.evidence import Evidence
from bnexp.analysis.loading import Runs
from bnexp.analysis.naming import CONTENT
from bnexp.analysis.versions import in_todays_words, trial_in_todays_words
from bnexp.config import ConfigError, scientific
from bnexp.config.compose import composed_sweep
from bnexp.config.options import GROUPS, SOURCE
from bnexp.config.places import comment, definitions
from bnexp.folders import trials

UNCOMPARED = {"data.path", CONTENT}  # what a file holds stands in its content
# Files that hold a dataset again, by their SHA-256: the dataset's target, and what is told of it.
COPIES = {
    "dadef3e6038fc77b75bd42f789d6c45369f8d72ea8e5568626f2d3528bb3f472": (
        "bnexp.data.cifar10.cifar10",
        "Data: a copy of CIFAR-10 in JPEG.",
    ),
}


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
        found = trial_in_todays_words(_of_originals(runs.trial["settings"]))
        return [_short(key) for key in trials.differing(found, trial_in_todays_words(wanted))]
    return _of_grid(runs, wanted)


def copy_told(runs: Evidence) -> str:
    """What is to be told of runs of a trial on a copy of a dataset; empty: they are on none."""
    trial = runs.trial or {"settings": {}}
    contents = {data.get("_content_") for data in _data_of(trial["settings"])}
    return " ".join(told for content, (_, told) in COPIES.items() if content in contents)


def _data_of(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of the data, of every arm."""
    for condition in settings.get("conditions", []):
        for arm in condition["arms"].values():
            yield arm["data"]


def _of_originals(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's settings, with each copy of a dataset as that dataset."""
    found: dict[str, Any] = copy.deepcopy(dict(settings))
    for data in _data_of(found):
        if data.get("_content_") in COPIES:
            target, _ = COPIES[data.pop("_content_")]
            data.pop("path", None)
            data |= {"_target_": target, "kind": target.rpartition(".")[2]}
    return found


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


@cache
def smaller(preset: str) -> str:
    """The sentence of a preset's first comment that says what was made smaller, to fit; or "".

    It begins with "Smaller".
    """
    found = re.search(r"\bSmaller (.*?\.)(?= |$)", comment("experiment", preset))
    return f"The preset is smaller {found[1]}" if found else ""


def question(sweep: str) -> str:
    """What a preset asks: the first sentence of what it says of itself; "" of other sweeps."""
    name = PurePath(sweep).name
    text = comment("experiment", name) if is_preset(name) else ""
    return re.split(r"(?<=[.?])\s", text, maxsplit=1)[0].rstrip(".")


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
