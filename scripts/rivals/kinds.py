"""All contenders by name: what each is, where it fits, and how it is started."""

import importlib.util
import shutil
import sys
from dataclasses import dataclass, replace

from rivals.task import TASKS

OURS = "bnexp"


@dataclass(frozen=True)
class Kind:
    """What a contender is.

    Attributes:
        module: in this folder.
        variant: of the module.
        package: that it needs.
        precisions: that it can train in.
        always: a precision that it trains in whatever the workload's.
        images: it is for convolutional networks only.
        most: steps of a turn.
        most_on_images: the same in convolutional networks.
    """

    module: str
    variant: str = ""
    package: str = "tensorflow"
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    always: str = ""
    images: bool = False
    most: int = 1_000_000
    most_on_images: int = 1_000_000

    def task(self, workload: str) -> str:
        """The task that it is given in this workload."""
        return workload.removesuffix("-bfloat16") if self.always == "float32" else workload

    def steps(self, workload: str, usual: int) -> int:
        """Of one turn."""
        on_images = TASKS[workload].network.convolutional
        return min(usual, self.most, self.most_on_images if on_images else usual)


KINDS = {
    OURS: Kind("ours"),
    "Keras fit": Kind("keras_fit"),
    "Keras fit, jit": Kind("keras_fit", "jit"),
    "PyTorch": Kind("pytorch", package="torch"),
    "PyTorch, channels last": Kind("pytorch", "channels_last", "torch", images=True),
    "PyTorch, compiled": Kind("pytorch", "compile", "torch"),
    "JAX": Kind("jax_functions", package="jax"),
    # XLA's convolutions in a loop on the CPU are slow: https://github.com/jax-ml/jax/issues/12868
    "JAX, scan": Kind("jax_functions", "scan", "jax", most_on_images=2),
    "TF 1 style": Kind("tf1", precisions=("float32",)),
}
RIVALS = tuple(name for name in KINDS if name != OURS)
PEAK = "matrix product"
KINDS[PEAK] = Kind("peak", most=10)


def in_float32(name: str) -> str:
    """The contender that trains in float32 beside others in bfloat16."""
    return f"{name}, float32"


KINDS |= {
    in_float32(name): replace(KINDS[name], always="float32")
    for name in RIVALS
    if name.startswith(("Keras", "PyTorch"))
}
EVERY_RIVAL = tuple(name for name in KINDS if name not in (OURS, PEAK))


def fits(name: str, workload: str) -> bool:
    """Whether it makes sense to time this contender in this workload."""
    kind, task = KINDS[name], TASKS[workload]
    return (task.network.convolutional or not kind.images) and kind.always != task.precision


def missing(name: str, precision: str) -> str:
    """Why a contender cannot take part; empty if it can."""
    kind = KINDS[name]
    if precision not in kind.precisions:
        return f"not in {precision}"
    if importlib.util.find_spec(kind.package) is None:
        return f"{kind.package} is not installed"
    if kind.variant == "compile" and shutil.which("g++") is None:
        return "torch.compile needs g++"
    return ""


def command(name: str, workload: str, threads: int, *more: str) -> list[str]:
    """How a contender is started."""
    kind = KINDS[name]
    variant = ["--variant", kind.variant] if kind.variant else []
    module = [sys.executable, "-m", f"rivals.{kind.module}"]
    return [*module, kind.task(workload), "--threads", str(threads), *variant, *more]
