"""Draws figures, tables, verdicts and a report page from run folders; the same as `bnexp plot`.

python scripts/plot.py outputs/quickstart
"""

from bnexp.analysis.command import main

if __name__ == "__main__":
    main()
