"""PyTorch, eager; variant compile: torch.compile. Convolutions in channels last."""

from typing import Any

import numpy as np

from rivals import task
from rivals.task import Asked, asked, go


def main() -> None:
    """The contender."""
    order = asked()
    import torch
    from torch import nn

    torch.set_num_threads(order.threads)
    torch.manual_seed(order.seed)
    data = {
        name: (
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(labels).long(),
        )
        for name, (images, labels) in task.mnist().items()
    }
    model = network(order)
    if order.task.network == "cnn":
        model = model.to(memory_format=torch.channels_last)
        data = {
            name: (images.contiguous(memory_format=torch.channels_last), labels)
            for name, (images, labels) in data.items()
        }
        optimizer: torch.optim.Optimizer = torch.optim.Adagrad(
            model.parameters(), order.task.lr, initial_accumulator_value=task.ACCUMULATOR
        )
    else:
        optimizer = torch.optim.SGD(model.parameters(), order.task.lr)
    forward = torch.compile(model) if order.variant == "compile" else model
    loss_of = nn.CrossEntropyLoss()
    mixed = order.task.precision == "bfloat16"
    images, labels = data["train"]
    random = np.random.default_rng(order.seed)

    def train(steps: int) -> None:
        model.train()
        for _ in range(steps):
            rows = torch.from_numpy(random.integers(0, len(labels), order.batch_size))
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                loss = loss_of(forward(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()

    def accuracy(part: str) -> float:
        x, y = data[part]
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            hits = sum(
                int((model(x[i : i + 500]).argmax(1) == y[i : i + 500]).sum())
                for i in range(0, len(y), 500)
            )
        return hits / len(y)

    go(order, train, accuracy)


def network(order: Asked) -> Any:
    """The network; PyTorch's momentum of averages is 1 minus Keras's."""
    from torch import nn

    kind = order.task.network
    norm = {"momentum": 1 - task.MOMENTUM[kind], "eps": task.EPSILON}
    if kind == "mlp":
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((784, *task.HIDDEN), task.HIDDEN, strict=False):
            layers += [
                nn.Linear(before, after, bias=False),
                nn.BatchNorm1d(after, **norm),
                nn.Sigmoid(),
            ]
        return nn.Sequential(*layers, nn.Linear(task.HIDDEN[-1], 10))
    layers = []
    for before, after in zip((1, *task.FILTERS), task.FILTERS, strict=False):
        layers += [
            nn.Conv2d(before, after, task.KERNEL, padding="same", bias=False),
            nn.BatchNorm2d(after, **norm),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    dense = nn.Linear(7 * 7 * task.FILTERS[-1], task.DENSE)
    layers += [nn.Flatten(), dense, nn.ReLU(), nn.Dropout(1 - task.KEEP), nn.Linear(task.DENSE, 10)]
    return nn.Sequential(*layers)


if __name__ == "__main__":
    main()
