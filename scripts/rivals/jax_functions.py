"""JAX: functions of lists of arrays, one jitted step a call. Variant scan: many steps a call."""

import os
from typing import Any

import numpy as np

from rivals import layers as of
from rivals import task
from rivals.data import parts
from rivals.layers import Layers, Network, Shape, after, kernel
from rivals.task import Task, asked, go

_ON_IMAGES = ("NHWC", "HWIO", "NHWC")


def main() -> None:
    """The contender."""
    order = asked()
    if order.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp

    chosen = order.task
    data = {
        name: (jnp.asarray(images), jnp.asarray(labels))
        for name, (images, labels) in parts(chosen.network.input_shape).items()
    }
    images, labels = data["train"]
    random = np.random.default_rng(order.seed)
    state = start(chosen, random)
    count = sum(each.size for each in jax.tree.leaves(state[0]))
    step = jax.jit(stepper(chosen), donate_argnums=0)
    scan = jax.jit(scanned(stepper(chosen)), donate_argnums=0)

    def train(steps: int) -> float:
        nonlocal state
        rows = random.integers(0, len(labels), (steps, chosen.batch_size)).astype(np.int32)
        if order.variant == "scan":
            state, loss = scan(state, rows, images, labels)
        else:
            for batch in rows:
                state, loss = step(state, batch, images, labels)
        return float(loss)  # waits for the last step

    predict = jax.jit(lambda state, x: forward(chosen, state[0], state[1], x, None)[0].argmax(1))

    def accuracy(part: str) -> float:
        x, y = data[part]
        hits = [
            (predict(state, x[i : i + 500]) == y[i : i + 500]).sum() for i in range(0, len(y), 500)
        ]
        return int(sum(hits)) / len(y)

    go(order, train, accuracy, count)


def start(chosen: Task, random: np.random.Generator) -> Any:
    """Parameters, moving averages, accumulators and the key of dropout before the first step."""
    import jax
    import jax.numpy as jnp

    network = chosen.network
    params, averages = _initial(network, network.layers, network.input_shape, random)
    slots = jax.tree.map(lambda each: jnp.full_like(each, task.ACCUMULATOR), params)
    return params, averages, slots if chosen.optimizer == "adagrad" else (), jax.random.key(0)


def _initial(
    network: Network, layers: Layers, shape: Shape, random: np.random.Generator
) -> tuple[list[Any], list[Any]]:
    """For each layer its parameters and moving averages, for a join a list for each branch."""
    import jax.numpy as jnp

    params: list[Any] = []
    averages: list[Any] = []
    for layer in layers:
        weights: Any = {}
        average: Any = ()
        if isinstance(layer, of.Join):
            both = [_initial(network, branch, shape, random) for branch in layer.branches]
            weights, average = map(list, zip(*both, strict=True))
        elif isinstance(layer, of.Conv | of.Dense):
            sizes = kernel(layer, shape)
            stddev = network.deviation(int(np.prod(sizes[:-1])))
            weights["w"] = jnp.asarray(random.normal(0, stddev, sizes), jnp.float32)
            weights["beta"] = jnp.zeros(sizes[-1])
            if isinstance(layer, of.Conv) or layer.norm:
                weights["gamma"] = jnp.ones(sizes[-1])
                average = (jnp.zeros(sizes[-1]), jnp.ones(sizes[-1]))
        params.append(weights)
        averages.append(average)
        shape = after(layer, shape)
    return params, averages


def stepper(chosen: Task) -> Any:
    """The function that makes one training step: (state, rows, images, labels) to state, loss."""
    import jax
    import jax.numpy as jnp

    def step(state: Any, rows: Any, images: Any, labels: Any) -> Any:
        params, averages, slots, key = state
        key, now = jax.random.split(key)
        wanted = labels[rows]

        def loss_of(params: Any) -> Any:
            logits, averages_after = forward(chosen, params, averages, images[rows], now)
            likelihoods = jax.nn.log_softmax(logits)
            picked = jnp.take_along_axis(likelihoods, wanted[:, None], 1)
            return -picked.mean(), averages_after

        (loss, averages), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        if chosen.optimizer == "adagrad":
            slots = jax.tree.map(lambda a, g: a + g * g, slots, gradients)
            gradients = jax.tree.map(lambda a, g: g * jax.lax.rsqrt(a), slots, gradients)
        params = jax.tree.map(lambda w, g: w - chosen.lr * g, params, gradients)
        return (params, averages, slots, key), loss

    return step


def scanned(step: Any) -> Any:
    """Many steps, one for each row of `rows`."""
    import jax

    def steps(state: Any, rows: Any, images: Any, labels: Any) -> Any:
        state, losses = jax.lax.scan(lambda now, row: step(now, row, images, labels), state, rows)
        return state, losses[-1]

    return steps


def forward(chosen: Task, params: Any, averages: Any, x: Any, key: Any) -> Any:
    """Logits and new moving averages; without a key for dropout, inference."""
    import jax.numpy as jnp

    network = chosen.network
    x = x.astype(jnp.dtype(chosen.precision))
    return _applied(network, network.layers, params, averages, x, key)


def _applied(
    network: Network, layers: Layers, params: list[Any], averages: list[Any], x: Any, key: Any
) -> tuple[Any, list[Any]]:
    import jax
    import jax.numpy as jnp

    updated = []
    for layer, weights, average in zip(layers, params, averages, strict=True):
        match layer:
            case of.Conv(strides=strides):
                kernel = weights["w"].astype(x.dtype)
                convolution = jax.lax.conv_general_dilated
                x = convolution(x, kernel, (strides,) * 2, "SAME", dimension_numbers=_ON_IMAGES)
                x, average = _normalized(network, weights, average, x, key)
                x = _activated(network, x)
            case of.Dense(logits=True):
                x = x.astype(jnp.float32) @ weights["w"] + weights["beta"]
            case of.Dense(norm=norm):
                x = x @ weights["w"].astype(x.dtype)
                if norm:
                    x, average = _normalized(network, weights, average, x, key)
                else:
                    x = x + weights["beta"].astype(x.dtype)
                x = _activated(network, x)
            case of.Pool():
                x = _pooled(layer, x)
            case of.Join(branches):
                each = zip(branches, weights, average, strict=True)
                both = [_applied(network, *branch, x, key) for branch in each]
                x = jnp.concatenate([maps for maps, _ in both], -1)
                average = [after for _, after in both]
            case of.Average():
                x = x.mean((1, 2))
            case of.Flatten():
                x = x.reshape(len(x), -1)
            case of.Dropout(rate) if key is not None:
                x = jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)
        updated.append(average)
    return x, updated


def _activated(network: Network, x: Any) -> Any:
    import jax

    return jax.nn.relu(x) if network.activation == "relu" else jax.nn.sigmoid(x)


def _normalized(network: Network, weights: Any, average: Any, x: Any, key: Any) -> Any:
    """Batch Normalization as Flax has it: statistics in float32, E[x²] - E[x]²."""
    import jax
    import jax.numpy as jnp

    full = x.astype(jnp.float32)
    if key is None:
        mean, variance = average
    else:
        axes = tuple(range(x.ndim - 1))
        mean = full.mean(axes)
        variance = jnp.maximum((full * full).mean(axes) - mean * mean, 0)
        kept = network.momentum
        average = tuple(
            kept * old + (1 - kept) * new
            for old, new in zip(average, (mean, variance), strict=True)
        )
    scale = weights["gamma"] * jax.lax.rsqrt(variance + of.EPSILON)
    return ((full - mean) * scale + weights["beta"]).astype(x.dtype), average


def _pooled(layer: of.Pool, x: Any) -> Any:
    import jax.numpy as jnp
    from jax import lax

    window, strides = (1, layer.size, layer.size, 1), (1, layer.strides, layer.strides, 1)
    if layer.kind == "max":
        return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "SAME")
    counts = lax.reduce_window(jnp.ones_like(x), 0.0, lax.add, window, strides, "SAME")
    return lax.reduce_window(x, 0.0, lax.add, window, strides, "SAME") / counts


if __name__ == "__main__":
    main()
