"""How to read a graph's inputs: columns, kinds of ids, bad rows, missing values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hvdtma.core.errors import UserError, nearest
from hvdtma.tables.dialect import TextOptions

LABEL_KINDS = ("auto", "class", "multi", "real")
FILLS = ("error", "zero", "mean")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options for reading; `FileSource` documents them."""

    src_column: str | None = None
    dst_column: str | None = None
    type_column: str | None = None
    weight_column: str | None = None
    time_column: str | None = None
    id_column: str | None = None
    label_column: str | Sequence[str] | None = None
    label_kind: str = "auto"
    missing_labels: bool = True
    feature_columns: Sequence[str] | None = None
    drop_columns: Sequence[str] = ()
    fill_missing: str = "error"
    delimiter: str | None = None
    quote: str = '"'
    header: str = "auto"
    comment: str = "auto"
    id_type: str = "auto"
    bad_rows: str = "error"
    bad_rows_file: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.src_column is None) != (self.dst_column is None):
            named = self.src_column or self.dst_column
            raise UserError(
                f"only '{named}' is given; give both --src-column and --dst-column, or neither"
            )
        for key, valid in (("label_kind", LABEL_KINDS), ("fill_missing", FILLS)):
            value = getattr(self, key)
            if value not in valid:
                raise UserError(f"{key} is '{value}'; {nearest(value, list(valid))}")

    @property
    def text(self) -> TextOptions:
        """The options for text tables."""
        return TextOptions(self.delimiter, self.quote, self.header, self.comment)

    @property
    def label_columns(self) -> list[str]:
        """The columns of labels that the user names."""
        if self.label_column is None:
            return []
        return [self.label_column] if isinstance(self.label_column, str) else [*self.label_column]
