"""Records the probes of a run, without changing its training by a bit."""

import importlib
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from bnexp import schedules
from bnexp.config import Config, ConfigError
from bnexp.config.options import load
from bnexp.config.schema import part_target
from bnexp.config.signature import split_target
from bnexp.data import Dataset
from bnexp.probes import Row
from bnexp.probes.scene import Scene
from bnexp.probes.views import Views
from bnexp.training.program import Program

_views: weakref.WeakKeyDictionary[Program, Views] = weakref.WeakKeyDictionary()


class Recorder:
    """The probes of one run.

    Args:
        config: the run.
        program: its network.
        dataset: its images.
        memory: what the probes keep from one step to the next; of a run that goes on, what it
            kept before. It is changed in place.

    Raises:
        ConfigError: a probe cannot be had, or is not defined for this network.
    """

    def __init__(
        self, config: Config, program: Program, dataset: Dataset, memory: dict[str, Any]
    ) -> None:
        self._config, self._program = config, program
        self._dataset, self._memory = dataset, memory
        targets = [part_target("probes", word) for word in config.probes.record]
        self._probes = {target: load(target) for target in targets}
        for target in targets:
            check = getattr(importlib.import_module(split_target(target)[0]), "check", None)
            if check is not None:
                check(config)

    def is_due(self, step: int) -> bool:
        """Whether to record at this step, which is 0 or that of an evaluation."""
        if not self._probes:
            return False
        every = self._config.probes.every
        return every is None or step % every == 0 or step == self._config.trainer.steps

    def record(self, step: int) -> list[dict[str, Any]]:
        """The rows of probes.csv for the network as it stands after so many steps."""
        if self._program not in _views:
            _views[self._program] = Views(self._program.model, self._config.trainer.batch_size)
        views, images = _views[self._program], self._config.probes.images
        rates = self._rate(step), self._program.rate_factor
        scene = Scene(views, self._dataset, images, self._memory, step, *rates)
        found = []
        for target, probe in self._probes.items():
            # each by itself: what one moves, the next must not see
            with views.undisturbed(), np.errstate(all="ignore"):  # not finite: an empty cell
                found += [{"step": step, **row._asdict()} for row in _rows(target, probe(scene))]
        return found

    def _rate(self, step: int) -> float:
        """The learning rate of the next step; after the last step, that step's."""
        config, steps = self._config, self._config.trainer.steps
        next_step = min(step, steps - 1)
        [rate] = schedules.rates(config.optimizer, config.schedule, next_step, 1, steps)
        return float(rate)


def _rows(target: str, rows: Iterable[Any] | None) -> Iterator[Row]:
    if rows is None:
        raise ConfigError(f"{target}: a probe yields bnexp.probes.Row, and this returns nothing")
    for row in rows:
        if not (isinstance(row, tuple) and len(row) == len(Row._fields)):
            raise ConfigError(f"{target}: a probe yields bnexp.probes.Row, not {row!r:.80}")
        probe, layer, statistic, value = row
        yield Row(str(probe), str(layer), str(statistic), float(value))
