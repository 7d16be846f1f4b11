"""Losses equal the ones that are written out, and a product scores as pairs do."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.models.decoders import (
    BilinearDecoder,
    ConcatMLPDecoder,
    CosineDecoder,
    DistMultDecoder,
    DotDecoder,
    HadamardMLPDecoder,
    is_factored,
)
from hvdtma.sampling.shard import load_shard
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tasks import make_task
from hvdtma.tasks.link_batch import LinkBatch, SharedSet, score_batch
from hvdtma.tasks.link_losses import LOSSES, LinkScores
from hvdtma.tasks.popularity import correct_popularity

INF = float("inf")


def written(name, pairs):
    """The loss of a list of (positive, its negatives), one number after another."""
    if name == "softmax":
        each = [-(p - torch.stack([p, *n]).exp().sum().log()) for p, n in pairs]
        return torch.stack(each).mean()
    every = [(p, n) for p, negatives in pairs for n in negatives]
    if name == "margin":
        return torch.stack([(1 - p + n).clamp(min=0) for p, n in every]).mean()
    positive = torch.stack([softplus(-p) for p, _ in pairs]).mean()
    return (positive + torch.stack([softplus(n) for _, n in every]).mean()) / 2


def groups_of_negatives():
    """The same negatives as a matrix, as a list by row, and written out."""
    torch.manual_seed(0)
    positive = torch.randn(4, requires_grad=True)
    negative = torch.randn(4, 3, requires_grad=True)
    is_one = torch.tensor([[1, 1, 1], [0, 1, 0], [1, 0, 1], [1, 1, 0]]).bool()
    matrix = LinkScores(positive, negative.masked_fill(~is_one, -INF))
    row, column = torch.nonzero(is_one, as_tuple=True)
    mixed = torch.randperm(len(row))
    by_row = LinkScores(positive, negative[row, column][mixed], row[mixed])
    pairs = [(positive[r], list(negative[r][is_one[r]])) for r in range(4)]
    return (positive, negative), {"matrix": [matrix], "by row": [by_row], "pairs": pairs}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("form", ["matrix", "by row"])
def test_a_loss_is_the_one_that_is_written_down(name, form):
    of, forms = groups_of_negatives()
    found, expected = LOSSES[name](forms[form]), written(name, forms["pairs"])
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad(loss, of, retain_graph=True) for loss in (found, expected)]
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)
        assert torch.isfinite(left).all()


@pytest.mark.parametrize("name", LOSSES)
def test_several_groups_are_one_loss(name):
    _, forms = groups_of_negatives()
    (scores,) = forms["matrix"]
    halves = [LinkScores(scores.positive[part], scores.negative[part]) for part in ([0, 2], [1, 3])]
    torch.testing.assert_close(LOSSES[name](halves), LOSSES[name]([scores]))


@pytest.mark.parametrize("name", LOSSES)
def test_positives_without_negatives_have_a_finite_loss(name):
    positive = torch.randn(3, requires_grad=True)
    for scores in (
        LinkScores(positive, torch.empty(3, 0)),
        LinkScores(positive, torch.full((3, 2), -INF)),
        LinkScores(positive, torch.empty(0), torch.empty(0, dtype=torch.int64)),
    ):
        loss = LOSSES[name]([scores])
        (gradient,) = torch.autograd.grad(loss, positive, allow_unused=True)
        assert torch.isfinite(loss)
        assert gradient is None or torch.isfinite(gradient).all()


DECODERS = {
    "dot": lambda: DotDecoder(6),
    "cosine": lambda: CosineDecoder(6, undirected=True),
    "cosine, directed, typed": lambda: CosineDecoder(6, num_types=3),
    "distmult": lambda: DistMultDecoder(6, 3),
    "bilinear": lambda: BilinearDecoder(6),
    "bilinear, typed": lambda: BilinearDecoder(6, 3),
    "mlp": lambda: HadamardMLPDecoder(6),
    "concat": lambda: ConcatMLPDecoder(6, 3),
}


def batch_of(typed):
    types = torch.tensor([0, 2, 1, 1]) if typed else None
    src, dst = torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5, 6, 4])
    no = torch.empty(0, dtype=torch.int64)
    nothing = torch.empty(2, 0, dtype=torch.int64)
    shared = [
        SharedSet(torch.tensor([0, 3]), torch.tensor([5, 7, 8]), torch.tensor([[1, 0], [2, 1]])),
        SharedSet(torch.tensor([1, 2]), torch.tensor([4, 8]), nothing, of_sources=True),
    ]
    turned = torch.tensor([False, True, True, False])
    return LinkBatch(None, src, dst, types, no, no, turned, shared)


@pytest.mark.parametrize("name", DECODERS)
def test_a_product_scores_as_pairs_do(name):
    torch.manual_seed(0)
    head = DECODERS[name]()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    assert is_factored(head) == (name not in ("mlp", "concat"))
    batch, h = batch_of("typed" in name or name in ("distmult", "concat")), torch.randn(9, 6)

    def score(link, node=None):
        kind = None if batch.edge_type is None else batch.edge_type[[link]]
        ends = [batch.src[link], batch.dst[link]]
        if node is not None:
            ends[0 if batch.turned[link] else 1] = node
        return head(h[ends[0]][None], h[ends[1]][None], kind)[0]

    found = score_batch(head, h, batch)
    for scores, shared in zip(found, batch.shared, strict=True):
        linked = set(zip(*shared.linked.tolist(), strict=True))
        for r, link in enumerate(shared.row.tolist()):
            torch.testing.assert_close(scores.positive[r], score(link))
            for c, node in enumerate(shared.node.tolist()):
                expected = torch.tensor(-INF) if (r, c) in linked else score(link, node)
                torch.testing.assert_close(scores.negative[r, c], expected)


def test_the_cosine_of_an_undirected_store_is_symmetric_and_of_a_directed_one_is_not():
    torch.manual_seed(0)
    u, v = torch.randn(2, 5, 6)
    both = CosineDecoder(6, undirected=True)
    one = CosineDecoder(6)
    assert both.symmetric
    assert not one.symmetric
    torch.testing.assert_close(both(u, v), both(v, u))
    assert not torch.allclose(one(u, v), one(v, u))
    bound = both.log_scale.exp() + both.bias[0](u)[:, 0].abs() + both.bias[0](v)[:, 0].abs()
    assert (both(u, v).abs() <= bound + 1e-5).all()


def test_a_correction_is_taken_from_the_scores_of_each_replaced_end_and_negative():
    batch = batch_of(typed=False)
    batch.log_replaced, batch.log_negative = torch.randn(4), torch.zeros(0)
    for shared in batch.shared:
        shared.log_drawn = torch.randn(len(shared.node))
    groups = [
        LinkScores(torch.randn(2), torch.randn(2, 3)),
        LinkScores(torch.randn(2), torch.randn(2, 2)),
    ]
    after = correct_popularity(groups, batch)
    for before, corrected, shared in zip(groups, after, batch.shared, strict=True):
        torch.testing.assert_close(
            corrected.positive, before.positive - batch.log_replaced[shared.row]
        )
        torch.testing.assert_close(corrected.negative, before.negative - shared.log_drawn)


def batches_by_popularity(folder, *, undirected, share):
    """A task, a shard with a hub of out-links (0) and one of in-links (1), and its batches."""
    rng = np.random.default_rng(0)
    src = np.r_[rng.integers(0, 60, 200), np.zeros(40, int), np.arange(2, 52)]
    dst = np.r_[rng.integers(0, 60, 200), np.arange(2, 42), np.ones(50, int)]
    x = np.zeros((60, 2), np.float32)
    graph = RawGraph(src, dst, NodeIds.counted(60), undirected=undirected, feat=x)
    store = build(folder / "hubs.zarr", graph, BuildOptions(valid=1, test=1, negatives=1))
    task = {
        "negatives": "in-batch",
        "popularity_correction": True,
        "share_negatives": share,
        "num_negatives": 1000 if share else 1,
        "batch_size": 24,
    }
    config = {"store": str(store.path), "run": "unused", "rounds": 1, "task": task}
    config = parse_config(config | {"sampler": {"name": "neighbour"}})
    made, shard = make_task(config, store), load_shard(store, np.arange(store.num_blocks))
    return shard, islice(made.batches(shard, stream=[0]), 2000)


@pytest.mark.parametrize("undirected", [False, True])
def test_shared_ends_are_corrected_by_how_often_they_are_drawn(undirected, tmp_path):
    """Against counted frequencies, of batches in which as many links are turned as are not."""
    _, batches = batches_by_popularity(tmp_path, undirected=undirected, share=True)
    drawn, said, number = np.zeros((2, 60)), np.full((2, 60), np.nan), 0
    links = 24 if undirected else 12
    for batch in batches:
        nodes = batch.neighbourhood.nodes.numpy()
        for group in batch.shared:
            if len(group.row) == links:
                node = nodes[group.node.numpy()]
                drawn[int(group.of_sources), node] += 1
                said[int(group.of_sources), node] = group.log_drawn.numpy()
                number += 1
    per_row = number if undirected else number / 2
    for row in range(1 if undirected else 2):
        often = drawn[row] > 40
        assert often.sum() > 20
        share = drawn[row, often] / per_row
        error = np.abs(np.log(share) - said[row, often])
        assert (error < 4 / np.sqrt(drawn[row, often]) + 0.1).all()


def test_own_ends_are_corrected_by_their_share_of_the_links(tmp_path):
    shard, batches = batches_by_popularity(tmp_path, undirected=False, share=False)
    links = len(shard.csc.indices)
    for batch in islice(batches, 20):
        nodes, turned = batch.neighbourhood.nodes.numpy(), batch.turned.numpy()
        for q, node in enumerate(nodes[batch.neg_node.numpy()]):
            is_source = turned[int(batch.neg_row[q])]
            ends = shard.csc.indices if is_source else shard.csc.destinations()
            expected = np.log((ends == node).sum() / links)
            assert float(batch.log_negative[q]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("negatives", "loss"), [("local", "softmax"), ("in-batch", "bce")])
def test_a_correction_that_does_not_fit_is_refused(negatives, loss):
    task = {"negatives": negatives, "loss": loss, "popularity_correction": True}
    with pytest.raises(UserError, match="only in-batch negatives are drawn by popularity"):
        parse_config({"store": "s", "run": "r", "rounds": 1, "task": task})
