"""The report of a run of HyperLearn: one HTML file that needs no network."""

from hypergraph.report.report import write_report

__all__ = ["write_report"]
