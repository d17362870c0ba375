"""Runs many configs in a pool of processes that are kept alive from run to run.

Knows nothing of Hydra: `hydra_plugins/bnexp_hydra.py` turns a sweep into configs.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from bnexp import backend, runs
from bnexp.config import Config
from bnexp.data import LOCAL
from bnexp.execute import check_data, execute, finished_result

Result = dict[str, Any]


def run_sweep(configs: Sequence[Config], labels: Sequence[str], n_jobs: int) -> list[Result]:
    """Carries out all runs and returns their results, in the order given.

    Prints a line at the start and one as each run ends.

    Args:
        configs: the runs; equal ones are run once.
        labels: what to call each of them on the terminal.
        n_jobs: processes at a time; -1: one a core.

    Raises:
        ConfigError: data that cannot be used.
    """
    ids = [runs.run_id(config) for config in configs]
    distinct = dict(zip(ids, zip(configs, labels, strict=True), strict=True))
    results: dict[str, Result] = {}
    for run_id, (config, _) in distinct.items():
        if config.data.kind in LOCAL:
            check_data(config)
        done = finished_result(config.sweep_dir / run_id)
        if done is not None:
            results[run_id] = done
    todo = {run_id: run for run_id, run in distinct.items() if run_id not in results}
    processes = min(backend.available_cores() if n_jobs == -1 else n_jobs, len(todo))
    folder = configs[0].sweep_dir
    print(f"{len(distinct)} runs in {folder}: {len(results)} done, {len(todo)} to do", flush=True)
    width = len(str(len(distinct)))
    for run_id, result in _in_pool({key: config for key, (config, _) in todo.items()}, processes):
        results[run_id] = result
        label = todo[run_id][1]
        print(
            f"[{len(results):{width}}/{len(distinct)}] {run_id} {label}: {runs.summary(result)}",
            flush=True,
        )
    return [results[run_id] for run_id in ids]


def _in_pool(configs: dict[str, Config], processes: int) -> Iterator[tuple[str, Result]]:
    """Results as they come. A process that is killed costs its own run alone."""
    if not configs:
        return
    threads = max(1, backend.available_cores() // processes)
    # never fork a process that has threads, as TensorFlow's has
    context = multiprocessing.get_context("spawn")
    with ProcessPool(processes, context=context) as pool:
        try:
            pending = {
                pool.schedule(execute, args=[config, threads]): run_id
                for run_id, config in configs.items()
            }
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(future), _result_of(future)
        except BaseException:
            pool.stop()
            raise


def _result_of(future: ProcessFuture) -> Result:
    try:
        return future.result()
    except ProcessExpired as error:
        message = f"the process was killed or crashed (exit code {error.exitcode})"
        return {"status": runs.FAILED, "error": {"type": "ProcessExpired", "message": message}}
