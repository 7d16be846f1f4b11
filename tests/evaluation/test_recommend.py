"""The best partners are those of brute force over all nodes, whatever the blocks."""

import numpy as np
import pytest
import torch
from sided_graphs import between, graph_of
from untrained_runs import DECODERS, brute_force, untrained_run

import hvdtma
from hvdtma import UserError, recommend
from hvdtma.evaluation import approximate
from hvdtma.evaluation import embed as embedding
from hvdtma.evaluation import recommend as module
from hvdtma.evaluation.best_of import best_columns
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.models.decoders import is_factored
from hvdtma.storage.node_ids import NodeIds
from hvdtma.storage.row_file import RowFile


@pytest.fixture(scope="module")
def community_run(tmp_path_factory, community_store):
    return untrained_run(tmp_path_factory.mktemp("runs") / "community", community_store)


def known(store, node: int, kind: int | None = None) -> set[int]:
    """The destinations of a node's training links, row by row."""
    rows = store.rows(0, store.num_nodes)
    found = set()
    for dst in range(store.num_nodes):
        for at in range(rows.indptr[dst], rows.indptr[dst + 1]):
            if rows.indices[at] == node and (kind is None or rows.edge_type[at] == kind):
                found.add(dst)
    return found


def expected(run, store, node: int, k: int, *, kind=None, left_out=(), among=None) -> list:
    """The ids of the k best by score, then by node number."""
    score_N = brute_force(run, node, kind)
    candidates = range(store.num_nodes) if among is None else among
    left = [n for n in candidates if n != node and n not in left_out]
    ids = store.node_ids()
    return [ids[n] for n in sorted(left, key=lambda n: (-score_N[n], n))[:k]]


@pytest.mark.parametrize("on_disk", [False, True])
def test_the_best_of_small_blocks_are_those_of_brute_force(
    community_run, community_store, monkeypatch, on_disk
):
    monkeypatch.setattr(module, "NODES_AT_ONCE", 3)
    monkeypatch.setattr(module, "CANDIDATES_AT_ONCE", 7)
    if on_disk:
        monkeypatch.setattr(embedding, "split_rows_and_work", lambda *a: (False, a[2].num_bytes))
    run = hvdtma.Run.load(community_run, memory_gb=0.9)
    assert isinstance(run.predictor.embeddings._rows, RowFile) == on_disk
    ids = community_store.node_ids()
    asked = [17, 3, 599, 0]
    table = hvdtma.recommend(run, nodes=[ids[n] for n in asked], k=9)
    found = table["partner"].to_pylist()
    for row, node in enumerate(asked):
        links = known(community_store, node)
        assert links
        assert found[9 * row : 9 * row + 9] == expected(
            run, community_store, node, 9, left_out=links
        )
    assert table["rank"].to_pylist() == list(range(1, 10)) * 4


def test_known_links_are_left_out_unless_they_are_wanted(community_run, community_store):
    ids = community_store.node_ids()
    links = known(community_store, 5)
    everything = community_run.topk(ids[5], 599, known="include")
    assert everything.ids == expected(community_run, community_store, 5, 599)
    rest = community_run.topk(ids[5], 599)
    assert set(everything.ids) - set(rest.ids) == {ids[n] for n in links}
    pairs = [(ids[5], other) for other in everything.ids]
    assert np.allclose(everything.scores, community_run.score(pairs), rtol=1e-6)
    held_out = community_store.links("test")
    src, dst = ids[held_out.src[0]], ids[held_out.dst[0]]
    assert dst in community_run.topk(src, 599 - len(known(community_store, held_out.src[0]))).ids


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """120 nodes of which 100 have the same features and no link: all their scores are equal."""
    rng = np.random.default_rng(0)
    feat = np.ones((120, 4), np.float32)
    feat[:20] = rng.normal(size=(20, 4))
    src, dst = rng.integers(0, 20, (2, 90))
    raw = RawGraph(src, dst, NodeIds.counted(120), feat=feat)
    path = tmp_path_factory.mktemp("twins") / "g.zarr"
    return build(path, raw, BuildOptions(negatives=5, block_nodes=10))


@pytest.mark.parametrize("decoder", ["dot", "cosine", "bilinear"])
@pytest.mark.parametrize("block", [1, 6, 33, 1 << 15])
def test_ties_are_in_the_order_of_the_store_whatever_the_blocks(
    twins, tmp_path, monkeypatch, decoder, block
):
    monkeypatch.setattr(module, "CANDIDATES_AT_ONCE", block)
    run = untrained_run(tmp_path / "run", twins, task={"decoder": decoder})
    for node in (0, 60):
        best = run.topk(twins.node_ids()[node], 50, known="include")
        assert best.ids == expected(run, twins, node, 50)
    assert len(set(best.scores.tolist())) < 50


def scrambled(run):
    """Parameters that begin as ones or zeros would hide which type or direction is meant."""
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in run.model.head.parameters():
            parameter.copy_(torch.randn_like(parameter) / len(parameter.shape))
    return run


@pytest.mark.parametrize("decoder", DECODERS)
def test_of_every_decoder_the_best_are_those_of_brute_force(
    community_store, tmp_path, monkeypatch, decoder
):
    if decoder == "distmult":
        pytest.skip("it needs edge types, and has the next test")
    monkeypatch.setattr(module, "CANDIDATES_AT_ONCE", 50)
    run = scrambled(untrained_run(tmp_path / "run", community_store, task={"decoder": decoder}))
    best = run.topk(community_store.node_ids()[8], 20, known="include")
    check_best(run, community_store, best, 8, 20)


@pytest.mark.parametrize("decoder", DECODERS)
def test_of_every_decoder_each_edge_type_has_its_own_scores_and_known_links(
    typed_store, tmp_path, decoder
):
    run = scrambled(untrained_run(tmp_path / "run", typed_store, task={"decoder": decoder}))
    for kind, name in enumerate(typed_store.edge_type_names):
        best = run.topk(typed_store.node_ids()[4], 12, type=name)
        links = known(typed_store, 4, kind)
        check_best(run, typed_store, best, 4, 12, kind=kind, left_out=links)


def check_best(run, store, best, node, k, *, kind=None, left_out=()):
    """The same nodes in the same order where scores factor; elsewhere the same scores."""
    score_N = brute_force(run, node, kind)
    place = store.node_ids().lookup(best.ids)
    others = np.delete(score_N, [node, *left_out])
    assert np.allclose(best.scores, np.sort(others)[::-1][:k], rtol=1e-5, atol=1e-5)
    assert np.allclose(best.scores, score_N[place], rtol=1e-5, atol=1e-5)
    assert not {node, *left_out} & set(place.tolist())
    if is_factored(run.model.head):
        assert best.ids == expected(run, store, node, k, kind=kind, left_out=left_out)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Users 0 to 29 buy items 30 to 109."""
    edges = between(np.arange(30), np.arange(30, 110), 300)
    path = tmp_path_factory.mktemp("shop") / "g.zarr"
    return build(path, graph_of([edges], undirected=True), BuildOptions(negatives=5))


def test_users_get_items_and_items_get_users(shop, tmp_path):
    run = untrained_run(tmp_path / "run", shop)
    assert set(run.topk(3, 80, known="include").ids) == set(range(30, 110))
    assert set(run.topk(50, 30, known="include").ids) == set(range(30))
    with pytest.raises(hvdtma.UserError, match=r"k is 81, but '3' has 80 candidates.*k=80 or less"):
        run.topk(3, 81)
    number = len(run.topk(3, 80).ids)
    assert number == 80 - len(known(shop, int(shop.node_ids().lookup([3])[0])))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"k": 600}, ["k is 600", "599 candidates", "k=599 or less"]),
        ({"k": 10**15}, ["k is 1000000000000000", "from 1 to 2147483647"]),
        ({"k": 0}, ["k is 0; it must be a whole number, at least 1"]),
        ({"type": "likes"}, ["has no edge types"]),
        ({"known": "exlude"}, ["valid: exclude, include; did you mean 'exclude'?"]),
        ({"store": "no.zarr"}, ["no store at no.zarr"]),
        ({"heads": "no"}, ["no argument 'heads'", "'header'"]),
    ],
)
def test_wrong_questions_say_what_is_valid(community_run, community_store, arguments, words):
    first = community_store.node_ids()[0]
    with pytest.raises(hvdtma.UserError) as refused:
        hvdtma.recommend(community_run, **{"nodes": [first]} | arguments)
    for word in words:
        assert word in str(refused.value), refused.value


@pytest.mark.parametrize("id", [None, 5.0, True, "", b"x", ["x"], np.array(["a", "b"])])
def test_the_id_of_a_node_is_an_integer_or_text(community_run, id):
    for ask in (community_run.topk, community_run.embedding):
        with pytest.raises(hvdtma.UserError, match=r"^the id of a node is .*; valid: an integer"):
            ask(id)


def test_an_unknown_node_is_named_without_a_remedy_that_leaves_nothing(
    community_run, hvdtma, community_store
):
    with pytest.raises(UserError, match=f"^the graph has no node '{2**70}'"):
        community_run.topk(2**70)
    near = f"{community_store.node_ids()[0]}0"
    for more in ([], ["--skip-unknown"]):
        status, _, err = hvdtma("recommend", community_run.path, "--node", near, *more)
        said = " ".join(err.split())
        assert status == 2
        assert f"error: the graph has no node '{near}'; ids like" in said
        assert "--skip-unknown" not in said
    with pytest.raises(UserError, match=r"^the nodes: there are no ids$"):
        recommend(community_run, nodes=[])
    with pytest.raises(UserError, match="no id is one of the graph; all 2 ids are left out"):
        recommend(community_run, nodes=[1, 2], skip_unknown=True)


def test_all_partners_of_one_node_are_on_the_terminal(community_run, hvdtma, community_store):
    node = community_store.node_ids()[3]
    status, out, err = hvdtma("recommend", community_run.path, "--node", node, "-k", 599)
    assert status == 0, err
    best = community_run.topk(node, 599)
    assert [line.split()[5] for line in out.splitlines()[3:-1]] == [str(id) for id in best.ids]
    assert "more rows" not in out
    assert "1 node has fewer than 599 candidates that are no known links" in err


def test_an_edge_type_is_named_or_the_valid_ones_are(typed_store, tmp_path):
    run = untrained_run(tmp_path / "run", typed_store)
    node = typed_store.node_ids()[0]
    with pytest.raises(hvdtma.UserError, match=r"3 edge types; .*valid: depends, suggests, breaks"):
        run.topk(node)
    with pytest.raises(hvdtma.UserError, match=r"no edge type 'depend'; .*did you mean 'depends'"):
        run.topk(node, type="depend")


def test_repeated_ids_are_counted_and_answered_once(community_run, community_store, capsys):
    ids = [community_store.node_ids()[n] for n in (4, 9, 4)]
    table = hvdtma.recommend(community_run, nodes=ids, k=2)
    assert table["id"].to_pylist() == [ids[0], ids[0], ids[1], ids[1]]
    assert "the nodes: 1 of 3 ids are repeated; each id is answered once" in capsys.readouterr().err


@pytest.mark.parametrize("pieces", [None, 7])
def test_an_index_finds_most_of_the_exact_partners(
    community_run, community_store, capsys, monkeypatch, pieces
):
    """Also where few nodes' links are read, and few candidates found, at a time."""
    pytest.importorskip("faiss", reason="FAISS is optional")
    if pieces:
        monkeypatch.setattr(approximate, "KNOWN_AT_ONCE", pieces)
        monkeypatch.setattr(approximate, "FOUND_AT_ONCE", 10 * pieces)
    ids_of = community_store.node_ids().to_list()
    ids = ids_of[:50]
    exact = hvdtma.recommend(community_run, nodes=ids, k=10)
    found = hvdtma.recommend(community_run, nodes=ids, k=10, approximate=True)
    assert found["id"].to_pylist() == exact["id"].to_pylist()
    pairs = [{(row["id"], row["partner"]) for row in t.to_pylist()} for t in (exact, found)]
    assert len(pairs[0] & pairs[1]) > 450
    links = {(node, ids_of[n]) for at, node in enumerate(ids) for n in known(community_store, at)}
    assert not links & pairs[1]
    assert "of the 500 exact partners of 50 nodes were found" in capsys.readouterr().err


def test_without_faiss_the_message_says_how_to_get_it(community_run, community_store, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(hvdtma.UserError, match="pip install faiss-cpu"):
        hvdtma.recommend(community_run, node=community_store.node_ids()[0], approximate=True)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_best_columns_break_ties_by_their_order(k):
    score = torch.tensor([[1.0, 2, 2, 0, 2, 1], [0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0]])
    found = best_columns(score, k)
    for row, columns in zip(score.tolist(), found.tolist(), strict=True):
        assert columns == sorted(range(6), key=lambda c: (-row[c], c))[:k]
