"""A given split of nodes is completed: given parts stay, and no node is in two parts."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from hvdtma.core.errors import UserError
from hvdtma.graph.builder.node_split import complete_node_split

PARTS = ("train", "valid", "test")
SHARES = st.sampled_from([0.05, 0.3, 0.6, 1, 2, 20])


@given(
    st.lists(st.sampled_from([*PARTS, "free", "unlabelled"]), min_size=1, max_size=60),
    st.sets(st.sampled_from(PARTS), max_size=2),
    SHARES,
    SHARES,
    st.integers(0, 2**32 - 1),
)
def test_given_parts_stay_and_others_come_from_labelled_nodes(kinds, dropped, valid, test, seed):
    kind_N = np.array(kinds)
    labelled_N = kind_N != "unlabelled"
    before = {part: np.flatnonzero(kind_N == part) for part in PARTS if part not in dropped}
    before = {part: nodes for part, nodes in before.items() if len(nodes)}
    assume(before)
    rng = np.random.default_rng(seed)
    try:
        after, counts = complete_node_split(before, labelled_N, valid, test, rng)
    except UserError as error:
        assert "would be empty" in str(error)
        return
    together = np.concatenate(list(after.values()))
    assert len(np.unique(together)) == len(together)
    assert labelled_N[together].all()
    taken = sum(count for name, count in counts.items() if name.endswith("taken_from_train"))
    free = labelled_N.copy()
    free[np.concatenate(list(before.values()))] = False
    for part in PARTS:
        assert len(after[part])
        assert (np.diff(after[part]) > 0).all()
        if part in before and not (part == "train" and taken):
            assert after[part].tolist() == before[part].tolist()
        elif part not in before and not taken:
            assert free[after[part]].all()
            assert counts[f"{part}_nodes_drawn"] == len(after[part])
    if taken:
        assert not free.any()
        assert len(after["train"]) + taken == len(before["train"])
    if "train" not in before:
        assert len(together) == labelled_N.sum()
