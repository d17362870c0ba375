"""Where a run's seconds go: a stopwatch for its parts, always on (about a microsecond a block).

Of a run that was interrupted and resumed it tells the last start alone. Not named profile.py: the
standard library has a module of that name.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

Part = Literal[
    "import",  # of TensorFlow and Keras, by the first run of a process
    "load",  # reading the data, and handing it to TensorFlow
    "compile",  # building the network, and every call that compiled, with what else it did
    "train",  # training steps; train_seconds of result.json, but since this start alone
    "evaluate",  # validations, the test, exact population statistics
    "probe",  # what is recorded inside the network
    "checkpoint",  # reading and writing the state
    "write",  # lines of the log and all files but result.json, which comes when this is told
    "other",  # the rest: initial weights, the run's id, locks, the progress bar
]


class Stopwatch:
    """Charges every moment since it was made to exactly one part of a run.

    Within `with watch("train"):` time is training's, but for what further such blocks in it
    take up; outside all blocks it is `other`. So the parts always add up to the total.

    Args:
        clock: seconds from any origin.

    Attributes:
        compiled: whether anything was compiled.
        steps: training steps made.
        first_step: seconds until the end of the call that made the first ones; None: none yet.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start = self._since = clock()
        self._part: Part = "other"
        self._seconds: dict[str, float] = dict.fromkeys(get_args(Part), 0.0)
        self.compiled = False
        self.steps = 0
        self.first_step: float | None = None

    @contextmanager
    def __call__(self, part: Part) -> Iterator[None]:
        """Times a block as a part of the run."""
        outer = self._part
        self._turn_to(part)
        try:
            yield
        finally:
            self._turn_to(outer)

    def _turn_to(self, part: Part) -> None:
        now = self._clock()
        self._seconds[self._part] += now - self._since
        self._since, self._part = now, part

    def note_compiled(self) -> None:
        """Makes the present block `compile`: that a call compiles shows only after it."""
        self.compiled = True
        self._part = "compile"

    def note_steps(self, steps: int) -> None:
        """Takes how many training steps were just made."""
        if steps and self.first_step is None:
            self.first_step = self._clock() - self._start
        self.steps += steps

    def profile(self) -> dict[str, Any]:
        """The content of profile.json, up to now: the parts' seconds, their sum, and counts."""
        self._turn_to(self._part)
        return {
            **self._seconds,
            "total": sum(self._seconds.values()),
            "steps": self.steps,
            "compiled": self.compiled,
            "first_step": self.first_step,
        }
