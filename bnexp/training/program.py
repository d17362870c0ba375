"""The compiled training program of a network: many steps in one call.

Everything in which runs of one network differ (seed, weights, learning rate, data) is a
variable or an argument, so that a process compiles a network once and trains it many times.
"""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from bnexp import schedules
from bnexp.config import Config
from bnexp.config.identity import shape
from bnexp.config.options import load
from bnexp.config.schema import part_target
from bnexp.data import Dataset
from bnexp.networks.hints import hints
from bnexp.networks.initial import kernels
from bnexp.optimizers.updater import updater_for
from bnexp.training.backend import compiled
from bnexp.training.batches import BatchOrder, scaled
from bnexp.training.evaluation import Evaluator, Metric
from bnexp.training.network import build_model, start
from bnexp.training.seeds import stream_seed


@dataclass(frozen=True)
class Steps:
    """What a call of the training program comes back with.

    Attributes:
        end: steps made since the start of the run.
        loss_sum: of the steps since it was last set to 0.
        diverged: the last step's loss was not finite.
    """

    end: int
    loss_sum: np.float32
    diverged: bool


class Program:
    """A network with its optimizer's state, and the compiled functions on them.

    Args:
        config: read for what shapes the computation; see `program_for`.
        dataset: its shapes and number of classes.
    """

    def __init__(self, config: Config, dataset: Dataset) -> None:
        self.model = build_model(config, dataset.input_shape, dataset.classes)
        self.hints = hints(config.model.load(), self.model)
        self.steps_per_call = self.hints.steps_per_call
        self._trained = [variable.value for variable in self.model.trainable_variables]
        self._kernels = {id(kernel.value) for kernel in kernels(self.model)}
        self._updater = updater_for(config.optimizer, self.model.trainable_variables)
        self._decays_weights = config.optimizer.common.get("weight_decay", 0) > 0
        self._augment = _augmentation(config)
        jit = self.hints.jit
        self._steps = compiled(self._many_steps, jit=jit)
        batch, metrics = self.hints.eval_batch, metrics_of(config)
        self.evaluate = Evaluator(self.model, jit=jit, batch=batch, metrics=metrics)

    def reset(self, config: Config) -> None:
        """Sets weights, statistics and optimizer to the start of this run."""
        start(self.model, config)
        self._updater.reset()

    @property
    def compilations(self) -> int:
        """How often the functions on the network have been compiled."""
        return self._steps.experimental_get_tracing_count() + self.evaluate.compilations

    @property
    def _variables(self) -> list[tf.Variable]:
        return [variable.value for variable in self.model.variables] + self._updater.state

    def state(self) -> list[np.ndarray]:
        """Everything that training changes, in a fixed order."""
        return [variable.numpy() for variable in self._variables]

    def restore(self, state: list[np.ndarray]) -> None:
        """Sets what `state` gave.

        Raises:
            ValueError: the state is of another network or optimizer.
        """
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def train(
        self,
        train: tuple[tf.Tensor, tf.Tensor],
        order: BatchOrder,
        config: Config,
        start: int,
        count: int,
        loss_sum: np.float32,
    ) -> Steps:
        """Makes up to `count` steps after the first `start`; fewer if the loss is not finite.

        Compiles at the first call; `count=0` does nothing else.

        Args:
            train: images and labels on the device.
            order: the run's batches.
            config: its learning rate, schedule, weight decay and seed.
            start: steps made so far.
            count: at most `steps_per_call`.
            loss_sum: added to, in the order of the steps, however they are cut into calls.
        """
        rows = np.zeros((self.steps_per_call, order.batch_size), np.int32)
        rates = np.zeros(self.steps_per_call, np.float32)
        if count:
            rows[:count] = order.rows(start, count)
            optimizer, schedule = config.optimizer, config.schedule
            rates[:count] = schedules.rates(optimizer, schedule, start, count, config.trainer.steps)
        done, total, last = self._steps(
            *train,
            tf.constant(rows),
            tf.constant(rates),
            tf.constant(start, tf.int32),
            tf.constant(count, tf.int32),
            tf.constant(config.optimizer.common.get("weight_decay", 0.0), tf.float32),
            tf.constant(stream_seed(config.seed, "augmentation", 0), tf.int32),
            tf.constant(loss_sum, tf.float32),
        )
        return Steps(start + int(done), total.numpy(), not np.isfinite(last.numpy()))

    def _many_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        rows: tf.Tensor,
        rates: tf.Tensor,
        start: tf.Tensor,
        count: tf.Tensor,
        weight_decay: tf.Tensor,
        augmentation: tf.Tensor,
        loss_sum: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def one_step(
            done: tf.Tensor, loss_sum: tf.Tensor, _: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            batch = rows[done]
            step = start + done
            inputs = scaled(tf.gather(images, batch))
            if self._augment:
                inputs = self._augment(inputs, tf.stack([augmentation, step]))
            with tf.GradientTape() as tape:
                logits = self.model(inputs, training=True)
                wanted = tf.gather(labels, batch)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
                loss = tf.reduce_mean(losses)
                penalties = self.model.losses  # of the network's own regularizers
                objective = tf.add_n([loss, *penalties]) if penalties else loss
            gradients = tape.gradient(objective, self._trained, unconnected_gradients="zero")
            if self._decays_weights:
                gradients = self._with_weight_decay(gradients, weight_decay)
            self._updater.apply(gradients, rates[done], step)
            return done + 1, loss_sum + loss, loss

        return tf.while_loop(
            lambda done, _, last: (done < count) & tf.math.is_finite(last),
            one_step,
            (tf.constant(0), loss_sum, tf.constant(0.0)),
        )

    def _with_weight_decay(
        self, gradients: list[tf.Tensor], weight_decay: tf.Tensor
    ) -> list[tf.Tensor]:
        """Adds the gradient of weight_decay / 2 * |W|^2, kernels only."""
        return [
            gradient + weight_decay * variable if id(variable) in self._kernels else gradient
            for gradient, variable in zip(gradients, self._trained, strict=True)
        ]


def metrics_of(config: Config) -> dict[str, Metric]:
    """The further metrics of a run, by the name that their columns end in."""
    return {metric_name(word): load(part_target("metrics", word)) for word in config.metrics}


def metric_name(word: str) -> str:
    """What the columns of a metric end in, for a name or `module:function`."""
    return word.rpartition(":")[2]


def _augmentation(config: Config) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    common = config.data.common
    flip, crop = common.get("flip", False), common.get("crop", 0)
    if not (flip or crop):
        return None
    from bnexp.data.augment import augment

    return lambda images, seed: augment(images, seed, flip=flip, crop=crop)


# Compiled programs stay in memory; a sweep over networks keeps the latest few.
_KEPT_PROGRAMS = 4
_programs: OrderedDict[str, Program] = OrderedDict()


def program_for(config: Config, dataset: Dataset) -> Program:
    """The program for a run, from this process's cache if a run of its shape came before."""
    key = json.dumps([shape(config), *dataset.signature])
    if key not in _programs:
        while len(_programs) >= _KEPT_PROGRAMS:
            _programs.popitem(last=False)
        _programs[key] = Program(config, dataset)
    _programs.move_to_end(key)
    return _programs[key]
