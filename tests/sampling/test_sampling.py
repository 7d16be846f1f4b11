"""What is sampled is of the graph, never a target, and the same for the same seed."""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_graphs import sample_neighbourhood, shard_of, small_csc

from hvdtma.graph.csc import build_csc
from hvdtma.sampling.block import block_of_rows
from hvdtma.sampling.neighbourhood import Targets


def edges_of(around, block):
    """A block's edges in the shard's numbers, and the nodes of its two sides."""
    nodes = around.nodes[: block.num_src]
    src, dst = nodes[block.edge_index]
    return list(zip(src.tolist(), dst.tolist(), strict=True)), nodes, nodes[: block.num_dst]


def graph_edges(shard):
    return Counter(zip(shard.csc.indices.tolist(), shard.csc.destinations().tolist(), strict=True))


def sample(shard, seeds, fanouts, *, random_seed=0, targets=None):
    seeds = torch.as_tensor(seeds)
    return sample_neighbourhood(shard, seeds, fanouts, random_seed=random_seed, targets=targets)


def large_shard(seed=0):
    rng = np.random.default_rng(seed)
    return shard_of(build_csc(*rng.integers(0, 500, (2, 12_000)), 500))


SEEDS = st.sets(st.integers(0, 8), min_size=1)


@settings(max_examples=40, deadline=None)
@given(small_csc(), SEEDS, st.integers(1, 3), st.integers(0, 2))
def test_without_a_limit_every_hop_is_the_whole_neighbourhood(csc, seeds, hops, remote):
    shard = shard_of(csc, remote=remote)
    seeds = sorted(seed for seed in seeds if seed < csc.num_nodes) or [0]
    around = sample(shard, seeds, [-1] * hops)
    expected = graph_edges(shard)
    expanded = set(seeds)
    for block in reversed(around.blocks):
        edges, sources, destinations = edges_of(around, block)
        assert set(destinations.tolist()) == expanded
        assert Counter(edges) == Counter({e: n for e, n in expected.items() if e[1] in expanded})
        expanded |= {u for u, _ in edges}
        assert set(sources.tolist()) == expanded
        assert sources[: len(destinations)].tolist() == destinations.tolist()
    assert around.x.equal(shard.feat[edges_of(around, around.blocks[0])[1]])
    assert edges_of(around, around.blocks[-1])[2].tolist() == seeds


@settings(max_examples=40, deadline=None)
@given(small_csc(), SEEDS, st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 99))
def test_sampled_edges_are_edges_and_no_more_than_the_fanout(csc, seeds, fanouts, random_seed):
    shard = shard_of(csc)
    seeds = sorted(seed for seed in seeds if seed < csc.num_nodes) or [0]
    around = sample(shard, seeds, fanouts, random_seed=random_seed)
    expected, degree = graph_edges(shard), np.diff(csc.indptr)
    for block, fanout in zip(around.blocks, fanouts, strict=True):
        edges, _, destinations = edges_of(around, block)
        assert Counter(edges) <= expected  # without replacement
        into = Counter(v for _, v in edges)
        for node in destinations.tolist():
            assert into[node] == min(degree[node], fanout)
        assert block.in_degrees.tolist() == [into[node] for node in destinations.tolist()]
    assert len(around.blocks) == len(fanouts)


@settings(max_examples=50, deadline=None)
@given(small_csc(), st.data(), st.sampled_from([-1, 2]))
def test_no_target_is_in_any_block_in_either_direction(csc, data, fanout):
    shard = shard_of(csc)
    edge = st.integers(0, csc.num_edges - 1)
    chosen = np.array(data.draw(st.lists(edge, min_size=1, max_size=6)))
    src, dst = csc.indices[chosen].astype(np.int64), csc.destinations()[chosen].astype(np.int64)
    turned = np.array(data.draw(st.lists(st.booleans(), min_size=len(src), max_size=len(src))))
    src, dst = np.where(turned, dst, src), np.where(turned, src, dst)
    seeds = np.unique(np.r_[src, dst])
    around = sample(shard, seeds, [fanout, fanout], targets=Targets(src, dst))
    targets = {frozenset(pair) for pair in zip(src.tolist(), dst.tolist(), strict=True)}
    for block in around.blocks:
        edges, _, destinations = edges_of(around, block)
        assert not targets & {frozenset(pair) for pair in edges}
        if fanout == -1:  # and nothing else is missing
            kept = {
                edge: count
                for edge, count in graph_edges(shard).items()
                if frozenset(edge) not in targets and edge[1] in set(destinations.tolist())
            }
            assert Counter(edges) == Counter(kept)


def test_keys_of_targets_do_not_run_into_those_of_others():
    # 60,000 nodes: a key of two of them does not fit 32 bits
    src, dst = np.array([59_998, 5, 59_999]), np.array([59_999, 59_999, 5])
    shard = shard_of(build_csc(src, dst, 60_000), dim=1)
    targets = Targets(np.array([59_998]), np.array([59_999]))
    around = sample(shard, [5, 59_998, 59_999], [-1], targets=targets)
    edges, _, _ = edges_of(around, around.blocks[0])
    assert sorted(edges) == [(5, 59_999), (59_999, 5)]


def same_blocks(first, second):
    if len(first.x) != len(second.x):
        return False
    pairs = zip(first.blocks, second.blocks, strict=True)
    return all(edges_of(first, a)[0] == edges_of(second, b)[0] for a, b in pairs)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_seed_alone_decides_what_is_sampled(threads):
    shard, seeds = large_shard(), np.arange(0, 500, 3)
    expected = sample(shard, seeds, [4, 6], random_seed=11)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(5):
            sample(shard, seeds[::-1].copy(), [3], random_seed=5)  # nothing is left of others
            assert same_blocks(sample(shard, seeds, [4, 6], random_seed=11), expected)
        assert not same_blocks(sample(shard, seeds, [4, 6], random_seed=12), expected)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_sampling_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - what is looked at is the global state
    expected = torch.rand(5), np.random.rand(5)  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    sample(large_shard(), np.arange(100), [4, 6], random_seed=11)
    assert torch.rand(5).equal(expected[0])
    assert (np.random.rand(5) == expected[1]).all()  # noqa: NPY002


def test_any_thread_samples_the_same():
    shard, seeds = large_shard(), np.arange(0, 500, 3)
    expected = [sample(shard, seeds, [4, 6], random_seed=number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(sample, shard, seeds, [4, 6], random_seed=n) for n in range(8)]
        assert all(same_blocks(job.result(), one) for job, one in zip(jobs, expected, strict=True))


def test_another_process_samples_the_same_and_keeps_its_threads():
    said = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESS],
        cwd=Path(__file__).parents[1],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    around = sample(large_shard(), np.arange(0, 500, 3), [4, 6], random_seed=11)
    expected = [edges_of(around, block)[0] for block in around.blocks]
    assert said == f"{expected}\nthreads 3\n"


OTHER_PROCESS = """
import sys
sys.path[:0] = [".", "..", "sampling"]
import numpy as np, torch
from test_sampling import edges_of, large_shard, sample
shards = large_shard(), large_shard(2)
torch.set_num_threads(3)
sample(shards[1], np.arange(400), [3, 3], random_seed=1)  # not the first to draw
around = sample(shards[0], np.arange(0, 500, 3), [4, 6], random_seed=11)
print([edges_of(around, block)[0] for block in around.blocks])
print("threads", torch.get_num_threads())
"""


def test_every_neighbour_is_as_likely():
    shard = shard_of(build_csc(np.arange(1, 21), np.zeros(20, int), 21))
    count = Counter()
    for random_seed in range(800):
        around = sample(shard, [0], [5], random_seed=random_seed)
        count.update(u for u, _ in edges_of(around, around.blocks[0])[0])
    assert count.total() == 4000
    assert chisquare([count[u] for u in range(1, 21)]).pvalue > 1e-3


def test_no_fanouts_sample_nothing():
    shard = large_shard()
    around = sample(shard, [7, 3], [])
    assert around.blocks == []
    assert around.x.equal(shard.feat[[7, 3]])
    assert around.first_hop.mean.equal(shard.hop.mean[[7, 3]])


@settings(max_examples=40, deadline=None)
@given(small_csc(), st.data())
def test_a_block_of_rows_is_the_neighbourhood_of_these_rows(csc, data):
    start = data.draw(st.integers(0, csc.num_nodes - 1))
    stop = data.draw(st.integers(start + 1, csc.num_nodes))
    edges = slice(csc.indptr[start], csc.indptr[stop])
    block, sources = block_of_rows(
        torch.from_numpy(csc.indptr[start : stop + 1] - csc.indptr[start]),
        torch.from_numpy(csc.indices[edges].astype(np.int64)),
        start,
    )
    src, dst = (end.long() for end in block.graph.edges())
    assert sources[: stop - start].tolist() == list(range(start, stop))
    assert len(sources) == len(torch.unique(sources)) == block.num_src
    found = zip(sources[src].tolist(), (dst + start).tolist(), strict=True)
    expected = zip(csc.indices[edges].tolist(), csc.destinations()[edges].tolist(), strict=True)
    assert Counter(found) == Counter(expected)
