"""A run leaves a report of what it is and learned, whatever its relation and however it ended."""

import json
import re

import numpy as np
import pytest
from browser import BROWSER, rendered
from pages import drawing, drawings, own_html, table_rows, titles
from small_learning import small_graph
from typer.testing import CliRunner

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.errors import UserError
from hypergraph import Modality, MultimodalHypergraph, Relation
from hypergraph.cli import app
from hypergraph.config import RunConfig
from hypergraph.report import write_report
from hypergraph.report.items import MOST_IN_ALL, choose_items
from hypergraph.report.log import read_run
from hypergraph.report.space import flatten, unit
from hypergraph.report.tables import rank_table
from hypergraph.run import train_run
from hypergraph.train.rank_trainer import RankTrainer

HOSTILE = "</script><img src=x onerror=alert(1)>"


def config_of(folder, relation, **changes):
    """A short run on a graph of two relations; the items of m0 have words for ids."""
    graph = small_graph(3)
    m0 = graph.modality("m0")
    ids = [HOSTILE, *(f"item {n}" for n in range(1, m0.num_items))]
    graph = graph.with_modality(Modality("m0", m0.num_items, ids, m0.features, m0.intra))
    if not (folder / "g.zarr").exists():
        graph.save(folder / "g.zarr")
    values = {
        "data": {"hypergraph": folder / "g.zarr", "relation": relation},
        "run": folder / "run",
        "iterations": 20,
        "batch_size": 64,
        "model": {"dim": 8},
        "loss": {"negatives": 8},
        "evaluate": {"every": 5},
    }
    return RunConfig.model_validate(values | changes)


def trained(folder, relation, ranks):
    config = config_of(folder, relation)
    InProcessGroup(ranks).run(lambda comm: train_run(config, comm))
    return config.run


@pytest.fixture(scope="module")
def present(tmp_path_factory):
    """Of a relation whose hyperedges are there or not, on two ranks."""
    return trained(tmp_path_factory.mktemp("present"), "all", 2)


@pytest.fixture(scope="module")
def valued(tmp_path_factory):
    """Of a relation with values, on one rank."""
    return trained(tmp_path_factory.mktemp("valued"), "rating", 1)


def events(run, kind="iterations"):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [event for event in lines if event["kind"] == kind]


def cut_short(run, folder, names=("config.yaml", "metrics.jsonl", "versions.json", "items.json")):
    """A folder as it is before the run ended."""
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes((run / name).read_bytes())
    return folder


def test_the_report_of_a_run_shows_its_scores(present):
    page, summary = present / "report.html", json.loads((present / "summary.json").read_text())
    html, scores = own_html(page), events(present)
    assert "finished: iterations" in html
    assert f"{summary['test']['mrr']:.4f}" in html and f"{summary['valid']['mrr']:.4f}" in html
    figure = drawing(page, "Score over training time")
    assert next(iter(figure["choices"])) == "MRR"
    assert set(figure["choices"]) == {"Average precision", "Hits@1", "Hits@10", "Hits@50", "MRR"}
    assert 'data-choice="MRR" aria-pressed="true"' in html
    _, curve, best = (figure["data"][number] for number in figure["choices"]["MRR"])
    assert curve["y"] == pytest.approx([event["valid"]["mrr"] for event in scores], rel=1e-5)
    first_best = max(scores, key=lambda event: event["valid"]["mrr"])
    assert best["name"] == f"best, iteration {first_best['iteration']}: {max(curve['y']):.4f}"
    assert summary["valid"] == first_best["valid"]
    [mrr] = [row for row in table_rows(page) if row[0] == "MRR"]
    assert mrr == ["MRR", *(f"{summary[part]['mrr']:.4f}" for part in ("valid", "test"))]


def test_each_modality_that_is_completed_has_its_scores(present):
    page, test = present / "report.html", json.loads((present / "summary.json").read_text())["test"]
    figure = drawing(page, "Score by completed modality")
    shown = [figure["data"][number] for number in figure["choices"]["Hits@10"]]
    assert [line["name"] for line in shown] == ["m0", "m1", "m2"]
    scores = [event["valid"]["hits@10/m1"] for event in events(present)]
    assert shown[1]["y"] == pytest.approx(scores, rel=1e-5)
    metrics = ("mrr", "hits@1", "hits@10", "hits@50")
    rows = table_rows(page)
    for name in ("m0", "m1", "m2"):
        assert [name, *(f"{test[f'{metric}/{name}']:.4f}" for metric in metrics)] in rows


def test_the_loss_is_drawn_with_the_terms_that_it_is_the_sum_of(present):
    loss, *terms = drawing(present / "report.html", "Loss over training time")["data"]
    assert {"relation all", "relation rating", "smoothness of m2"} <= {t["name"] for t in terms}
    np.testing.assert_allclose(np.sum([term["y"] for term in terms], 0), loss["y"], rtol=1e-5)
    assert loss["y"] == pytest.approx([event["loss"] for event in events(present)], rel=1e-5)


def test_ranks_are_told_with_what_they_train_and_send(present):
    rows, last = table_rows(present / "report.html"), events(present)[-1]
    [start] = events(present, "start")
    columns = rank_table(read_run(present)).columns
    assert {"Compute (CPU time)", "Exchange (wall-clock time)"} <= set(columns)
    assert {its["rank"] for its in start["modalities"].values()} == {0, 1}
    for name, its in start["modalities"].items():
        assert [name, str(its["items"]), str(its["rank"]), "cpu"] in rows
    for rank, did in enumerate(last["ranks"]):
        names = [n for n, its in start["modalities"].items() if its["rank"] == rank]
        sent = did["bytes_sent"] / 20 / 1024
        assert sent > 1
        [row] = [row for row in rows if row[:3] == [str(rank), ", ".join(names), "20"]]
        assert row[-1] == f"{sent:.1f} KiB"


def test_items_of_all_modalities_are_dots_with_their_ids(present):
    page, graph = present / "report.html", MultimodalHypergraph.open(present.parent / "g.zarr")
    items = json.loads((present / "items.json").read_text())
    for title in ("Differences between items", "As learned"):
        figure = drawing(page, title)
        dots = {trace["name"]: trace for trace in figure["data"]}
        assert list(dots) == ["m2", "m1", "m0"]  # the most first, under the others
        assert len({trace["marker"]["color"] for trace in dots.values()}) == 3
        for name, trace in dots.items():
            assert len(trace["x"]) == len(trace["y"]) == len(items[name]["items"])
            for item, its_id in zip(items[name]["items"], items[name]["ids"], strict=True):
                assert graph.modality(name).id_of(item) == its_id
        assert any(said.startswith("item 7<br>in ") for said in dots["m0"]["customdata"])
        assert any(said.startswith("&lt;/script&gt;&lt;img") for said in dots["m0"]["customdata"])
    shares = re.findall(r"The two axes show ([\d.]+) % of the variance", own_html(page))
    assert len(shares) == 2 and all(0 < float(share) <= 100 for share in shares)
    assert "<img" not in own_html(page)


def test_values_have_errors_of_which_the_least_is_the_best(valued):
    page, summary = valued / "report.html", json.loads((valued / "summary.json").read_text())
    figure = drawing(page, "Score over training time")
    assert list(figure["choices"]) == ["RMSE", "MAE"]
    assert 'data-choice="RMSE" aria-pressed="true"' in own_html(page)
    _, curve, best = (figure["data"][number] for number in figure["choices"]["RMSE"])
    assert best["y"] == [min(curve["y"])] == pytest.approx([summary["valid"]["rmse"]], rel=1e-5)
    [mae] = [row for row in table_rows(page) if row[0] == "MAE"]
    assert mae[2] == f"{summary['test']['mae']:.4f}"
    assert "Score by completed modality" not in titles(page)


def test_an_unfinished_run_says_so_and_has_no_picture(present, tmp_path):
    run = cut_short(present, tmp_path / "short")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "iter')
    page = write_report(run)
    html = own_html(page)
    assert "This run is unfinished: it has no summary yet. The last scored iteration is 20." in html
    assert "there is no model yet" in html
    assert "1 line of metrics.jsonl could not be read." in html
    assert "Differences between items" not in titles(page)
    assert "Completed (validation, best so far)" in html
    assert ["m0", "30"] in [row[:2] for row in table_rows(page)]


def test_a_run_that_has_hardly_begun_has_a_report(present, tmp_path):
    run = cut_short(present, tmp_path / "short", ["config.yaml"])
    (run / "metrics.jsonl").touch()
    page = write_report(run)
    assert "It has no score yet." in own_html(page)
    assert drawings(page) == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "This run was interrupted. The last scored iteration is 10."),
        (
            UserError("no <more>"),
            "This run failed: no &lt;more&gt;. The last scored iteration is 10.",
        ),
    ],
)
def test_what_ends_training_is_told_and_what_was_scored_is_left(tmp_path, monkeypatch, error, said):
    real = RankTrainer.iterate

    def iterate(trainer):
        if trainer.iterations == 12:
            raise error
        return real(trainer)

    monkeypatch.setattr(RankTrainer, "iterate", iterate)
    config = config_of(tmp_path, "all")
    with pytest.raises(type(error)):
        train_run(config, SingleProcess())
    assert [event["iteration"] for event in events(config.run)] == [5, 10]
    assert said in own_html(config.run / "report.html")


def test_axes_are_those_of_most_variance_and_every_group_weighs_alike():
    random = np.random.default_rng(0)
    many, few = random.normal(size=(2000, 5)), random.normal(size=(20, 5))
    many *= [1, 0.1, 0.1, 0.1, 0.1]
    few *= [0.1, 0.1, 0.1, 5, 0.1]
    flat, share = flatten([many, few])
    assert share[0] > share[1] > 0.02
    assert abs(np.corrcoef(flat[1][:, 0], few[:, 3])[0, 1]) > 0.99  # the few are heard first
    assert abs(np.corrcoef(flat[0][:, 1], many[:, 0])[0, 1]) > 0.99
    plane = random.normal(size=(50, 2)) @ np.linalg.qr(random.normal(size=(5, 2)))[0].T
    [flat], share = flatten([plane])
    assert share.sum() == pytest.approx(1)
    distance = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (plane, flat)]
    np.testing.assert_allclose(*distance, atol=1e-9)


def test_rows_of_no_length_and_spaces_of_one_dimension_are_drawn():
    np.testing.assert_array_equal(unit(np.array([[0.0, 0.0], [3.0, 4.0]])), [[0, 0], [0.6, 0.8]])
    [flat], share = flatten([np.array([[1.0], [2.0]])])
    assert flat[:, 1].tolist() == [0, 0] and share.tolist() == [1, 0]
    _, share = flatten([np.ones((3, 2))])
    assert share.tolist() == [0, 0]


def test_items_in_most_hyperedges_are_drawn_and_those_in_none_are_not():
    size = MOST_IN_ALL
    often = np.repeat(np.arange(100, 110), 3)
    rows = [*([item, at % 7] for at, item in enumerate(often)), *([n, 0] for n in range(200, size))]
    rows = np.unique(rows, axis=0)
    graph = MultimodalHypergraph.of(
        [Modality("a", size), Modality("b", 9)], [Relation("r", ("a", "b"), rows)]
    )
    found = choose_items(graph)
    assert found["b"]["items"] == [*range(7)]
    assert set(range(100, 110)) <= set(found["a"]["items"])
    assert len(found["a"]["items"]) < size // 2 and min(found["a"]["degrees"]) == 1
    assert found == choose_items(graph) != choose_items(graph, seed=1)


def test_reports_are_written_again_by_a_command(valued):
    page = valued / "report.html"
    before = page.read_text()
    page.unlink()
    done = CliRunner().invoke(app, ["report", str(valued)])
    assert done.output.strip() == str(page)
    assert page.read_text() == before
    done = CliRunner().invoke(app, ["report", str(valued.parent)])
    assert isinstance(done.exception, UserError)
    assert "no run at" in str(done.exception)


def test_what_a_config_asks_for_is_described_and_drawn(valued, tmp_path):
    plot = tmp_path / "new" / "page.html"
    command = ["info", str(valued / "config.yaml"), "data.relation=all", "--plot", str(plot)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert f"plot: {plot}" in done.output
    for words in ("m2", "rating", "hyperedges"):
        assert words in done.output
    assert titles(plot) == ["Degrees", "Density"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_a_browser_draws_every_figure_without_an_error(present, tmp_path):
    dom = rendered(present / "report.html", tmp_path)
    assert re.findall(r'<tt class="wrong">(.*?)</tt>', dom) == []
    after = dom.split('class="plot js-plotly-plot"')[1:]
    assert sum('class="main-svg"' in part for part in after) == 5
