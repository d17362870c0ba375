"""A pool of processes that are kept alive from run to run and may be killed one by one."""

import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from bnexp.config import Config
from bnexp.sweeps.execute import BUSY, failure
from bnexp.sweeps.together import Group, execute_together, one_by_one
from bnexp.training import backend, interrupt

Result = dict[str, Any]

# Between two looks at a run that another sweep is running, and at who is running.
POLL_SECONDS = 0.5


class Workers:
    """Processes that carry out runs; a context manager, which ends them.

    A run whose process is killed is reported as failed; its checkpoint stays, and the others
    go on. A run that another sweep is running is waited for.

    Args:
        n_jobs: processes at a time; -1: one a core.
        idle: start also those that the first runs do not need, as more runs will come.
    """

    def __init__(self, n_jobs: int, *, idle: bool = False) -> None:
        self._processes = backend.available_cores() if n_jobs == -1 else n_jobs
        self._idle = idle
        self._pool: _Pool | None = None

    @property
    def processes(self) -> int:
        """How many at a time."""
        return self._processes

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.__exit__()

    def run(
        self,
        configs: Sequence[Config],
        watch: Callable[[list[Config]], None],
        grouped: Callable[[Sequence[Config]], list[Group]] = one_by_one,
    ) -> Iterator[tuple[Config, Result]]:
        """Carries out runs and yields each as it ends, or its group.

        Args:
            configs: what to run, in this order.
            watch: is told now and then which runs are going on.
            grouped: which of them train together.
        """
        queue = deque(grouped(configs))
        while queue:
            if self._pool is None:
                waiting = sum(map(len, queue))  # as every group may come back run by run
                needed = self._processes if self._idle else min(self._processes, waiting)
                self._pool = _Pool(needed).__enter__()
            yield from self._pool.run(queue, watch)
            if queue:  # it broke
                self._pool.__exit__()
                self._pool = None


class _Pool:
    """One pebble pool; if it breaks as a whole, what it had goes back into the queue."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._hidden: dict[str, Any] = {}
        self._others = set(multiprocessing.active_children())  # of whoever called us
        # never fork a process that has threads, as TensorFlow's has
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(processes, initializer=_begin_worker, context=context)
        self._pending: dict[ProcessFuture, Group] = {}

    def __enter__(self) -> "_Pool":
        self._hidden = _hide_main()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops all processes: at once if idle, else as soon as they have saved their state."""
        for process in multiprocessing.active_children():  # all at a time, not one by one
            if process not in self._others:
                process.terminate()
        self._pool.stop()
        self._pool.join()
        vars(sys.modules["__main__"]).update(self._hidden)

    def run(
        self, queue: deque[Group], watch: Callable[[list[Config]], None]
    ) -> Iterator[tuple[Config, Result]]:
        """Works the queue off; returns early, with the rest in the queue, if the pool breaks."""
        held: list[tuple[float, Group]] = []  # by other sweeps, to be looked at again
        while queue or self._pending or held:
            now = time.monotonic()
            queue.extend(group for until, group in held if until <= now)
            held = [(until, group) for until, group in held if until > now]
            while queue and len(self._pending) < 2 * self._processes:
                group = queue.popleft()
                with interrupt.for_this_process_alone():  # the first call starts the processes
                    self._pending[self._pool.schedule(_work, args=[group])] = group
            for future in self._some_done():
                group = self._pending.pop(future)
                try:
                    results = _results_of(future, group)
                except BrokenProcessPool:
                    queue.extendleft([group, *self._pending.values(), *(g for _, g in held)])
                    self._pending.clear()
                    return
                if results is None:
                    queue.extendleft(reversed(one_by_one(group)))
                    continue
                for config, result in zip(group, results, strict=True):
                    if result["status"] == BUSY:
                        held.append((now + POLL_SECONDS, (config,)))
                    else:
                        yield config, result
            going = [group for future, group in self._pending.items() if future.running()]
            watch([config for group in going for config in group])

    def _some_done(self) -> set[ProcessFuture]:
        if not self._pending:
            time.sleep(POLL_SECONDS)
            return set()
        return wait(self._pending, POLL_SECONDS, return_when=FIRST_COMPLETED).done


def _hide_main() -> dict[str, Any]:
    """Keeps new processes from running the script that started this one, which has no guard.

    What they do stands in this package. Returns what is to be put back.
    """
    main = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {k: main[k] for k in ("__file__", "__spec__") if k in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    return hidden


def _results_of(future: ProcessFuture, group: Group) -> Sequence[Result] | None:
    """Of each run of a group; None: they are to be run singly, as their process died or says so."""
    try:
        results: Sequence[Result] | None = future.result()
        return results
    except BrokenProcessPool:
        raise
    except ProcessExpired as error:
        if len(group) > 1:
            return None
        return [failure(ProcessExpired(f"killed or crashed (exit code {error.exitcode})"))]
    except Exception as error:  # noqa: BLE001 (what the process could not send, or be sent)
        return [failure(error)] * len(group)


def _work(group: Group) -> list[Result] | None:
    """In a worker: one run, or several together."""
    try:
        return execute_together(group)
    except interrupt.Interrupted as stop:
        os._exit(stop.exit_code)


def _begin_worker() -> None:
    """SIGTERM and the end of the parent are heard between steps; Ctrl-C is the parent's."""
    interrupt.watch_parent()
