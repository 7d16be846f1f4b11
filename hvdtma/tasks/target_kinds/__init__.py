"""The loss, the head and the metrics of each kind of labels of nodes."""

from hvdtma.tasks.target_kinds.classes import ClassTarget
from hvdtma.tasks.target_kinds.multi_label import MultiLabelTarget
from hvdtma.tasks.target_kinds.real import RealTarget
from hvdtma.tasks.target_kinds.target import TargetKind

TARGETS: dict[str, type[TargetKind]] = {
    "class": ClassTarget,
    "multi": MultiLabelTarget,
    "real": RealTarget,
}

__all__ = ["TARGETS", "TargetKind"]
