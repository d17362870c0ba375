"""The compiled training program of a network: many steps in one call.

Everything in which runs of one network differ (seed, weights, learning rate, data) is a
variable or an argument, so that a process compiles a network once and trains it many times.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from bnexp.config import Config
from bnexp.config.identity import shape
from bnexp.config.options import load
from bnexp.config.schema import part_target
from bnexp.data import Dataset
from bnexp.networks.hints import hints
from bnexp.networks.initial import kernels
from bnexp.optimizers.updater import updater_for
from bnexp.training.backend import compiled
from bnexp.training.batches import scaled
from bnexp.training.calls import Call, Steps
from bnexp.training.evaluation import Evaluator, Metric
from bnexp.training.network import build_model, start


class Program:
    """A network with its optimizer's state, and the compiled functions on them.

    Args:
        config: read for what shapes the computation; see `program_for`.
        dataset: its shapes and number of classes.

    Attributes:
        together: how many runs train in step with this one, itself included.
    """

    together = 1

    def __init__(self, config: Config, dataset: Dataset) -> None:
        self.model = build_model(config, dataset.input_shape, dataset.classes)
        self.hints = hints(config.model.load(), self.model)
        self.steps_per_call = self.hints.steps_per_call
        self._trained = [variable.value for variable in self.model.trainable_variables]
        drawn = {id(kernel.value) for kernel in kernels(self.model)}
        self._is_kernel = [id(variable) in drawn for variable in self._trained]
        self._updater = updater_for(config.optimizer, self.model)
        self._decays_weights = config.optimizer.common.get("weight_decay", 0) > 0
        self._augment = _augmentation(config)
        jit = self.hints.jit
        self._steps = compiled(self._many_steps, jit=jit)
        batch, metrics = self.hints.eval_batch, metrics_of(config)
        self._evaluator = Evaluator(self.model, jit=jit, batch=batch, metrics=metrics)

    @property
    def evaluate(self) -> Evaluator:
        """Tests the network as it stands."""
        return self._evaluator

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

    def rate_factor(self, variable: keras.Variable) -> float:
        """How many times the schedule's learning rate the optimizer steps a variable by."""
        found = getattr(self._updater, "rate_factor", None)
        return 1.0 if found is None else float(found(variable))

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

    def train(self, call: Call) -> Steps:
        """Makes the steps asked for; fewer if the loss is not finite.

        Compiles at the first call.
        """
        began = time.perf_counter()
        count = tf.constant(call.count, tf.int32)
        done, total, last = self._steps(*call.train, *map(tf.constant, call.inputs()), count)
        end, diverged = call.start + int(done), not np.isfinite(last.numpy())
        return Steps(end, total.numpy(), diverged, time.perf_counter() - began)

    def _many_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        rows: tf.Tensor,
        rates: tf.Tensor,
        start: tf.Tensor,
        weight_decay: tf.Tensor,
        augmentation: tf.Tensor,
        loss_sum: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        def one_step(
            done: tf.Tensor, loss_sum: tf.Tensor, _: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            step = start + done
            seed = tf.stack([augmentation, step])
            batch = (tf.gather(images, rows[done]), tf.gather(labels, rows[done]))
            loss, gradients = self.gradients(self._trained, *batch, seed, weight_decay)
            self.update(gradients, rates[done], step)
            return done + 1, loss_sum + loss, loss

        return tf.while_loop(
            lambda done, _, last: (done < count) & tf.math.is_finite(last),
            one_step,
            (tf.constant(0), loss_sum, tf.constant(0.0)),
        )

    def gradients(
        self,
        weights: Sequence[tf.Variable | tf.Tensor],
        images: tf.Tensor,
        labels: tf.Tensor,
        seed: tf.Tensor,
        weight_decay: tf.Tensor,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The loss of a batch and its gradients, with weight decay; moves statistics.

        Args:
            weights: what the network trains at present.
            images, labels: the batch.
            seed: of augmentation, (2,) int32.
            weight_decay: its factor.
        """
        inputs = scaled(images)
        if self._augment:
            inputs = self._augment(inputs, seed)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits = self.model(inputs, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
            penalties = self.model.losses  # of the network's own regularizers
            objective = tf.add_n([loss, *penalties]) if penalties else loss
        gradients = tape.gradient(objective, weights, unconnected_gradients="zero")
        if self._decays_weights:
            gradients = self._with_weight_decay(weights, gradients, weight_decay)
        return loss, gradients

    def _with_weight_decay(
        self,
        weights: Sequence[tf.Variable | tf.Tensor],
        gradients: list[tf.Tensor],
        weight_decay: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Adds the gradient of weight_decay / 2 * |W|^2, kernels only."""
        return [
            gradient + weight_decay * weight if is_kernel else gradient
            for weight, gradient, is_kernel in zip(weights, gradients, self._is_kernel, strict=True)
        ]

    def update(self, gradients: Sequence[tf.Tensor], lr: tf.Tensor, step: tf.Tensor) -> None:
        """One step of the optimizer."""
        self._updater.apply(gradients, lr, step)


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
    key = program_key(config, dataset)
    if key not in _programs:
        while len(_programs) >= _KEPT_PROGRAMS:
            _programs.popitem(last=False)
        _programs[key] = Program(config, dataset)
    _programs.move_to_end(key)
    return _programs[key]


def program_key(config: Config, dataset: Dataset) -> str:
    """What is equal for runs that can share a program."""
    return json.dumps([shape(config), *dataset.signature])
