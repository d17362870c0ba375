"""From run folders to tables, figures and verdicts: pure functions on DataFrames.

Nothing here imports TensorFlow. In a notebook:

    from bnexp.analysis import compare, load_runs, sweep_figures

    runs = load_runs("outputs/quickstart")
    compare(runs)            # Batch Normalization − none, paired by seed, with intervals
    sweep_figures(runs)[0]
"""

import importlib
from typing import Any

# what is offered here, and where it is: imported when it is asked for, as matplotlib takes seconds
_PUBLIC = {
    "Runs": "loading",
    "claims_table": "claims.table",
    "compare": "comparing",
    "judge": "claims.judge",
    "load_runs": "loading",
    "mean_curves": "curves",
    "summarize": "tables",
    "sweep_figures": "figures",
}
__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
