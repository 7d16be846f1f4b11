"""The candidates of negatives in a typed graph: the nodes of the type of the replaced end.

Legend: N nodes, T node types, R edge types.
"""

from __future__ import annotations

import numpy as np

from hvdtma.graph.builder.sides import ROWS_AT_ONCE, SideRecorder
from hvdtma.graph.candidates import CandidateRules, Candidates
from hvdtma.graph.typed.schema import GraphSchema


class TypedSides(SideRecorder):
    """Records upper bounds of degrees; the sides of each edge type are known.

    Args:
        schema: of the source.
        first: int64 [T+1], the source's number of the first node of each type.
    """

    def __init__(self, schema: GraphSchema, first: np.ndarray):
        super().__init__(int(first[-1]), len(schema.edge_types), False, "all")
        self.schema, self.first = schema, first

    def candidates(self, order_N: np.ndarray) -> Candidates:
        """The node types as sets, in the store's order of nodes."""
        schema, num_types = self.schema, len(self.schema.node_types)
        rules = CandidateRules(
            "auto",
            tuple(schema.ends[:, 0].tolist()),
            tuple(schema.ends[:, 1].tolist()),
            schema.sizes,
            tuple("kind" if src == dst else "sides" for src, dst in schema.ends.tolist()),
        )
        member_NR = np.zeros((self.num_nodes, -(-num_types // 8)), np.uint8)
        for start in range(0, self.num_nodes, ROWS_AT_ONCE):
            types = np.searchsorted(self.first, order_N[start : start + ROWS_AT_ONCE], "right") - 1
            rows = np.arange(start, start + len(types))
            member_NR[rows, types >> 3] = np.uint8(1) << (types & 7).astype(np.uint8)
        return Candidates(rules, member_NR, max_kept=self.num_nodes)
