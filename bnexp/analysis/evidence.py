"""The runs that a claim is judged by: of one sweep, with its trial, arms by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bnexp.analysis.loading import Runs
from bnexp.analysis.measures import NORM, MeasureError, ended
from bnexp.analysis.trial_words import settings_words
from bnexp.folders import pack, trials
from bnexp.folders.errors import RunError

NONE, BATCH = "norm=none", "norm=batch"
TUNED = "tuned"  # the part of a trial in which all nuisance settings are tuned


@dataclass(frozen=True)
class Chosen:
    """The report runs of one arm of a trial.

    Attributes:
        arm: its name.
        table: the runs that ended; a diverged one's accuracies are chance's.
        told: what it chose, in words, with what lies at the edge of a grid.
    """

    arm: str
    table: pd.DataFrame
    told: str


@dataclass(frozen=True)
class Evidence(Runs):
    """The runs of one sweep.

    Attributes:
        trial: the content of its trial.json; None: it has none.
        baseline, arm: values of `norm` that are compared.
    """

    trial: trials.Trial | None = None
    baseline: str = "none"
    arm: str = "batch"

    def arms(self, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of the baseline and of the arm.

        Raises:
            MeasureError: one of the two has none.
        """
        found = tuple(table[table[NORM] == kind] for kind in (self.baseline, self.arm))
        for kind, rows in zip((self.baseline, self.arm), found, strict=True):
            if rows.empty:
                raise MeasureError(f"no run with norm={kind} has ended")
        return found[0], found[1]

    def part(self, name: str, choose_by: str, condition: str = "") -> trials.Trial:
        """One part of the trial, as trial.json has it.

        Raises:
            MeasureError: there is no trial, or it has no such part, or has not ended.
        """
        for one in self._trials():
            for part in one["parts"]:
                if (one["condition"], part["part"], part["choose_by"]) == (
                    condition,
                    name,
                    choose_by,
                ):
                    return dict(part)
        raise MeasureError(f"the trial has no part {name} chosen by {choose_by}")

    def chosen(
        self, name: str, choose_by: str, *, condition: str = "", at: str = ""
    ) -> tuple[Chosen, Chosen]:
        """The report runs of baseline and arm.

        Args:
            name: of the part.
            choose_by: the criterion.
            condition: of the trial, where there are several.
            at: the arm whose combination both have; empty: each its own.

        Raises:
            MeasureError: see `part`.
        """
        arms = self.part(name, choose_by, condition)["arms"]
        pair = [NONE, BATCH] if {NONE, BATCH} <= set(arms) else list(arms)[:2]
        first, second = (self._chosen(arms, arm, at) for arm in pair)
        return first, second

    def all_chosen(self, name: str, choose_by: str, *, condition: str = "") -> list[Chosen]:
        """The report runs of every arm, each with its own choice, the baseline first.

        Raises:
            MeasureError: see `part`.
        """
        arms = self.part(name, choose_by, condition)["arms"]
        return [self._chosen(arms, arm, "") for arm in arms]

    def _chosen(self, arms: trials.Trial, arm: str, at: str) -> Chosen:
        record = arms[at or arm]
        if at and "matched" not in record:
            raise MeasureError(f"{arm} was not run with what {at} chose (trial.matched)")
        ids = record["matched"][arm] if at else record["report"]
        return Chosen(arm, self.reported(ids, arm), settings_words(record))

    def reported(self, ids: Mapping[str, str], title: str) -> pd.DataFrame:
        """The runs that a trial names by seed; a diverged one's accuracies are chance's.

        Raises:
            MeasureError: some have not ended.
        """
        table = ended(self)
        places = {Path(str(run)).name: run for run in table.index}
        missing = [run for run in ids.values() if run not in places]
        if missing:
            raise MeasureError(f"{len(missing)} report runs of {title} have not ended")
        return table.loc[[places[run] for run in ids.values()]]

    @property
    def conditions(self) -> list[str]:
        """Those of the trial, in order.

        Raises:
            MeasureError: there is no trial, or it has not ended.
        """
        return [one["condition"] for one in self._trials()]

    @property
    def parts(self) -> list[str]:
        """Those of the trial, each once, in order.

        Raises:
            MeasureError: there is no trial, or it has not ended.
        """
        return list(dict.fromkeys(part["part"] for part in self._trials()[0]["parts"]))

    def _trials(self) -> list[trials.Trial]:
        if self.trial is None:
            raise MeasureError("these runs are no trial (they have no trial.json)")
        if not self.trial["trials"]:
            raise MeasureError("the trial has not ended")
        return list(self.trial["trials"])


def evidence(runs: Runs) -> Evidence:
    """The runs of one sweep with its trial and its arms: none and batch, or the first two."""
    if isinstance(runs, Evidence):
        return runs
    kinds = list(dict.fromkeys(runs.runs[NORM])) if NORM in runs.runs else []
    pair = ("none", "batch") if {"none", "batch"} <= set(kinds) else _first_two(kinds)
    given: dict[str, Any] = {item.name: getattr(runs, item.name) for item in fields(Runs)}
    return Evidence(**given, trial=trial_of(runs), baseline=pair[0], arm=pair[1])


def _first_two(kinds: Sequence[str]) -> tuple[str, str]:
    ordered = sorted(kinds, key=lambda kind: kind != "none")
    return (ordered[0], ordered[1]) if len(ordered) > 1 else ("none", "batch")


def trial_of(runs: Runs) -> trials.Trial | None:
    """The trial whose runs these are: of one folder, or of one sweep of a pack; None: no trial."""
    if isinstance(runs, Evidence):
        return runs.trial
    folders = {Path(str(run)).parent for run in runs.runs.index}
    return _read(folders.pop()) if len(folders) == 1 else None


def _read(sweep: Path) -> trials.Trial | None:
    try:
        if pack.is_packed(sweep):
            text = _packed(str(sweep))
            return None if text is None else trials.parsed(text, sweep / trials.FILE)
        return trials.read(sweep)
    except RunError:
        return None


@cache
def _packed(sweep: str) -> str | None:
    return pack.sweep_text(Path(sweep), trials.FILE)
