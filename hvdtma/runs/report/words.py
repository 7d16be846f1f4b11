"""Numbers as text for people. None, NaN and infinities become a dash."""

from __future__ import annotations

import math
from collections.abc import Callable

from hvdtma.runs.event_text import number_text

DASH = "—"
METRIC_NAMES = {
    "mrr": "MRR", "auc": "AUC", "macro_f1": "Macro-F1", "micro_f1": "Micro-F1", "r2": "R²",
    "rmse": "RMSE", "mae": "MAE", "average_precision": "Average precision",
}  # fmt: skip
METHOD_NAMES = {"random": "RandomTMA", "super": "SuperTMA", "min-cut": "Min-cut (PSGD-PA)"}

Number = float | int | None


def known(value: Number) -> bool:
    """Whether there is a finite number."""
    return value is not None and math.isfinite(value)


def _or_dash(write: Callable[[float], str]) -> Callable[[Number], str]:
    def written(value: Number) -> str:
        return write(value) if value is not None and math.isfinite(value) else DASH

    written.__doc__ = write.__doc__
    return written


@_or_dash
def score(value: float) -> str:
    """Write a metric or a loss: `0.4123`."""
    return number_text(value)


@_or_dash
def percent(value: float) -> str:
    """Write a share in [0, 1]: `1.2 %`."""
    return f"{100 * value:.1f} %"


@_or_dash
def count(value: float) -> str:
    """Write a whole number: `12,345`."""
    return f"{value:,.0f}"


@_or_dash
def rate(value: float) -> str:
    """Shorten a large number: `41.3 k`."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f}"


@_or_dash
def duration(value: float) -> str:
    """Write seconds: `1.5 ms`, `0.23 s`, `12.5 s`, `2 min 30 s`, `3 h 05 min`."""
    if 0 < value < 0.1:
        return f"{1000 * value:.1f} ms"
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


@_or_dash
def size(value: float) -> str:
    """Write bytes: `1.4 GiB`."""
    unit = "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def metric_name(metric: str) -> str:
    """Write `mrr` as `MRR`, `hits@10` as `Hits@10`."""
    return METRIC_NAMES.get(metric, metric[:1].upper() + metric[1:])


def method_name(method: str | None) -> str:
    """Write `super` as `SuperTMA`."""
    return METHOD_NAMES.get(method or "", method or DASH)
