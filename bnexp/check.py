"""Tries an option of your own on a tiny run, with and without its settings, and says what it lacks.

Examples:
    bnexp check norm=my_norm:MyNorm
    bnexp check --config-dir mine model=resnet data=mnist
    bnexp check probes.record=[my_probe:sparsity] metrics=[my_metric:margin]

For each override it is made sure that the option is found, its settings are understood, a network
can be built, ten steps leave a finite loss, a run gives the same numbers twice, and both arms of a
seed start from the same weights. It writes to a temporary folder only.
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from bnexp.command_line import Parser, one_line_errors, use_folders
from bnexp.config import Config, ConfigError, options
from bnexp.config.compose import compose
from bnexp.config.errors import reason
from bnexp.training import backend

SMALL = ("model=mlp", "optimizer=sgd", "init=glorot")
SHORT = ("trainer.steps=10", "trainer.batch_size=32", "trainer.eval_every=5")
FEW = ("data.train_size=320", "data.val_size=64")


def main(given: Sequence[str] | None = None) -> None:
    """The command `bnexp check`."""
    parser = Parser("bnexp check", __doc__)
    parser.add_argument("overrides", nargs="+", help="as for bnexp run")
    parser.add_config_dir()
    with one_line_errors():
        arguments = parser.parse_args(given)
        use_folders(arguments.config_dir)
        if not check(arguments.overrides):
            raise SystemExit(1)


def check(overrides: Sequence[str]) -> bool:
    """Prints a line per thing that was tried; whether all of them hold."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = [*SMALL, *FEW, *SHORT, *overrides, f"output_dir={folder}"]
        config = compose(*_last_of_each(chosen))
        for group, option in config.options.items():
            settings = ", ".join(
                f"{k}={v}" for k, v in {**option.settings, **option.common}.items()
            )
            print(f"{group}={option.kind}: {option.target}({settings})")
        backend.start(None)
        return all(_tried(name, test, config) for name, test in TESTS.items())


def _last_of_each(overrides: Sequence[str]) -> list[str]:
    """Of several values for a key the last, as the user's come after ours."""
    return list({text.partition("=")[0]: text for text in overrides}.values())


def _tried(name: str, test: Callable[[Config], str], config: Config) -> bool:
    try:
        print(f"ok    {name}: {test(config)}", flush=True)
    except Exception as error:  # noqa: BLE001 (whatever the user's code raises is what is asked for)
        print(f"FAILS {name}: {type(error).__name__}: {reason(error)}", flush=True)
        return False
    return True


def _data(config: Config) -> str:
    from bnexp.data.loading import load

    found = load(config.data)
    told = f"{len(found.train)} + {len(found.validation)} + {len(found.test)} images"
    return "; ".join([f"{told} of {found.input_shape}, {found.classes} classes", *found.notes])


def _program(config: Config) -> Any:
    from bnexp.data.loading import load
    from bnexp.training.program import program_for

    return program_for(config, load(config.data))


def _network(config: Config) -> str:
    program = _program(config)
    compiled = "with XLA" if program.hints.jit else "as a graph"
    return f"{program.model.count_params():,} parameters, compiled {compiled}"


def _training(config: Config) -> str:
    """Two runs of the same settings."""
    from bnexp.sweeps.execute import execute

    results = []
    for _ in range(2):
        result = execute(config, signals=False)
        if result["status"] != "finished":
            error = result["error"] or {"message": f"{result['status']} within ten steps"}
            raise ConfigError(error["message"])
        history = (config.sweep_dir / result["run_id"] / "history.csv").read_text(encoding="utf-8")
        results.append([line.rpartition(",")[0] for line in history.splitlines()])
        (config.sweep_dir / result["run_id"] / "result.json").unlink()
    if results[0] != results[1]:
        raise ConfigError("two runs of the same settings gave different numbers")
    return "ten steps, twice, the same numbers to the last bit"


def _same_start(config: Config) -> str:
    """The kernels of the arm without normalization are this arm's."""
    import numpy as np

    from bnexp.networks.initial import kernel_of, weight_layers

    kernels = []
    for arm in (config, _without_norm(config)):
        program = _program(arm)
        program.reset(arm)
        kernels.append([np.array(kernel_of(layer)) for layer in weight_layers(program.model)])
    if len(kernels[0]) != len(kernels[1]):
        raise ConfigError(f"{len(kernels[0])} layers with weights, without norm {len(kernels[1])}")
    if not all(np.array_equal(a, b) for a, b in zip(*kernels, strict=True)):
        raise ConfigError("the arms of a seed start from different kernels")
    return f"the kernels of all {len(kernels[0])} layers are those of norm=none"


def _without_norm(config: Config) -> Config:
    from dataclasses import replace

    return replace(config, norm=options.named_option("norm", "none"))


TESTS: dict[str, Callable[[Config], str]] = {
    "data": _data,
    "network": _network,
    "training": _training,
    "arms": _same_start,
}
