"""PyTorch, eager. Variants: channels_last, and compile (torch.compile, channels last too)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rivals import layers as of
from rivals import task
from rivals.data import parts
from rivals.layers import Layer, Layers, Network, Shape, after
from rivals.task import Task, asked, go


def main() -> None:
    """The contender."""
    order = asked()
    import torch
    from torch import nn

    torch.set_num_threads(order.threads)
    torch.manual_seed(order.seed)
    channels_last = bool(order.variant)
    data = {
        name: (pixels(images, channels_last), torch.from_numpy(labels).long())
        for name, (images, labels) in parts(order.task.network.input_shape).items()
    }
    model = built(order.task.network)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(order.task, model)
    forward = torch.compile(model) if order.variant == "compile" else model
    loss_of = nn.CrossEntropyLoss()
    mixed = order.task.precision == "bfloat16"
    images, labels = data["train"]
    random = np.random.default_rng(order.seed)

    def train(steps: int) -> float:
        model.train()
        for _ in range(steps):
            rows = torch.from_numpy(random.integers(0, len(labels), order.task.batch_size))
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                batch = images[rows].permute(0, 3, 1, 2) if channels_last else images[rows]
                loss = loss_of(forward(batch), labels[rows])
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    def accuracy(part: str) -> float:
        x, y = data[part]
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            hits = 0
            for i in range(0, len(y), 500):
                batch = x[i : i + 500].permute(0, 3, 1, 2) if channels_last else x[i : i + 500]
                hits += int((model(batch).argmax(1) == y[i : i + 500]).sum())
        return hits / len(y)

    go(order, train, accuracy, sum(each.numel() for each in model.parameters()))


def pixels(images: np.ndarray, channels_last: bool) -> Any:
    """Images as they lie in memory: (n, height, width, channels), or channels first."""
    import torch

    found = torch.from_numpy(images)
    return found if channels_last else found.permute(0, 3, 1, 2).contiguous()


def optimizer_of(chosen: Task, model: Any) -> Any:
    """SGD or Adagrad in the form that updates a parameter in one kernel."""
    from torch import optim

    if chosen.optimizer == "sgd":
        return optim.SGD(model.parameters(), chosen.lr, fused=True)
    given = {"initial_accumulator_value": task.ACCUMULATOR, "fused": True}
    return optim.Adagrad(model.parameters(), chosen.lr, **given)


def built(network: Network) -> Any:
    """The network; convolutions of stride 2 pad on both sides, where TensorFlow pads on one."""
    return _sequence(network, network.layers, network.input_shape)


def _sequence(network: Network, layers: Layers, shape: Shape) -> Any:
    from torch import nn

    modules: list[Any] = []
    for layer in layers:
        modules += _modules(network, layer, shape)
        shape = after(layer, shape)
    return nn.Sequential(*modules)


def _modules(network: Network, layer: Layer, shape: Shape) -> Iterator[Any]:
    from torch import nn

    # PyTorch's momentum of averages is 1 minus Keras's
    norm = {"momentum": 1 - network.momentum, "eps": of.EPSILON}
    match layer:
        case of.Conv(maps, size, strides):
            conv = nn.Conv2d(shape[-1], maps, size, strides, size // 2, bias=False)
            yield _initialized(network, conv)
            yield nn.BatchNorm2d(maps, **norm)
            yield _activation(network)
        case of.Dense(units, logits=True):
            yield nn.Linear(shape[0], units)
        case of.Dense(units, normalized):
            yield _initialized(network, nn.Linear(shape[0], units, bias=not normalized))
            if normalized:
                yield nn.BatchNorm1d(units, **norm)
            yield _activation(network)
        case of.Pool("max", size, strides):
            yield nn.MaxPool2d(size, strides, (size - 1) // 2)
        case of.Pool("average", size, strides):
            yield nn.AvgPool2d(size, strides, (size - 1) // 2, count_include_pad=False)
        case of.Join(branches):
            yield _joined([_sequence(network, branch, shape) for branch in branches])
        case of.Average():
            yield nn.AdaptiveAvgPool2d(1)
            yield nn.Flatten()
        case of.Flatten():
            yield nn.Flatten()
        case of.Dropout(rate):
            yield nn.Dropout(rate)


def _joined(branches: list[Any]) -> Any:
    import torch
    from torch import nn

    class Join(nn.Module):
        """Feature maps of all branches."""

        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x: Any) -> Any:
            return torch.cat([branch(x) for branch in self.branches], 1)

    return Join()


def _activation(network: Network) -> Any:
    from torch import nn

    return nn.ReLU(inplace=True) if network.activation == "relu" else nn.Sigmoid()


def _initialized(network: Network, layer: Any) -> Any:
    from torch import nn

    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=network.deviation(fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


if __name__ == "__main__":
    main()
