"""What is told of a comparison, and how numbers are written in it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Block:
    """One comparison.

    Attributes:
        title: which; empty where there is but one.
        headline: what came out, in a sentence.
        sentences: what else is to be told.
        table: the numbers, for people.
        settings: each arm with what it ran with, where it was chosen.
        notes: why verdicts are less than their intervals say.
        first: whether it is among those that the whole is told by.
    """

    title: str
    headline: str
    sentences: Sequence[str] = ()
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    settings: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    first: bool = True


@dataclass(frozen=True)
class Answer:
    """What came out of a sweep.

    Attributes:
        headline: the whole in a sentence.
        sure: how sure that is: seeds, pairing, intervals.
        blocks: the comparisons that it rests on.
        numbers: all effects, as the functions that made them say; not kept by `as_json`.
    """

    headline: str
    sure: str = ""
    blocks: Sequence[Block] = ()
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)

    def as_json(self) -> dict[str, Any]:
        """For the cache."""
        blocks = [
            {**asdict(replace(block, table=pd.DataFrame())), "table": block.table.to_dict("list")}
            for block in self.blocks
        ]
        return {"headline": self.headline, "sure": self.sure, "blocks": blocks}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Answer":
        """What `as_json` made."""
        blocks = [
            Block(**{**block, "table": pd.DataFrame(block["table"])}) for block in value["blocks"]
        ]
        return cls(value["headline"], value["sure"], blocks)


def with_interval(mean: float, low: float, high: float) -> str:
    """ "+0.51 [0.32, 0.70]", with true minus signs."""
    interval = "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{mean:+.2f}{interval}".replace("-", "−")


def times(ratio: float, low: float, high: float) -> str:
    """ "1.90× [1.51, 2.40]"."""
    interval = "" if pd.isna(low) else f" [{low:.3g}, {high:.3g}]"
    return f"{ratio:.3g}×{interval}"


def seeds_words(count: int) -> str:
    """ "1 seed", "10 seeds"."""
    return f"{count} seed{'' if count == 1 else 's'}"
