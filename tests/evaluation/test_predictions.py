"""Scores of pairs and labels of nodes: those of the evaluator, by the ids that were given."""

import csv

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_labels import labelled_graph, labelled_store
from untrained_runs import DECODERS, untrained_run

import hvdtma
from hvdtma.graph.builder import BuildOptions, build
from hvdtma.graph.raw import RawGraph
from hvdtma.storage.node_ids import NodeIds
from hvdtma.tasks import link_scoring
from hvdtma.tasks.metrics import ranks

ODD = ["007", "7", 'say "hi"', "it's", "a,b", "naïve-包", " blank ", "NULL", "-1", "x\ty"]


@pytest.fixture(scope="module")
def community_run(tmp_path_factory, community_store):
    return untrained_run(tmp_path_factory.mktemp("runs") / "community", community_store)


@pytest.mark.parametrize("which", ["community", "typed"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_scores_are_the_evaluators(request, tmp_path, which, decoder, monkeypatch):
    """The evaluator ranks by the same numbers, up to rounding, and has the same MRR."""
    if (which, decoder) == ("community", "distmult"):
        pytest.skip("it needs edge types")
    store = request.getfixturevalue(f"{which}_store")
    run = untrained_run(tmp_path / "run", store, task={"decoder": decoder})
    links, ids = store.links("test"), store.node_ids()
    dst_nC = np.concatenate([links.dst[:, None], links.neg], 1)
    number, width = dst_nC.shape
    columns = {
        "src": ids.take(np.repeat(links.src, width)).values,
        "dst": ids.take(dst_nC.ravel()).values,
    }
    options = {}
    if links.edge_type is not None:
        names = np.array(store.edge_type_names)[links.edge_type]
        columns["kind"] = np.repeat(names, width)
        options = {"type_column": "kind"}
    table = pa.table(columns)
    score = torch.from_numpy(run.score(table, **options).copy()).view(number, width)
    ranked = []

    def recorded(positive, negative):
        ranked.append(torch.cat([positive[:, None], negative], 1))
        return ranks(positive, negative)

    monkeypatch.setattr(link_scoring, "ranks", recorded)
    mrr = hvdtma.evaluate(run)["mrr"]
    assert torch.allclose(torch.cat(ranked), score, rtol=1e-5, atol=1e-6)
    assert float((1 / ranks(score[:, 0], score[:, 1:])).mean()) == pytest.approx(mrr, abs=1e-6)


def test_pairs_may_be_lists_arrays_frames_files_and_queries(
    community_run, community_store, tmp_path
):
    ids = np.array(community_store.node_ids().to_list())
    pairs = np.stack([ids[:30], ids[100:130]], 1)
    expected = community_run.score(pairs)
    frame = pd.DataFrame(pairs, columns=["src", "dst"])
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    frame.to_parquet(tmp_path / "pairs.parquet")
    for given in (
        pairs.tolist(),
        [tuple(pair) for pair in pairs],
        torch.from_numpy(pairs),
        frame,
        pl.DataFrame({"src": pairs[:, 0], "dst": pairs[:, 1]}),
        tmp_path / "pairs.csv",
        str(tmp_path / "pairs.parquet"),
        f"sql:SELECT src, dst FROM '{tmp_path}/pairs.parquet'",
    ):
        assert np.array_equal(community_run.score(given), expected), given


@pytest.fixture(scope="module")
def odd_store(tmp_path_factory):
    """A directed graph whose ids people would mix up or quote wrongly."""
    rng = np.random.default_rng(0)
    src, dst = rng.integers(0, len(ODD), (2, 60))
    raw = RawGraph(src, dst, NodeIds.of(ODD), feat=rng.normal(size=(len(ODD), 4)).astype("f4"))
    path = tmp_path_factory.mktemp("odd") / "g.zarr"
    return build(path, raw, BuildOptions(negatives=2, valid=2, test=2))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_odd_ids_come_back_as_they_were_written(odd_store, tmp_path, hvdtma, ending):
    run = untrained_run(tmp_path / "run", odd_store)
    pairs = [(a, b) for a in ODD for b in ODD]
    if ending == "csv":
        with (tmp_path / "pairs.csv").open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerows([("src", "dst"), *pairs])
    else:
        columns = dict(zip(("src", "dst"), zip(*pairs, strict=True), strict=True))
        pq.write_table(pa.table(columns), tmp_path / "pairs.parquet")
    out = tmp_path / f"scores.{ending}"
    given = ("--pairs", tmp_path / f"pairs.{ending}", "--out", out)
    status, said, err = hvdtma("predict", run.path, *given)
    assert status == 0, err
    assert "100 rows" in said
    if ending == "csv":
        with out.open(newline="", encoding="utf-8") as file:
            rows = [(row["src"], row["dst"], float(row["score"])) for row in csv.DictReader(file)]
    else:
        rows = [tuple(row.values()) for row in pq.read_table(out).to_pylist()]
    assert [row[:2] for row in rows] == pairs
    assert np.allclose([row[2] for row in rows], run.score(pairs), rtol=1e-6)


def test_unknown_ids_are_named_with_the_nearest_or_skipped(odd_store, tmp_path, hvdtma):
    run = untrained_run(tmp_path / "run", odd_store)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("src,dst\n007,7\nit's,07\nnaive-包,7\n")
    status, _, err = hvdtma("predict", run.path, "--pairs", pairs)
    said = " ".join(err.split())
    assert status == 2
    assert err.count("error:") == 1
    assert "no node 'naive-包', '07' (2 rows have unknown ids)" in said
    assert "ids like 'naive-包': 'naïve-包'" in said
    assert "--skip-unknown leaves them out" in said
    out = tmp_path / "scores.csv"
    asked = ("--pairs", pairs, "--skip-unknown", "--out", out)
    status, _, err = hvdtma("predict", run.path, *asked)
    assert status == 0, err
    assert "2 of 3 rows are left out: unknown ids" in err
    assert out.read_text().splitlines()[1].startswith('"007","7",')


def test_a_pair_without_an_id_is_an_error_or_is_skipped_and_shown(odd_store, tmp_path, hvdtma):
    run = untrained_run(tmp_path / "run", odd_store)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("src,dst\n007,7\nit's,\n,7\n")
    asked = ("predict", run.path, "--pairs", pairs)
    status, _, err = hvdtma(*asked)
    said = " ".join(err.split())
    assert status == 2
    assert "line 3: column 'dst' is empty. The line is: it's, (1 more row is bad)" in said
    assert "--bad-rows skip leaves bad rows out" in said
    out = tmp_path / "scores.csv"
    status, _, err = hvdtma(*asked, "--bad-rows", "skip", "--out", out)
    assert status == 0, err
    assert err.count("skipped: ") == 2
    assert len(out.read_text().splitlines()) == 2
    pairs.write_text("src,dst\n")
    status, _, err = hvdtma(*asked)
    assert status == 2
    assert "holds no pairs" in " ".join(err.split())


def test_integers_are_no_text_with_leading_zeros(community_run, community_store):
    first, other = community_store.node_ids().to_list()[:2]
    score = community_run.score([(str(first), str(other))])
    assert np.array_equal(score, community_run.score([(first, other)]))
    with pytest.raises(hvdtma.UserError, match=f"no node '0{first}'; ids like .*'{first}'"):
        community_run.score([(f"0{first}", str(other))])


@pytest.fixture(scope="module")
def label_runs(tmp_path_factory):
    """A run on labels of each kind."""
    folder = tmp_path_factory.mktemp("labels")
    runs = {}
    for kind in ("class", "multi", "real"):
        store = labelled_store(folder / f"{kind}.zarr", kind)
        runs[kind] = untrained_run(folder / kind, store, task={"name": "nodes"})
    return runs


def test_classes_come_with_probabilities(label_runs):
    run = label_runs["class"]
    table = run.predict()
    assert table.column_names == ["id", "class", "probability", "p_no", "p_yes"]
    assert sorted(table["id"].to_pylist()) == list(range(600))
    p = np.stack([table["p_no"].to_numpy(), table["p_yes"].to_numpy()], 1)
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(table["probability"].to_numpy(), p.max(1))
    assert table["class"].to_pylist() == [("no", "yes")[column] for column in p.argmax(1)]
    store = run.predictor.store
    test = store.labelled_nodes("test")
    right = np.array(store.label_names)[store.read("label")[test]]
    said = run.predict(store.node_ids().take(test).to_list())["class"].to_pylist()
    assert np.mean(right == said) == pytest.approx(hvdtma.evaluate(run)["accuracy"])


def test_several_labels_have_a_probability_each_and_targets_their_units(label_runs):
    several = label_runs["multi"].predict([5, 3])
    assert several.column_names == ["id", "p_a", "p_b", "p_c", "p_d"]
    assert several["id"].to_pylist() == [5, 3]
    run = label_runs["real"]
    table = run.predict(np.arange(600))
    assert table.column_names == ["id", "predicted_price", "predicted_change"]
    store = run.predictor.store
    test = store.labelled_nodes("test")
    ids = store.node_ids().take(test).values.to_numpy()
    error = table["predicted_price"].to_numpy()[ids] - store.read("label")[test][:, 0]
    change = table["predicted_change"].to_numpy()[ids] - store.read("label")[test][:, 1]
    rmse = [np.sqrt(np.nanmean(one**2)) for one in (error, change)]
    assert np.mean(rmse) == pytest.approx(hvdtma.evaluate(run)["rmse"], rel=1e-6)


def test_nodes_of_a_later_graph_without_labels_are_predicted(label_runs, tmp_path):
    run, raw = label_runs["class"], labelled_graph("class")
    later = RawGraph(
        np.r_[raw.src, [600, 3]],
        np.r_[raw.dst, [3, 601]],
        NodeIds.counted(602),
        undirected=True,
        feat=np.r_[raw.feat, raw.feat[:2]],
    )
    store = build(tmp_path / "later.zarr", later, BuildOptions(valid=2, test=2, negatives=2))
    table = hvdtma.predict(run, nodes=[600, 601, 2], store=store.path)
    assert table["id"].to_pylist() == [600, 601, 2]
    assert set(table["class"].to_pylist()) <= {"no", "yes"}
    with pytest.raises(hvdtma.UserError, match="other label_names"):
        hvdtma.evaluate(run, store=store.path)
    other = RawGraph(raw.src, raw.dst, raw.node_id, undirected=True, feat=raw.feat[:, :5])
    narrow = build(tmp_path / "narrow.zarr", other, BuildOptions(valid=2, test=2, negatives=2))
    with pytest.raises(hvdtma.UserError, match=r"5 features .* instead of 8 features"):
        hvdtma.predict(run, store=narrow.path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "LINKS", "--nodes"], "the task 'links' predicts nothing of single nodes"),
        (["recommend", "NODES", "--node", "3"], "the task 'nodes' scores no pairs"),
        (["predict", "NODES", "--pairs", "PAIRS"], "the task 'nodes' scores no pairs"),
        (["predict", "NODES"], "give --pairs FILE or --nodes"),
        (["predict", "NODES", "ids.csv", "--pairs", "PAIRS"], "'ids.csv' are for --nodes"),
        (["predict", "NODES", "--nodes", "nowhere.csv"], "no nodes file 'nowhere.csv'"),
        (["predict", "LINKS", "--pairs", "PAIRS", "--type", "likes"], "has no edge types"),
        (["predict", "NODES", "--nodes", "--out", "a.txt"], "valid: .parquet, .csv"),
        (["predict", "NODES", "--nodes", "--out", "PAIRS"], "give --overwrite"),
        (["recommend", "LINKS"], "give --node ID or --nodes FILE"),
        (["recommend", "LINKS", "--node", "lodash"], "no node 'lodash'"),
        (["predict", "nowhere", "--nodes"], "no run at nowhere"),
    ],
)
def test_wrong_questions_are_one_message(
    hvdtma, label_runs, community_run, tmp_path, monkeypatch, words, said
):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("src,dst\n3,4\n")
    paths = {"LINKS": community_run.path, "NODES": label_runs["class"].path, "PAIRS": pairs}
    monkeypatch.chdir(tmp_path)
    status, out, err = hvdtma(*(paths.get(word, word) for word in words))
    assert status == 2
    assert err.count("error:") == 1
    assert "Traceback" not in out + err
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == [pairs]


@pytest.mark.parametrize("header", ["id\n", "", "id,note\n"])
def test_a_file_of_ids_may_have_one_column_with_blanks_and_quotes(odd_store, tmp_path, header):
    run = untrained_run(tmp_path / "run", odd_store)
    rest = ",of it" if "," in header else ""
    fields = ['"a,b"', "007", '"say ""hi"""', '" blank "', "naïve-包", "7"]
    (tmp_path / "ids.csv").write_text(header + "".join(f"{field}{rest}\n" for field in fields))
    options = {} if header else {"header": "no"}
    table = hvdtma.recommend(run, nodes=tmp_path / "ids.csv", k=1, known="include", **options)
    assert table["id"].to_pylist() == ["a,b", "007", 'say "hi"', " blank ", "naïve-包", "7"]


def test_a_table_of_ids_is_answered_on_the_terminal(hvdtma, label_runs, community_run, tmp_path):
    (tmp_path / "ids.csv").write_text("id\n4\n007\n")
    asked = ("predict", label_runs["class"].path, "--nodes", tmp_path / "ids.csv")
    status, out, err = hvdtma(*asked, "--skip-unknown")
    assert status == 0, err
    assert "probability" in out
    assert "1 of 2 ids are left out" in err
    first = community_run.predictor.ids[0]
    status, out, _ = hvdtma("recommend", community_run.path, "--node", first, "-k", "3")
    assert status == 0
    assert str(community_run.topk(first, 1).ids[0]) in out
