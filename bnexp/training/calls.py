"""What a run asks of the compiled program, and what comes back: the seam between the two.

A run is a generator: it yields a `Call` wherever it needs training steps, and is sent the `Steps`
made. So the same run trains alone or in step with others (`bnexp.training.together`).
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bnexp import schedules
from bnexp.config import Config
from bnexp.training.interrupt import Interrupted
from bnexp.training.seeds import stream_seed

if TYPE_CHECKING:  # which import TensorFlow
    import tensorflow as tf

    from bnexp.training.batches import BatchOrder
    from bnexp.training.program import Program


@dataclass(frozen=True)
class Steps:
    """What a call of the training program comes back with.

    Attributes:
        end: steps made since the start of the run.
        loss_sum: of the steps since it was last set to 0.
        diverged: the last step's loss was not finite.
        seconds: that the call took; of a call for several runs, a run's equal share.
    """

    end: int
    loss_sum: np.float32
    diverged: bool
    seconds: float


@dataclass(frozen=True)
class Call:
    """Training steps that a run asks for: up to `count` after the first `start`.

    Attributes:
        program: of the run.
        train: images and labels on the device.
        order: the run's batches.
        config: its learning rate, schedule, weight decay and seed.
        start: steps made so far.
        count: at most the program's `steps_per_call`; 0 compiles and does nothing else.
        loss_sum: added to, in the order of the steps, however they are cut into calls.
    """

    program: "Program"
    train: "tuple[tf.Tensor, tf.Tensor]"
    order: "BatchOrder"
    config: Config
    start: int
    count: int
    loss_sum: np.float32

    def inputs(self) -> tuple[np.ndarray | np.generic, ...]:
        """Image numbers (steps, batch) and learning rates (steps,) of each step; and of the run
        the steps made, the weight decay, the stream of augmentation, and the sum of losses."""
        length, optimizer = self.program.steps_per_call, self.config.optimizer
        rows = np.zeros((length, self.order.batch_size), np.int32)
        rates = np.zeros(length, np.float32)
        if self.count:
            rows[: self.count] = self.order.rows(self.start, self.count)
            rates[: self.count] = schedules.rates(
                optimizer, self.config.schedule, self.start, self.count, self.config.trainer.steps
            )
        return (
            rows,
            rates,
            np.int32(self.start),
            np.float32(optimizer.common.get("weight_decay", 0.0)),
            np.int32(stream_seed(self.config.seed, "augmentation", 0)),
            np.float32(self.loss_sum),
        )


T = TypeVar("T")
Run = Generator[Call, Steps, T]


def alone(run: Run[T]) -> T:
    """Answers each of a run's calls by its own program; returns what the run comes to."""
    go_on: Callable[[], Call] = partial(next, run)
    with closing(run):  # whatever ends it, it lets go of its files
        while True:
            try:
                call = go_on()
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                go_on = partial(run.send, call.program.train(call))
            except Exception as error:  # noqa: BLE001 (the run's to deal with)
                go_on = partial(run.throw, error)


def in_step(
    runs: Sequence[Run[T]], train: Callable[[Mapping[int, Call]], Mapping[int, Steps]]
) -> list[T]:
    """Answers the calls of all runs at once, until the last has ended; what each comes to.

    Args:
        runs: those of a group.
        train: makes the steps that some of them ask for, by their place.

    Raises:
        Interrupted: somebody asked to stop; every run has saved its state.
        Exception: of one of the runs or of the program; the runs that have not ended are closed.
    """
    ended: dict[int, T] = {}
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(closing(run))
        answers: dict[int, Steps | None] = dict.fromkeys(range(len(runs)))
        while answers:
            calls = _next_calls(runs, answers, ended)
            answers = dict(train(calls)) if calls else {}
    return [ended[k] for k in range(len(runs))]


def _next_calls(
    runs: Sequence[Run[T]], answers: Mapping[int, Steps | None], ended: dict[int, T]
) -> dict[int, Call]:
    """Hands runs what they asked for; what they ask for next, and those that end into `ended`."""
    calls: dict[int, Call] = {}
    stop: Interrupted | None = None
    for k, steps in answers.items():
        try:
            calls[k] = next(runs[k]) if steps is None else runs[k].send(steps)
        except StopIteration as end:
            ended[k] = end.value
        except Interrupted as heard:  # the others hear it too, or are told below
            stop = heard
    if stop:
        for k in calls:
            with suppress(Interrupted):
                runs[k].throw(stop)
        raise stop
    return calls
