"""From run folders to tables and figures: pure functions on DataFrames, without TensorFlow."""

from bnexp.analysis.loading import Runs, load_runs

__all__ = ["Runs", "load_runs"]
