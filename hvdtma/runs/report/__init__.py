"""What a person opens after a run: one HTML file that needs no network."""

from hvdtma.runs.report.report import write_report

__all__ = ["write_report"]
