"""A trained model of a typed graph is asked by type and id, and answers as the evaluator scores."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typed_graphs import BUYS, FOLLOWS, LIKES, edges_in, shop_graph, shop_store
from untrained_runs import untrained_run

import hvdtma
from hvdtma.core.errors import UserError
from hvdtma.tasks.metrics import ranks

USERS, ITEMS = "üser", "item"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return shop_store(tmp_path_factory.mktemp("typed") / "g.zarr", valid=0.1, test=0.1)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    return untrained_run(tmp_path_factory.mktemp("runs") / "links", store)


def scored_by_hand(run, kind, one, others):
    """The decoder's scores of one node with others, from the embeddings by type."""
    vectors = hvdtma.embed(run)
    number = torch.tensor([run.predictor.store.edge_type_names.index(str(kind))])
    rows = [
        torch.from_numpy(vectors[name].vectors[[list(vectors[name].ids).index(i) for i in ids]])
        for name, ids in ((kind.src, [one]), (kind.dst, others))
    ]
    head = run.model.head.double()
    with torch.no_grad():
        scores = [head(rows[0].double(), row[None].double(), number) for row in rows[1]]
    head.float()
    return torch.cat(scores).numpy()


@pytest.mark.parametrize("decoder", ["cosine", "mlp"])
def test_scores_are_the_evaluators(store, tmp_path, decoder):
    run = untrained_run(tmp_path / "run", store, task={"decoder": decoder})
    links, ids = store.links("test"), store.node_ids()
    dst_nC = np.concatenate([links.dst[:, None], links.neg], 1)
    number, width = dst_nC.shape
    table = pa.table(
        {
            "src": ids.take(np.repeat(links.src, width)).values,
            "dst": ids.take(dst_nC.ravel()).values,
            "kind": np.repeat(np.array(store.edge_type_names)[links.edge_type], width),
        }
    )
    score = torch.from_numpy(run.score(table, type_column="kind").copy()).view(number, width)
    mrr = float((1 / ranks(score[:, 0], score[:, 1:])).mean())
    assert mrr == pytest.approx(hvdtma.evaluate(run)["mrr"], abs=1e-6)


def test_an_id_is_looked_up_among_the_nodes_of_its_type(run):
    """User 7 and item 7 are two nodes, and a follower is none of the items."""
    pairs = [(7, 7), (7, 20), (30, 7)]
    expected = [scored_by_hand(run, BUYS, one, [other])[0] for one, other in pairs]
    np.testing.assert_allclose(run.score(pairs, type=str(BUYS)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.score(pairs, type="buys"), expected, rtol=1e-4, atol=1e-5)
    back = [(other, one) for one, other in pairs]
    turned = run.score(back, type=str(BUYS.reverse))
    np.testing.assert_array_equal(turned, run.score(pairs, type="buys"))
    assert not np.allclose(run.score(pairs, type=str(FOLLOWS)), expected)


@pytest.mark.parametrize("decoder", ["cosine", "mlp"])
@pytest.mark.parametrize("known", ["exclude", "include"])
def test_topk_is_that_of_brute_force_over_the_nodes_of_the_type(store, tmp_path, decoder, known):
    run = untrained_run(tmp_path / "run", store, task={"decoder": decoder})
    items = list(hvdtma.embed(run)[ITEMS].ids)
    scores = dict(zip(items, scored_by_hand(run, BUYS, 11, items), strict=True))
    edges = edges_in(store)
    bought = {i for i in items if ((USERS, 11), str(BUYS), (ITEMS, i)) in edges}
    assert bought
    left = {i: s for i, s in scores.items() if known == "include" or i not in bought}
    found = run.topk(11, 9, type="buys", known=known)
    best = sorted(left, key=left.get, reverse=True)[:9]
    assert found.ids == best
    np.testing.assert_allclose(found.scores, [left[i] for i in best], rtol=1e-4, atol=1e-5)


def test_the_other_direction_finds_users_of_an_item(run, store):
    users = list(hvdtma.embed(run)[USERS].ids)
    edges = edges_in(store)
    bought = {u for u in users if ((USERS, u), str(BUYS), (ITEMS, 3)) in edges}
    scores = {u: scored_by_hand(run, BUYS, u, [3])[0] for u in users if u not in bought}
    best = sorted(scores, key=scores.get, reverse=True)[:5]
    assert run.topk(3, 5, type=str(BUYS.reverse)).ids == best


def test_a_node_is_no_partner_of_itself_within_its_type(run):
    assert 11 not in run.topk(11, 119, type="follows", known="include").ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "4 edge types that can be scored; name one with type; valid: üser:buys"),
        ({"type": "üser:buy:item"}, "no edge type of the graph; .*did you mean 'üser:buys:item'"),
        ({"type": "item:rev_is out:shop"}, "no edge type of the graph; "),
        ({"type": "buys", "k": 81}, "k is 81, but '7' has 80 candidates"),
        ({"type": "follows", "k": 120}, "k is 120, but '7' has 119 candidates"),
        ({"type": "buys", "id": 5000}, "no node '5000' of the type 'üser'"),
        ({"type": "buys", "id": "item"}, "no node 'item' of the type 'üser'"),
    ],
)
def test_what_cannot_be_asked_is_named(run, options, message):
    given = {"id": 7, "k": 3} | options
    with pytest.raises(UserError, match=message):
        run.topk(given.pop("id"), given.pop("k"), **given)


def test_types_that_were_not_learned_are_refused_with_those_that_were(store, tmp_path):
    run = untrained_run(tmp_path / "run", store, task={"target": [str(BUYS), str(LIKES)]})
    with pytest.raises(UserError, match="did not learn this edge type; valid: üser:buys:item, ü"):
        run.topk(7, 3, type="follows")
    only = untrained_run(tmp_path / "only", store, task={"target": "buys"})
    assert only.topk(7, 3).ids == only.topk(7, 3, type=str(BUYS)).ids


def test_embeddings_are_asked_for_by_type_and_id(run):
    vectors = hvdtma.embed(run)
    for name in (USERS, ITEMS):
        row = list(vectors[name].ids).index(7)
        np.testing.assert_array_equal(run.embedding(7, type=name), vectors[name].vectors[row])
    with pytest.raises(UserError, match=r"has 3 node types; .* valid: üser, item, shop/1"):
        run.embedding(7)
    with pytest.raises(
        UserError, match=r"'itme' is no node type of the graph; .*did you mean 'item'"
    ):
        run.embedding(7, type="itme")


def test_labels_are_predicted_of_the_labelled_type_only(tmp_path):
    store = shop_store(tmp_path / "g.zarr", hold_out="nodes", valid=0.2, test=0.2)
    run = untrained_run(tmp_path / "run", store, task={"name": "nodes"})
    everything = run.predict()
    assert sorted(everything["id"].to_pylist()) == list(range(80))
    of_two = run.predict([70, 3], type=ITEMS)
    chosen = {row["id"]: row for row in everything.to_pylist()}
    for row in of_two.to_pylist():
        assert row["class"] == chosen[row["id"]]["class"]
        assert row["p_a"] == pytest.approx(chosen[row["id"]]["p_a"], abs=1e-6)
    with pytest.raises(UserError, match="predicts labels of 'item'"):
        run.predict(type=USERS)
    with pytest.raises(UserError, match="no node '100' of the type 'item'"):
        run.predict([100])


def test_a_pretrained_model_knows_its_types_without_the_store(run, store, tmp_path):
    folder = run.save_pretrained(tmp_path / "model")
    model = hvdtma.from_pretrained(folder)
    for name, value in run.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], value)
    vectors = hvdtma.embed(run)
    ends = vectors[USERS].vectors[:5], vectors[ITEMS].vectors[:5]
    pairs = list(zip(vectors[USERS].ids[:5], vectors[ITEMS].ids[:5], strict=True))
    np.testing.assert_array_equal(
        model.score_embeddings(*ends, type="buys"), run.score(pairs, type="buys")
    )
    on = model.on(store)
    np.testing.assert_array_equal(on.score(pairs, type="buys"), run.score(pairs, type="buys"))
    with pytest.raises(UserError, match="name one with type"):
        model.score_embeddings(*ends)
    assert "üser:buys:item" in (folder / "README.md").read_text()


def test_a_later_graph_must_have_the_same_types_and_features(run, tmp_path):
    graph = shop_graph(seed=1)
    graph.nodes[ITEMS].feat = None
    other = shop_store(tmp_path / "other.zarr", graph, valid=0.1, test=0.1)
    with pytest.raises(UserError, match="has other features than"):
        hvdtma.Run.load(run.path, store=other.path).topk(7, 3, type="buys")
    untyped = hvdtma.build(tmp_path / "untyped.zarr", "synthetic:nodes=200,edges=900", negatives=5)
    with pytest.raises(UserError, match=r"has the node types none, .* üser, item, shop/1"):
        hvdtma.Run.load(run.path, store=untyped.path).topk(7, 3)


def test_a_later_graph_with_new_nodes_is_asked_like_the_first(tmp_path):
    first, later = shop_graph(), shop_graph(users=140)
    for graph in (first, later):
        graph.nodes[ITEMS].feat = graph.nodes[ITEMS].feat.toarray()[:, :6]
    store = shop_store(tmp_path / "a.zarr", first, valid=0.1, test=0.1, feature_dim=None)
    more = shop_store(tmp_path / "b.zarr", later, valid=0.1, test=0.1, feature_dim=None)
    run = untrained_run(tmp_path / "run", store)
    new = set(later.nodes[USERS].ids.to_list()) - set(first.nodes[USERS].ids.to_list())
    assert len(new) == 20
    found = hvdtma.Run.load(run.path, store=more.path).topk(max(new), 4, type="buys")
    assert len(found.ids) == 4
    model = hvdtma.from_pretrained(run.save_pretrained(tmp_path / "model"))
    assert model.on(more).topk(max(new), 4, type="buys").ids == found.ids


def test_the_commands_answer_by_type(run, tmp_path, hvdtma):
    (tmp_path / "pairs.csv").write_text("src,dst,kind\n7,7,buys\n3,11,item:rev_likes:üser\n")
    out = tmp_path / "scores.parquet"
    given = ("--pairs", tmp_path / "pairs.csv", "--type-column", "kind", "--out", out)
    status, _, err = hvdtma("predict", run.path, *given)
    assert status == 0, err
    rows = pq.read_table(out).to_pylist()
    assert [row["type"] for row in rows] == ["üser:buys:item", "item:rev_likes:üser"]
    assert rows[1]["score"] == pytest.approx(run.score([(11, 3)], type="likes")[0], abs=1e-5)
    status, said, err = hvdtma("recommend", run.path, "--node", "7", "-k", "3", "--type", "buys")
    assert status == 0, err
    assert all(str(partner) in said for partner in run.topk(7, 3, type="buys").ids)
    status, _, err = hvdtma("recommend", run.path, "--node", "7", "--type", "bys")
    assert status == 2
    assert err.count("error:") == 1
    assert "üser:buys:item" in err
