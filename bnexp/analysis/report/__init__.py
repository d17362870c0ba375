"""The report page: all that was found, in one file that needs nothing else."""

from bnexp.analysis.report.page import Section, write_report

__all__ = ["Section", "write_report"]
