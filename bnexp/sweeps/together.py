"""Runs of a sweep that train together as one program (`trainer.together`).

What cannot, or fails together, is run singly.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bnexp.config import Config
from bnexp.config.errors import reason
from bnexp.config.identity import shape
from bnexp.data.loading import load
from bnexp.folders import runs
from bnexp.sweeps.console import LogReporter
from bnexp.sweeps.execute import (
    HEARD,
    claimed,
    execute,
    failure,
    prepare_imports,
    prepared,
)
from bnexp.training import backend
from bnexp.training.calls import in_step
from bnexp.training.interrupt import listening
from bnexp.training.stopwatch import Stopwatch

Group = tuple[Config, ...]

ON_GPU = 8  # not measured: no GPU was at hand


def groups(configs: Sequence[Config]) -> list[Group]:
    """Which runs train together: of one shape, on the same data, for as many steps."""
    found: list[list[Config]] = []
    filling: dict[str, list[Config]] = {}
    for config in configs:
        key = repr((shape(config), config.data, config.trainer))
        group = filling.get(key)
        if group is None or len(group) >= _size(config):
            group = filling[key] = []
            found.append(group)
        group.append(config)
    return [tuple(group) for group in found]


def one_by_one(configs: Sequence[Config]) -> list[Group]:
    """Each run by itself."""
    return [(config,) for config in configs]


def _size(config: Config) -> int:
    """How many runs may train together with this one, itself included."""
    if only_alone(config):
        return 1
    return config.trainer.together or (ON_GPU if backend.seems_to_have_gpu() else 1)


def kept_alone(configs: Sequence[Config]) -> list[str]:
    """What is said where runs are asked to train together and cannot."""
    asked = [config for config in configs if (config.trainer.together or 1) > 1]
    reasons = Counter(filter(None, map(only_alone, asked)))
    return [
        f"{count} runs train singly despite trainer.together: {why}"
        for why, count in reasons.items()
    ]


def only_alone(config: Config) -> str | None:
    """Why a run cannot train together with others, if so."""
    if config.probes.record:
        return "probes look at one network"
    if config.trainer.profile:
        return "trainer.profile=true times one run"
    return None


def execute_together(group: Group) -> list[dict[str, Any]] | None:
    """The results of runs, each as `execute` gives it, an exception as a failure of its run.

    What failed together is run singly at once. None: nobody asked for it, and it would not pay.

    Raises:
        Interrupted: Ctrl-C or SIGTERM; all checkpoints are up to date.
    """
    results: Sequence[dict[str, Any] | None] | None = [None] * len(group)
    notes = []
    if len(group) > 1:
        try:
            results = _in_step(group)
        except Exception as error:  # noqa: BLE001 (of the group; singly each run has its own)
            notes.append(f"runs singly, as it failed with others together: {reason(error)}")
    if results is None:
        return None
    return [
        _alone(config, notes) if result is None or result["status"] == runs.FAILED else result
        for config, result in zip(group, results, strict=True)
    ]


def _alone(config: Config, notes: Sequence[str]) -> dict[str, Any]:
    try:
        return execute(config, notes=notes)
    except Exception as error:  # noqa: BLE001 (a folder or data that this run alone cannot use)
        return failure(error)


def _in_step(group: Group) -> list[dict[str, Any]] | None:
    """The results of runs that train together; None: it would not pay."""
    watches = [Stopwatch() for _ in group]
    for config, watch in zip(group, watches, strict=True):
        prepare_imports(config)
        threads = prepared(config, None, watch)
    from bnexp.training.together import group_for, pays

    first, dataset = group[0], load(group[0].data)
    if first.trainer.together is None and not pays(first, dataset):
        return None
    trained = group_for(first, dataset, len(group))
    claims = [
        claimed(config, threads, watch, LogReporter(runs.run_folder(config)), program=member)
        for config, watch, member in zip(group, watches, trained.members, strict=True)
    ]
    with listening(*HEARD):
        return in_step(claims, trained.train)
