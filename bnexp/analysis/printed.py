"""What a report prints: of each sweep what came out and its summary, then the verdicts."""

import sys
from collections.abc import Iterator

import pandas as pd

from bnexp.analysis.report import Section, verdicts

PRINTED_ROWS, SHORT = 30, 12


def print_sweep(section: Section) -> None:
    """What came out of a sweep first, then its summary."""
    statuses = section.runs.runs["status"]
    told = ", ".join(f"{count} {status}" for status, count in statuses.value_counts().items())
    print(f"{section.sweep}: {len(statuses)} runs ({told})\n")
    if section.trouble:
        print(f"{section.trouble}\n")
        print(f"{section.sweep}: {section.trouble}", file=sys.stderr)
    for line in section.trial or answer_lines(section):
        print(line)
    print()
    if len(section.summary):
        print(f"{_table(section.summary)}\n")


def answer_lines(section: Section) -> Iterator[str]:
    """What came out of a sweep that is no trial."""
    for block in section.answer.blocks:
        if block.title:
            yield f"{block.title}:"
        yield f"→ {block.headline}"
        yield from (f"  {sentence}" for sentence in block.sentences)
        yield from (f"  {arm}: {told}" for arm, told in block.settings)
        yield f"\n{_table(block.table, SHORT)}\n"
    if section.answer.sure:
        yield section.answer.sure


def _table(text: pd.DataFrame, rows: int = PRINTED_ROWS) -> str:
    shown = str(text.head(rows).to_markdown(index=False))
    more = len(text) - rows
    return f"{shown}\n... and {more} rows more in tables/" if more > 0 else shown


def print_verdicts(claims: pd.DataFrame) -> None:
    """What was judged and what not."""
    print("\n".join(verdicts.printed(claims)), end="\n\n")
