"""Work in processes side by side."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import as_completed
from multiprocessing import get_context
from types import TracebackType
from typing import Any, TypeAlias

from pebble import ProcessPool

from bnexp.training import interrupt

Job: TypeAlias = Callable[[], dict[str, Any]]


class Workers:
    """Jobs that are begun at once; a context manager, at whose end what still goes on is stopped.

    Args:
        jobs: by key; they can be pickled, and are begun in this order.
        apart: whether to use processes of their own, which take seconds to start; else the jobs
            are done here, when their results are asked for.
    """

    def __init__(self, jobs: Mapping[Any, Job], *, apart: bool = True) -> None:
        self._jobs = jobs
        self._apart = apart and bool(jobs)
        self._pool: Any = None
        self._pending: dict[Any, Any] = {}

    def __enter__(self) -> "Workers":
        if self._apart:
            count = min(len(self._jobs), os.cpu_count() or 1)
            self._pool = ProcessPool(count, context=get_context("spawn"))
            with interrupt.for_this_process_alone():
                self._pending = {self._pool.schedule(job): key for key, job in self._jobs.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:  # at once, also on Ctrl-C
            self._pool.stop()
            self._pool.join()

    def results(self) -> Iterator[tuple[Any, Job]]:
        """Each key as soon as its job is done, with what returns its result or raises its error."""
        if not self._apart:
            yield from self._jobs.items()
            return
        yield from ((self._pending[one], one.result) for one in as_completed(self._pending))
