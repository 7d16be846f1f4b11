"""The report of a run: one HTML file that needs no network.

Any kind of run uses `page`, `layout`, `record`, `plots`, `score_curve` and `words`; the other
modules are of training runs.
"""

from hvdtma.runs.report.report import write_report

__all__ = ["write_report"]
