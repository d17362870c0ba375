"""Seconds of a training step of every contender, turn by turn, on one core."""

import statistics
import sys
from collections.abc import Sequence
from typing import Any

from rivals import kinds, peak
from rivals.contenders import Contender, ContenderError, ready
from rivals.kinds import KINDS, OURS, PEAK, RIVALS
from rivals.layers import parameters
from rivals.task import TASKS

from bnexp.training import backend
from timing.targets import TARGETS

STEPS = {"mlp": 1000, "cnn": 20, "plain": 30, "inception": 15}  # of one turn
WORKLOADS = tuple(f"{name}{suffix}" for name in STEPS for suffix in ("", "-bfloat16"))


def timed() -> list[str]:
    """The workloads for this machine; bfloat16 only where the CPU does not have to emulate it.

    Without AVX-512 a step in bfloat16 takes seven times as long as in float32, whoever makes it.
    """
    if backend.vector_unit() != "AVX2":
        return list(WORKLOADS)
    print("bfloat16: left out, as this CPU has no AVX-512", file=sys.stderr)
    return [name for name in WORKLOADS if TASKS[name].precision != "bfloat16"]


def rivals_in(workload: str) -> list[str]:
    """The rivals of a workload, with those in float32 that a target in bfloat16 names."""
    named = [name for each in TARGETS if each.workload == workload for name in each.rivals]
    across = dict.fromkeys(name for name in named if name not in RIVALS)
    return [name for name in (*RIVALS, *across) if kinds.fits(name, workload)]


def available(workload: str, names: Sequence[str], results: dict[str, Any]) -> list[str]:
    """The contenders that can take part; why another cannot is noted in the results."""
    precision = TASKS[workload].precision
    absent = {name: kinds.missing(name, precision) for name in names}
    results |= {name: {"missing": reason} for name, reason in absent.items() if reason}
    return [name for name in names if not absent[name]]


def steps(workload: str, rivals: Sequence[str], repeats: int) -> dict[str, Any]:
    """What bnexp and its rivals need for a step; the first turn compiles, and does not count."""
    chosen = TASKS[workload]
    names = [OURS, *rivals, PEAK]
    results: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {}
    with ready(available(workload, names, results), workload, threads=1) as field:
        check_parameters(field, parameters(chosen.network))
        for turn in range(1 + repeats):
            for contender in field:
                count = KINDS[contender.name].steps(workload, STEPS[chosen.name])
                took = contender.seconds(count) / count
                if turn:
                    seconds.setdefault(contender.name, []).append(took)
    print(f"{workload}: {repeats} turns of {len(seconds)} contenders", file=sys.stderr)
    rate = peak.FLOP / statistics.median(seconds.pop(PEAK))
    for name, values in seconds.items():
        done = chosen.flop / statistics.median(values)
        results[name] = spread(values) | ratio(values, seconds[OURS]) | {"of_peak": done / rate}
    in_order = {each: results[each] for each in names if each in results}
    return {"contenders": in_order, "flop": chosen.flop, "peak_flop_per_second": rate}


def check_parameters(field: Sequence[Contender], wanted: int) -> None:
    """Every contender trains as many parameters as the network has.

    Raises:
        ContenderError: one does not, and so does other work.
    """
    for contender in field:
        if contender.name != PEAK and contender.parameters != wanted:
            raise ContenderError(
                f"{contender.name}: trains {contender.parameters} parameters, not {wanted}"
            )


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Their seconds by ours, turn by turn: median, lowest and highest."""
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"seconds": statistics.median(values), "low": min(values), "high": max(values)}
