"""The user's node ids, integers or strings, as an Arrow array.

Legend: N nodes, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hvdtma.core.errors import UserError


@dataclass(frozen=True)
class NodeIds:
    """The ids of N nodes, by node number.

    Attributes:
        values: Arrow array [N] of type int64 or large_string, without nulls or repeats.
    """

    values: pa.Array

    @classmethod
    def of(cls, values: Sequence | np.ndarray | pa.Array | pa.ChunkedArray) -> NodeIds:
        """Ids from integers or strings of any width; raises UserError for other types."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        try:
            array = values if isinstance(values, pa.Array) else pa.array(values)
            if pa.types.is_integer(array.type):
                return cls(array.cast(pa.int64()))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise UserError(f"node ids are neither all int64 nor all strings: {error}") from None
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            return cls(array.cast(pa.large_string()))
        raise UserError(f"node ids are {array.type}; valid: integers or strings")

    @classmethod
    def counted(cls, num_nodes: int) -> NodeIds:
        """The ids 0 .. num_nodes-1."""
        return cls(pa.array(np.arange(num_nodes, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, position: int) -> int | str:
        return self.values[int(position)].as_py()

    @property
    def are_strings(self) -> bool:
        return pa.types.is_large_string(self.values.type)

    @property
    def num_bytes(self) -> int:
        """The UTF-8 bytes of all ids; for string ids only."""
        if not len(self.values):
            return 0
        offsets = np.frombuffer(self.values.buffers()[1], np.int64)[self.values.offset :]
        return int(offsets[len(self.values)] - offsets[0])

    def take(self, positions: np.ndarray) -> NodeIds:
        """The ids of the given nodes, in the given order."""
        return NodeIds(self.values.take(pa.array(positions)))

    def lookup(self, ids: pa.Array | pa.ChunkedArray | np.ndarray | Sequence) -> np.ndarray:
        """Node numbers int64 [Q] of the given ids; -1 for an unknown id."""
        ids = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids)
        try:
            ids = ids.cast(self.values.type)
        except pa.ArrowInvalid as error:
            raise UserError(f"the ids are of another kind than the graph's: {error}") from None
        found = pc.index_in(ids, value_set=self.values)
        return pc.fill_null(found, -1).to_numpy().astype(np.int64)

    def to_list(self) -> list:
        return self.values.to_pylist()

    def as_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a store: `values` int64 [N], or `offsets` int64 [N+1] and `utf8` uint8."""
        if not self.are_strings:
            return {"values": self.values.to_numpy()}
        array = pa.concat_arrays([self.values])  # offsets start at 0
        _, offsets, utf8 = array.buffers()
        offsets_N1 = np.frombuffer(offsets, dtype=np.int64)[array.offset :][: len(array) + 1]
        text = np.frombuffer(utf8, dtype=np.uint8) if utf8 else np.zeros(0, np.uint8)
        return {
            "offsets": offsets_N1 - offsets_N1[0],
            "utf8": text[offsets_N1[0] : offsets_N1[-1]],
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> NodeIds:
        """The inverse of `as_arrays`."""
        if "values" in arrays:
            return cls(pa.array(arrays["values"]))
        offsets, utf8 = (np.ascontiguousarray(arrays[name]) for name in ("offsets", "utf8"))
        return cls(
            pa.LargeStringArray.from_buffers(
                len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(utf8)
            )
        )
