"""A sweep: what is done and what is to do, in which order, and how it ended.

Knows neither Hydra nor processes. How a run stands is read from its folder alone, so that it
is the same for every launcher, and after a crash.
"""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bnexp.config import Config
from bnexp.config.changes import changes
from bnexp.config.identity import shape
from bnexp.folders import runs
from bnexp.sweeps.execute import check_early, lacks
from bnexp.sweeps.together import kept_alone
from bnexp.terminal import counted

DONE, RESUME, RETRY, TODO = "done", "to resume", "to retry", "to do"


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        config: the run.
        overrides: what the command line (and the preset) says of it.
        varying: those overrides that differ between the sweep's runs.
    """

    config: Config
    overrides: tuple[str, ...]
    varying: tuple[str, ...]

    @property
    def label(self) -> str:
        """What varies, as one text."""
        return " ".join(self.varying)

    @cached_property
    def folder(self) -> Path:
        """The run's folder."""
        return runs.run_folder(self.config)

    @property
    def command(self) -> str:
        """Repeats this run alone, with the sweep's number of threads."""
        dirs = [f"--config-dir={folder}" for folder in self.config.config_dirs]
        return f"python -m bnexp.run {shlex.join([*dirs, '--multirun', *self.overrides])}"


@dataclass(frozen=True)
class Plan:
    """What a sweep has before it: its runs by how they stand."""

    jobs: dict[str, list[Job]]
    notes: list[str]  # on what is damaged, what another version has made, and what runs singly
    given: Sequence[Path] = ()  # the runs' folders in the order in which they were given

    @property
    def folders(self) -> str:
        """Where the runs lie."""
        places = {job.config.sweep_dir: None for jobs in self.jobs.values() for job in jobs}
        return ", ".join(map(str, places))

    @property
    def work_done(self) -> int:
        """See `Config.work`."""
        return sum(job.config.work for job in self.jobs[DONE])

    @property
    def todo(self) -> list[Job]:
        """What is to be run, in order: long runs first, equal networks in a row."""
        waiting = [job for state in (RESUME, RETRY, TODO) for job in self.jobs[state]]
        return sorted(waiting, key=lambda job: (-job.config.work, shape(job.config)))

    def __str__(self) -> str:
        """One line."""
        total = sum(map(len, self.jobs.values()))
        counts = {state: len(jobs) for state, jobs in self.jobs.items()}
        shown = [f"{n} {state}" for state, n in counts.items() if n or state in (DONE, TODO)]
        return f"{counted(total, 'run')}: {', '.join(shown)}"

    def listing(self) -> str:
        """A line per run: how it stands, its folder, and how its settings differ from the others.

        A line before says what settings differ from the defaults in all runs.
        """
        states = [(state, job) for state, jobs in self.jobs.items() for job in jobs]
        told = [changes(job.config) for _, job in states]
        common = [word for word in told[0] if all(word in words for words in told)] if told else []
        lines = [f"{state:9} {job.folder} {job.label}".rstrip() for state, job in states]
        return "\n".join([f"settings: {' '.join(common) or 'the defaults'}", *lines])


def make_plan(jobs: Sequence[Job]) -> Plan:
    """How each run stands; runs with the same settings are taken once.

    Raises:
        ConfigError: data that cannot be used, or an output folder that cannot be written.
    """
    by_state: dict[str, list[Job]] = {state: [] for state in (DONE, RESUME, RETRY, TODO)}
    notes: list[str] = []
    made_by: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    checked: set[str] = set()
    for job in {job.folder: job for job in reversed(jobs)}.values():
        _check_once(job.config, checked)
        try:
            state, result = _state(job)
        except runs.RunError as error:
            by_state[TODO].append(job)
            notes.append(f"{error}; runs again")
            continue
        by_state[state].append(job)
        lacking.update(lacks(job.config, result) if state == DONE else ())
        made_by[runs.made_by(result)] += state == DONE
    notes += _of_other_versions(made_by)
    notes += [
        f"{count} of the runs that are done: {what}; rerun=true makes them again"
        for what, count in lacking.items()
    ]
    in_order = list(dict.fromkeys(job.folder for job in jobs))
    plan = Plan({state: found[::-1] for state, found in by_state.items()}, notes, in_order)
    notes += kept_alone([job.config for job in plan.todo])
    if plan.todo and not plan.todo[0].config.dry_run:
        runs.make_folder(plan.todo[0].config.sweep_dir)
    return plan


def _check_once(config: Config, checked: set[str]) -> None:
    """Checks the data of a run, unless another run's are the same."""
    relevant = (config.data, config.trainer.batch_size, config.probes.record, config.probes.images)
    if repr(relevant) not in checked:
        check_early(config)
    checked.add(repr(relevant))


def _of_other_versions(made_by: Counter[str]) -> list[str]:
    """What is said of finished runs that this state of the program has not made."""
    mine = runs.made_by(runs.provenance())
    return [
        f"{count} of the runs that are done were made by {version} and this is {mine}: they are "
        "taken as they are; rerun=true makes them again"
        for version, count in made_by.items()
        if count and version != mine
    ]


def _state(job: Job) -> tuple[str, dict[str, Any]]:
    """How a run stands, and its result if it has ended."""
    if job.config.rerun:
        return TODO, {}
    if result := runs.ended_result(job.folder):
        return DONE, result
    if runs.read_result(job.folder):
        return RETRY, {}
    return (RESUME if (job.folder / runs.CHECKPOINT / "state.npz").exists() else TODO), {}


def failures(jobs: Sequence[Job], errors: dict[tuple[str, ...], str]) -> list[tuple[Job, str]]:
    """The runs that have no result now, or a failed one, and why.

    Args:
        jobs: what was run.
        errors: by overrides, what the launcher knows of runs that left no result.
    """
    failed = []
    for job in jobs:
        try:
            result = runs.read_result(job.folder)
        except runs.RunError as error:
            failed.append((job, str(error)))
            continue
        if result is None:
            unknown = (
                f"no result.json in {job.folder}; if another machine carried the run out, "
                "output_dir must lie on a file system that this one shares"
            )
            failed.append((job, errors.get(job.overrides, unknown)))
        elif result["status"] == runs.FAILED:
            failed.append((job, runs.summary(result)))
    return failed


def print_failures(failed: Sequence[tuple[Job, str]], console: Console) -> None:
    """A table of what failed and why, and the commands that repeat each."""
    table = Table("run", "settings", "why", title=f"{len(failed)} failed", title_justify="left")
    for job, reason in failed:
        table.add_row(runs.run_id(job.config), job.label, reason)
    console.print(table, markup=False)
    console.print("To repeat one of them (its run.log has the traceback):")
    for job, _ in failed:
        console.print(f"  {job.command}", markup=False, soft_wrap=True)
