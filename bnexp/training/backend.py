"""Starts TensorFlow: how many threads, deterministic kernels, and a clean terminal."""

import functools
import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnexp.config.errors import ConfigError

# What TensorFlow tells on every start on a machine without a GPU. Errors and anything else
# still reach the terminal.
_NOISE = re.compile(rb"^[IW]\d{4} |^WARNING: All log messages before absl|CUDA error: Failed call")

VECTOR_UNITS = (("avx512f", "AVX-512"), ("avx2", "AVX2"))  # widest first

ADDRESS_SPACE = 3_000_000_000  # bytes that importing it maps, and a small run takes; as tried

_started_with: int | None = None


def available_cores() -> int:
    """Cores that this process may use (a container's or cluster's share counts)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seems_to_have_gpu() -> bool:
    """Whether this machine shows a GPU that TensorFlow may use; does not import it."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path("/dev").glob("nvidia[0-9]*"))


def has_gpu() -> bool:
    """Whether TensorFlow computes on a GPU; call it after `start`."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def start(threads: int | None) -> int:
    """Imports TensorFlow and fixes its thread count for the life of this process.

    Args:
        threads: CPU threads; None: as many as OMP_NUM_THREADS says, or one. One by default, as
            another number gives a convolution's low-order bits another value, and a run is to have
            the same numbers alone and in a sweep. Where TensorFlow runs already (in a notebook),
            None takes what it has.

    Returns:
        The number of threads in force.

    Raises:
        RuntimeError: this process already runs TensorFlow with another number of threads,
            which cannot be changed.
        ConfigError: Keras is set to another backend than TensorFlow.
    """
    global _started_with
    # OMP_NUM_THREADS: what Ray grants a run, and conf/hydra/launcher/submitit_slurm.yaml
    granted = os.environ.get("OMP_NUM_THREADS", "")
    wanted = threads or (int(granted) if granted.isdigit() else 0) or 1
    if _started_with is None:
        _started_with = _start(wanted)
        if threads is None:
            return _started_with
    if threads is not None and _started_with != threads:
        raise RuntimeError(
            f"trainer.threads={wanted}: this process runs TensorFlow with {_started_with} threads, "
            "which cannot change; start another process"
        )
    return _started_with


def _start(threads: int) -> int:
    """Starts TensorFlow, unless it runs; the number of threads that it has then."""
    _require_tensorflow()
    _require_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with _without_noise():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
            tf.constant(0)  # creates the devices
        except RuntimeError:  # it runs already
            return int(
                tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1
            )
    return threads


def _require_tensorflow() -> None:
    """Keras takes its backend from the environment or its file, at its first import."""
    if "keras" in sys.modules:
        backend = sys.modules["keras"].config.backend()
    else:
        backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise ConfigError(
            f"KERAS_BACKEND={backend}: bnexp trains with TensorFlow; set KERAS_BACKEND=tensorflow "
            "or leave it unset"
        )


def _require_memory() -> None:
    """Under a lower limit, TensorFlow's import ends in thousands of lines, or the process dies."""
    try:
        import resource
    except ModuleNotFoundError:  # not a Unix
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise ConfigError(
            f"TensorFlow needs {ADDRESS_SPACE / 1e9:g} GB of address space, and this process may "
            f"take {limit / 1e9:.2g} (ulimit -v)"
        )


@contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back what native code writes to stderr, and then passes on all but the noise."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            for line in captured:
                if not _NOISE.search(line):
                    sys.stderr.buffer.write(line)
            sys.stderr.flush()


# Of performance, not of numbers: TensorFlow counts the networks that follow one another in a
# process as one function that it compiles again and again.
_FOR_THE_LOG = re.compile(r"triggered tf\.function retracing")


class _ToLog(logging.Filter):
    """Sends what concerns a run's log alone there; everything else passes."""

    def __init__(self, line: Callable[[str], None]) -> None:
        super().__init__()
        self._line = line

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if record.levelno > logging.WARNING or not _FOR_THE_LOG.search(told):
            return True
        self._line(f"TensorFlow: {told.partition('. ')[0]}")
        return False


@contextmanager
def retracing_logged(line: Callable[[str], None]) -> Iterator[None]:
    """Within, TensorFlow's warnings of functions that it compiles again go to a run's log.

    They would break into a progress bar, and are noise to whoever did not write the functions.
    """
    logger, ours = logging.getLogger("tensorflow"), _ToLog(line)
    logger.addFilter(ours)
    try:
        yield
    finally:
        logger.removeFilter(ours)


def compiled(method: Callable[..., Any], *, jit: bool | None = None) -> Any:
    """A method as a `tf.function` of this object alone.

    TensorFlow counts tracings by code, whatever the object, and warns of the networks that follow
    one another in a process.
    """
    import tensorflow as tf

    return tf.function(functools.partial(method), jit_compile=jit)


@functools.cache
def machine() -> dict[str, Any]:
    """What this process computes on, for result.json; call it after `start`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "gpu": [detail.get("device_name", "unknown") for detail in details],
    }


def cpu_name() -> str:
    """The model and its widest vector unit, as another one gives other low-order bits.

    Where the system does not tell, the architecture.
    """
    model = re.search(r"^model name\s*: (.+)$", _cpuinfo(), re.MULTILINE)
    if not model:
        return platform.processor() or platform.machine()
    return ", ".join(filter(None, [model[1], vector_unit()]))


def vector_unit() -> str:
    """AVX-512 or AVX2, whichever is the CPU's widest; empty where the system does not tell."""
    told = _cpuinfo()
    return next((name for flag, name in VECTOR_UNITS if re.search(rf"\b{flag}\b", told)), "")


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
