"""From run folders to tables, figures and verdicts: pure functions on DataFrames.

Nothing here imports TensorFlow. In a notebook:

    from bnexp.analysis import compare, load_runs, sweep_figures

    runs = load_runs("outputs/quickstart")
    compare(runs)            # Batch Normalization − none, paired by seed, with intervals
    sweep_figures(runs)[0]
"""

from bnexp.analysis.claims.judge import judge
from bnexp.analysis.claims.table import claims_table
from bnexp.analysis.comparing import compare
from bnexp.analysis.curves import mean_curves
from bnexp.analysis.figures import sweep_figures
from bnexp.analysis.loading import Runs, load_runs
from bnexp.analysis.tables import summarize

__all__ = [
    "Runs",
    "claims_table",
    "compare",
    "judge",
    "load_runs",
    "mean_curves",
    "summarize",
    "sweep_figures",
]
