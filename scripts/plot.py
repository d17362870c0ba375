"""Draws figures, tables, verdicts and a report page from run folders; the same as `bnexp plot`.

python scripts/plot.py outputs/quickstart
"""

if __name__ == "__main__":
    from bnexp import early  # noqa: F401

from bnexp.analysis.command import main

if __name__ == "__main__":
    main()
