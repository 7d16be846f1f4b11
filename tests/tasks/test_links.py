"""Link batches hold every positive once an epoch, and their loss is the written-out one."""

from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from sided_graphs import between, graph_of
from small_graphs import shard_of, small_csc

from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.models import sampled_fanouts
from hvdtma.sampling.shard import load_shard
from hvdtma.tasks import make_model, make_task
from hvdtma.tasks.links import LinkTask, Positives

KINDS = ["local", "global", "shared", "in-batch", "shared in-batch"]


def config_for(store, *, model=None, first_hop=False, **task):
    kind = task.get("negatives", "local")
    if kind.startswith("shared"):
        task |= {"negatives": kind.removeprefix("shared").strip() or "local"}
        task |= {"share_negatives": True}
    model = {"hidden": 8, "fanouts": [3, 3]} | (model or {})
    plain = {"decoder": "mlp", "loss": "bce", "num_negatives": 1, "share_negatives": False}
    plain |= {"replaced_ends": "destination"}
    values = {"store": str(store.path), "run": "unused", "rounds": 1, "first_hop": first_hop}
    values |= {"sampler": {"name": "neighbour"}, "model": model, "task": plain | task}
    return parse_config(values)


def everything(store, *, first_hop=False):
    return load_shard(store, np.arange(store.num_blocks), first_hop=first_hop)


def epoch_of(task, shard, stream=(0, 0, 0)):
    """The batches of the first epoch, as (source, destination, type) in the shard's numbers."""
    size = task.task.batch_size
    links = task.num_examples(shard)
    return list(islice(task.batches(shard, stream=list(stream)), -(-links // size)))


def seeds_of(batch):
    """The shard's number of each seed, in a batch with sampled blocks."""
    return batch.neighbourhood.nodes[: batch.neighbourhood.blocks[-1].num_dst]


def negatives_of(batch):
    """The number of the positive and the seed of each negative."""
    if not batch.shared:
        return batch.neg_row, batch.neg_node
    pairs = [torch.zeros(2, 0, dtype=torch.int64)]
    for shared in batch.shared:
        is_negative = torch.ones(len(shared.row), len(shared.node), dtype=torch.bool)
        is_negative[shared.linked[0], shared.linked[1]] = False
        row, column = torch.nonzero(is_negative, as_tuple=True)
        pairs.append(torch.stack([shared.row[row], shared.node[column]]))
    return tuple(torch.cat(pairs, 1))


def positives_of(batch):
    seeds = seeds_of(batch)
    types = torch.zeros_like(batch.src) if batch.edge_type is None else batch.edge_type
    ends = (seeds[batch.src], seeds[batch.dst], types)
    return list(zip(*(end.tolist() for end in ends), strict=True))


@pytest.mark.parametrize("batch_size", [7, 100_000])
def test_an_undirected_link_is_a_positive_once_an_epoch(community_store, batch_size):
    shard = everything(community_store)
    task = make_task(config_for(community_store, batch_size=batch_size), community_store)
    assert task.num_examples(shard) == community_store.num_edges / 2
    batches = epoch_of(task, shard)
    assert all(batch.size == batch_size for batch in batches[:-1])
    seen = Counter(frozenset(edge[:2]) for batch in batches for edge in positives_of(batch))
    ends = zip(shard.csc.indices.tolist(), shard.csc.destinations().tolist(), strict=True)
    assert seen == Counter({frozenset(pair): 1 for pair in ends})
    turned = np.mean([u > v for batch in batches for u, v, _ in positives_of(batch)])
    assert 0.4 < turned < 0.6  # negatives replace either end


def test_a_directed_link_of_each_type_is_a_positive_once_an_epoch(typed_store):
    shard = everything(typed_store)
    task = make_task(config_for(typed_store, batch_size=64), typed_store)
    batches = epoch_of(task, shard)
    assert sum(batch.size for batch in batches) == typed_store.num_edges
    csc = shard.csc
    edges = zip(
        csc.indices.tolist(), csc.destinations().tolist(), csc.edge_type.tolist(), strict=True
    )
    assert Counter(edge for batch in batches for edge in positives_of(batch)) == Counter(edges)


def test_epochs_follow_without_end_each_in_an_order_of_its_own(typed_store):
    shard = everything(typed_store)
    task = make_task(config_for(typed_store, batch_size=400), typed_store)
    number = -(-task.num_examples(shard) // 400)
    batches = [positives_of(batch) for batch in islice(task.batches(shard, stream=[0]), 2 * number)]
    first, second = (list(chain(*part)) for part in (batches[:number], batches[number:]))
    assert Counter(first) == Counter(second)
    assert first != second


@settings(max_examples=40, deadline=None)
@given(small_csc(undirected=True))
def test_positives_of_any_undirected_shard_are_half_its_edges(csc):
    positives = Positives(shard_of(csc), undirected=True)
    assert len(positives) == csc.num_edges / 2
    src, dst, types = positives.take(np.arange(len(positives)))
    assert (src < dst).all()
    found = zip(src, dst, types, strict=True)
    assert set(found) <= set(zip(csc.indices, csc.destinations(), csc.edge_type, strict=True))


def same(first, second):
    return all(
        a.equal(b)
        for a, b in (
            (first.src, second.src),
            (first.dst, second.dst),
            (torch.stack(negatives_of(first)), torch.stack(negatives_of(second))),
            (seeds_of(first), seeds_of(second)),
            (first.neighbourhood.x, second.neighbourhood.x),
        )
    )


@pytest.mark.parametrize("negatives", KINDS)
def test_batches_are_a_function_of_their_stream(community_store, negatives):
    shard = everything(community_store)
    task = make_task(config_for(community_store, negatives=negatives), community_store)
    one, again, other = (next(task.batches(shard, stream=s)) for s in ([1, 2], [1, 2], [1, 3]))
    assert same(one, again)
    assert not (one.src.equal(other.src) and one.dst.equal(other.dst))


@pytest.mark.parametrize("negatives", KINDS)
@pytest.mark.parametrize("first_hop", [False, True])
def test_no_negative_of_a_batch_is_a_link(community_store, negatives, first_hop):
    blocks = np.arange(0, 60, 2)
    config = config_for(community_store, negatives=negatives, num_negatives=5, first_hop=first_hop)
    task = make_task(config, community_store)
    assert task.needs_remote == (negatives == "global")
    shard = load_shard(community_store, blocks, first_hop=first_hop, remote=task.needs_remote)
    batch = next(task.batches(shard, stream=[0]))
    seeds = seeds_of(batch).numpy()
    row, node = negatives_of(batch)
    src, neg = seeds[batch.src[row]], seeds[node]
    assert len(neg)
    assert not (shard.csc.has_edges(src, neg) | shard.csc.has_edges(neg, src) | (src == neg)).any()
    assert (neg >= shard.num_own).any() == (negatives == "global")


@pytest.mark.parametrize("exclude", [True, False])
def test_a_positive_passes_messages_only_if_asked(community_store, exclude):
    shard = everything(community_store, first_hop=True)
    model = {"fanouts": [-1, -1]}
    config = config_for(community_store, model=model, exclude_targets=exclude, batch_size=50)
    batch = next(make_task(config, community_store).batches(shard, stream=[0]))
    targets = {frozenset(edge[:2]) for edge in positives_of(batch)}
    inputs = batch.neighbourhood.nodes
    ends = inputs[batch.neighbourhood.blocks[-1].edge_index].tolist()
    messages = {frozenset(pair) for pair in zip(*ends, strict=True)}
    assert not targets & messages if exclude else targets <= messages
    assert batch.neighbourhood.first_hop.mean.equal(shard.hop.mean[inputs]) == (not exclude)


def written_loss(model, batch):
    """The loss by its formula, one link after another."""
    h = model.encoder(
        batch.neighbourhood.blocks, batch.neighbourhood.x, batch.neighbourhood.first_hop
    )

    def score(u, v, row):
        kind = None if batch.edge_type is None else batch.edge_type[row : row + 1]
        return torch.sigmoid(model.head(h[u : u + 1], h[v : v + 1], kind))[0]

    positive = [
        -torch.log(score(u, v, row))
        for row, (u, v) in enumerate(zip(batch.src, batch.dst, strict=True))
    ]
    negative = [
        -torch.log(1 - score(batch.src[row], v, row))
        for row, v in zip(*negatives_of(batch), strict=True)
    ]
    return (torch.stack(positive).mean() + torch.stack(negative).mean()) / 2


@pytest.mark.parametrize(
    ("decoder", "negatives"),
    [
        ("dot", "local"),
        ("mlp", "shared"),
        ("concat", "shared"),
        ("cosine", "shared"),
        ("bilinear", "shared in-batch"),
        ("distmult", "local"),
        ("distmult", "in-batch"),
    ],
)
def test_the_loss_is_the_one_that_is_written_down(typed_store, decoder, negatives):
    config = config_for(
        typed_store, decoder=decoder, negatives=negatives, num_negatives=3, batch_size=20
    )
    task = make_task(config, typed_store)
    model = make_model(config, typed_store, task)
    if decoder == "distmult":
        torch.nn.init.normal_(model.head.relation, 1, 0.5)
    batch = next(task.batches(everything(typed_store), stream=[0]))
    found, expected = task.loss(model, batch), written_loss(model, batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    of = list(model.encoder.parameters())
    gradients = [torch.autograd.grad(loss, of) for loss in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("negatives", KINDS)
def test_a_batch_of_one_can_be_trained_on(community_store, negatives):
    config = config_for(community_store, negatives=negatives, batch_size=1)
    task = make_task(config, community_store)
    model = make_model(config, community_store, task)
    batch = next(task.batches(everything(community_store), stream=[0]))
    assert batch.size == 1
    loss = task.loss(model, batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert (len(negatives_of(batch)[0]) == 0) == ("in-batch" in negatives)


def test_each_seed_is_embedded_once(community_store):
    config = config_for(community_store, negatives="shared", num_negatives=40, batch_size=500)
    batch = next(
        make_task(config, community_store).batches(everything(community_store), stream=[0])
    )
    seeds = seeds_of(batch)
    assert len(torch.unique(seeds)) == len(seeds)
    used = torch.cat([batch.src, batch.dst, *(s.node for s in batch.shared)]).unique()
    assert used.tolist() == list(range(len(seeds)))


def test_distmult_needs_a_store_with_types(community_store):
    config = config_for(community_store, decoder="distmult")
    with pytest.raises(UserError, match="edge types"):
        make_model(config, community_store, make_task(config, community_store))


def test_a_first_hop_must_have_been_stored(community_raw, tmp_path):
    store = build(tmp_path / "x.zarr", community_raw, BuildOptions(first_hop=False, negatives=2))
    with pytest.raises(UserError, match="was built without it; set first_hop=false, or build"):
        make_task(config_for(store, first_hop=True), store)


@pytest.mark.parametrize(
    ("model", "first_hop", "expected"),
    [
        ({"layers": 3, "fanouts": None}, False, [10, 25, 25]),
        ({"layers": 3, "fanouts": None}, True, [25, 25]),
        ({"layers": 1, "fanouts": [4]}, True, []),
        ({"layers": 2, "fanouts": [4, -1]}, True, [-1]),
        ({"layers": 2, "fanouts": None, "encoder": "mlp"}, False, []),
    ],
)
def test_fanouts_are_of_the_hops_that_are_sampled(community_store, model, first_hop, expected):
    config = config_for(community_store, model=model, first_hop=first_hop)
    assert sampled_fanouts(config) == expected
    task = make_task(config, community_store)
    assert make_model(config, community_store, task).num_blocks == len(expected)
    batch = next(task.batches(everything(community_store, first_hop=first_hop), stream=[0]))
    assert len(batch.neighbourhood.blocks) == len(expected)
    assert torch.isfinite(task.loss(make_model(config, community_store, task), batch))


@pytest.mark.parametrize(
    ("encoder", "first_hop"),
    [("sage", False), ("sage", True), ("gcn", False), ("gcn", True), ("gat", False)],
)
def test_a_whole_step_moves_to_another_device(typed_store, encoder, first_hop):
    model = {"encoder": encoder}
    config = config_for(typed_store, model=model, first_hop=first_hop, decoder="distmult")
    task = make_task(config, typed_store)
    shard = everything(typed_store, first_hop=first_hop)
    batch = next(task.batches(shard, stream=[0]))
    assert batch.to(torch.device("cpu")) is batch
    there = torch.device("meta")  # refuses to meet what was left on the CPU
    loss = task.loss(make_model(config, typed_store, task).to(there), batch.to(there))
    loss.backward()
    assert loss.device == there


def test_the_initial_model_is_a_function_of_the_seed(typed_store):
    config = config_for(typed_store)
    task = make_task(config, typed_store)
    assert isinstance(task, LinkTask)
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    first, second = (make_model(config, typed_store, task).state_dict() for _ in range(2))
    other = make_model(config.model_copy(update={"seed": 1}), typed_store, task).state_dict()
    assert all(first[name].equal(second[name]) for name in first)
    assert not first["encoder.layers.0.own.weight"].equal(other["encoder.layers.0.own.weight"])
    assert torch.rand(3).equal(expected)  # and the generator of others is as it was


@pytest.fixture(scope="module")
def sided_store(tmp_path_factory):
    """60 users who buy 40 items and live in 10 cities; directed."""
    buys = between(np.arange(60), np.arange(60, 100), 600)
    lives = between(np.arange(60), np.arange(100, 110), 200)
    raw = graph_of([buys, lives], types=["buys", "lives in"])
    options = BuildOptions(valid=20, test=20, negatives=5, block_nodes=10)
    return build(tmp_path_factory.mktemp("sided") / "x.zarr", raw, options)


@pytest.mark.parametrize("negatives", KINDS)
@pytest.mark.parametrize("blocks", [slice(None), slice(0, 6)])
def test_batches_replace_a_destination_by_one_of_its_type(sided_store, negatives, blocks):
    """Of the trainer's own blocks."""
    remote = negatives == "global"
    shard = load_shard(sided_store, np.arange(sided_store.num_blocks)[blocks], remote=remote)
    ids = np.array(sided_store.node_ids().to_list())[shard.nodes]
    config = config_for(sided_store, negatives=negatives, num_negatives=40, batch_size=300)
    task = make_task(config, sided_store)
    drawn = {0: set(), 1: set()}
    for batch in epoch_of(task, shard):
        row, node = negatives_of(batch)
        replaced, types = ids[seeds_of(batch)[node]], batch.edge_type[row].numpy()
        for kind in drawn:
            drawn[kind] |= set(replaced[types == kind].tolist())
    seen = ids if negatives == "global" else ids[: shard.num_own]
    for kind, side in ((0, range(60, 100)), (1, range(100, 110))):
        assert drawn[kind] <= set(side)
        assert len(drawn[kind]) > 0.6 * len(set(side) & set(seen.tolist()))


def test_all_nodes_are_an_option(sided_store):
    shard = everything(sided_store)
    config = config_for(sided_store, negative_destinations="all", num_negatives=9)
    batch = next(make_task(config, sided_store).batches(shard, stream=[0]))
    ids = np.array(sided_store.node_ids().to_list())
    assert (ids[seeds_of(batch)[batch.neg_node]] < 60).any()


def test_a_link_task_says_what_it_chose_and_what_looks_wrong(sided_store, community_store):
    def said(store, decoder="cosine", **task):
        remarks = make_task(config_for(store, decoder=decoder, **task), store).remarks()
        return [remark.text for remark in remarks], [remark.is_warning for remark in remarks]

    texts, _ = said(sided_store)
    assert texts[0].startswith("negatives: drawn by edge type: buys: the 40 nodes seen")
    assert said(community_store) == ([], [])
    for decoder in ("mlp", "dot", "distmult"):
        texts, warnings = said(sided_store, decoder=decoder, negative_destinations="all")
        assert warnings == [True]
        assert f"the decoder {decoder} gives both directions of a link the same" in texts[0]
    for decoder in ("bilinear", "cosine"):
        assert said(sided_store, decoder=decoder, negative_destinations="all") == ([], [])
    assert said(community_store, decoder="dot") == ([], [])
