"""Runs of equal shape as one batched program, for hardware that one small network leaves idle.

A group's runs have variables of their own, as if each were alone. In every step they are stacked
along a new first axis, loss and gradients are taken for all at once (`tf.vectorized_map`), and each
run's optimizer then updates what is its own. Numbers are those of single runs within rounding.
"""

import time
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from bnexp.config import Config
from bnexp.data import Dataset
from bnexp.training.backend import compiled, has_gpu
from bnexp.training.calls import Call, Steps
from bnexp.training.evaluation import Evaluator
from bnexp.training.program import Program, program_for, program_key


class Group:
    """A compiled program that trains several runs of one shape.

    Args:
        config: of any of the runs.
        dataset: theirs.
        size: how many they are.

    Attributes:
        members: a program for each run.
    """

    def __init__(self, config: Config, dataset: Dataset, size: int) -> None:
        self._network = program_for(config, dataset)
        self._network.reset(config)  # its values as built are taken down before others come in
        self.members = [Member(config, dataset, self) for _ in range(size)]
        self._steps = compiled(self._many_steps, jit=self._network.hints.jit)

    @property
    def compilations(self) -> int:
        """How often the functions that the runs share have been compiled."""
        return self._network.compilations + self._steps.experimental_get_tracing_count()

    def evaluator(self, state: list[np.ndarray]) -> Evaluator:
        """Tests the network of a run in this state."""
        self._network.restore(state)
        return self._network.evaluate

    def train(self, calls: Mapping[int, Call]) -> dict[int, Steps]:
        """Makes as many steps as every run asks for that asks, by the run's place in the group.

        The places of the others compute on, at a rate of 0, what nobody reads.
        """
        began = time.perf_counter()
        any_call = next(iter(calls.values()))
        idle = tuple(np.zeros_like(array) for array in any_call.inputs())
        inputs = [calls[k].inputs() if k in calls else idle for k in range(len(self.members))]
        stacked = [tf.constant(np.stack(arrays)) for arrays in zip(*inputs, strict=True)]
        count = min(call.count for call in calls.values())
        made, sums, last = self._steps(*any_call.train, *stacked, tf.constant(count, tf.int32))
        diverged = ~np.isfinite(last.numpy())
        share = (time.perf_counter() - began) / len(calls)
        return {
            k: Steps(call.start + int(made[k]), sums.numpy()[k], bool(diverged[k]), share)
            for k, call in calls.items()
        }

    def _many_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        rows: tf.Tensor,  # (runs, steps, batch)
        rates: tf.Tensor,  # (runs, steps)
        start: tf.Tensor,  # (runs,), as all that follow
        weight_decay: tf.Tensor,
        augmentation: tf.Tensor,
        loss_sums: tf.Tensor,
        count: tf.Tensor,  # ()
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def one_step(
            done: tf.Tensor, made: tf.Tensor, loss_sums: tf.Tensor, last: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            steps = start + done
            batch = (tf.gather(images, rows[:, done]), tf.gather(labels, rows[:, done]))
            losses = self._step(batch, rates[:, done], steps, weight_decay, augmentation)
            going = tf.math.is_finite(last)  # what has diverged is as it was
            last = tf.where(going, losses, last)
            return (
                done + 1,
                made + tf.cast(going, tf.int32),
                tf.where(going, loss_sums + losses, loss_sums),
                last,
            )

        none = tf.zeros_like(start)
        _, *found = tf.while_loop(
            lambda done, made, sums, last: (done < count) & tf.reduce_any(tf.math.is_finite(last)),
            one_step,
            (tf.constant(0), none, loss_sums, tf.cast(none, tf.float32)),
        )
        return tuple(found)

    def _step(
        self,
        batch: tuple[tf.Tensor, tf.Tensor],
        rates: tf.Tensor,
        steps: tf.Tensor,
        weight_decay: tf.Tensor,
        augmentation: tf.Tensor,
    ) -> tf.Tensor:
        """One step of every run; their losses (runs,)."""
        variables = [member.model.variables for member in self.members]
        stacked = [tf.stack([one.value for one in row]) for row in zip(*variables, strict=True)]
        seeds = tf.stack([augmentation, steps], axis=1)
        losses, gradients, moved = tf.vectorized_map(
            self._of_one_run, (stacked, *batch, seeds, weight_decay), warn=False
        )
        for k, member in enumerate(self.members):
            others = member.model.non_trainable_variables
            for variable, values in zip(others, moved, strict=True):
                variable.assign(values[k])
            member.update([gradient[k] for gradient in gradients], rates[k], steps[k])
        return losses

    def _of_one_run(
        self, given: tuple[list[tf.Tensor], tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """A run's loss, gradients, and what its network's other variables become.

        Args:
            given: the values of its variables, images, labels, seed of augmentation, weight decay.
        """
        values, *inputs = given
        model = self._network.model
        with keras.StatelessScope(zip(model.variables, values, strict=True)) as scope:
            weights = [scope.get_current_value(one) for one in model.trainable_variables]
            loss, gradients = self._network.gradients(weights, *inputs)
            moved = [scope.get_current_value(one) for one in model.non_trainable_variables]
        return loss, gradients, moved


class Member(Program):
    """The network and optimizer's state of one run in a group, which computes for it."""

    def __init__(self, config: Config, dataset: Dataset, group: Group) -> None:
        super().__init__(config, dataset)
        self._group = group

    @property
    def together(self) -> int:  # type: ignore[override]
        return len(self._group.members)

    @property
    def evaluate(self) -> Evaluator:
        """The group's, compiled once for all, with the state of this run."""
        return self._group.evaluator(self.state())

    @property
    def compilations(self) -> int:
        return self._group.compilations


def pays(config: Config, dataset: Dataset) -> bool:
    """Whether runs are together unless asked: dense networks on a GPU, which one leaves idle.

    Convolutions are computed run by run even then.
    """
    return has_gpu() and program_for(config, dataset).hints.jit


_groups: dict[tuple[str, int], Group] = {}  # the latest alone: it has several networks


def group_for(config: Config, dataset: Dataset, size: int) -> Group:
    """The group for so many runs of a shape, from this process's cache if it came just before."""
    key = (program_key(config, dataset), size)
    if key not in _groups:
        _groups.clear()
        _groups[key] = Group(config, dataset, size)
    return _groups[key]
