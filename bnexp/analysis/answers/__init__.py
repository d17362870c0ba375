"""What came out of the runs of a sweep, for a reader who has seen nothing else.

Of a trial what its report runs show (`trial`). Of other runs each arm against the baseline, paired
by seed, in every condition, or what a single arm reached (`sweep`).
"""

from bnexp.analysis.answers.model import Answer, Block
from bnexp.analysis.answers.sweep import sweep_answer
from bnexp.analysis.answers.trial import trial_answer
from bnexp.analysis.judged import ended_trial
from bnexp.analysis.loading import Runs

__all__ = ["Answer", "Block", "answer"]


def answer(runs: Runs) -> Answer:
    """What the runs of one sweep show."""
    record = ended_trial(runs)
    return sweep_answer(runs) if record is None else trial_answer(record, runs)
