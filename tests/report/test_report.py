"""The report copes with every state a run can be in, loads nothing, and draws in a browser."""

import json
import re
from html import unescape

import pytest
from browser import BROWSER, rendered
from pages import drawing, drawings, own_html, table_rows, titles, unpacked
from plotly.offline import get_plotlyjs_version
from sample_run import events, finished_run, sample_assignment, summary_of, write_run

from hvdtma.core.errors import UserError
from hvdtma.partitioning.plot import write_partition_plot
from hvdtma.runs.report import write_report
from hvdtma.runs.report.run_log import read_run

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
LOADING = re.compile(
    r"""<(?:script|link|img|iframe|source|object|embed)\b[^>]*\b(?:src|href|data)="""
)


def test_finished_run_shows_its_numbers_figures_and_config(tmp_path):
    run = finished_run(tmp_path / "demo", assignments=3)
    page = write_report(run)
    html, summary = own_html(page), json.loads((run / "summary.json").read_text())
    assert page == run / "report.html"
    assert f"{summary['test']['mrr']:.4f}" in html
    assert f"{summary['valid']['mrr']:.4f}" in html
    assert "finished: time limit" in html
    assert "SuperTMA" in html and "22,470 nodes" in html
    assert "encoder: graphsage" in html and "0f3c9ab" in html
    assert titles(page)[:4] == ["Score over training time", "Loss", "Steps", "Waiting"]
    assert "Edges kept" in titles(page)
    assert len(drawings(page)) == len(titles(page))


def test_report_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    run = finished_run(tmp_path / "demo")
    before = set(run.iterdir())
    write_report(run)
    write_report(run)
    assert set(run.iterdir()) - before == {run / "report.html"}


def test_unfinished_run_says_so_and_reads_past_a_half_written_line(tmp_path):
    written = [e for e in events(rounds=3) if e["kind"] != "score"]
    page = write_report(write_run(tmp_path / "demo", written, tail='{"kind": "rou'))
    html = own_html(page)
    assert "This run is unfinished: it has no summary yet. Its last round is 3." in html
    assert "No round has been scored on validation." in html
    assert "1 line of metrics.jsonl could not be read." in html
    assert "Score over training time" not in html


def test_a_run_says_whom_it_lost_and_that_it_was_cut_short(tmp_path):
    lost = {"kind": "members", "round": 2, "trainers": 2, "lost": 1, "joined": 0, "took_s": 0.4}
    back = {"kind": "members", "round": 5, "trainers": 3, "lost": 0, "joined": 1, "took_s": 0.2}
    short = {"kind": "interrupted", "why": "interrupted after round 6 and saved"}
    written = [*events(rounds=6), lost, back, short]
    html = own_html(write_report(write_run(tmp_path / "demo", written)))
    assert "Trainers lost: 1; joined: 1 (in rounds 2, 5)." in html
    assert "This run was interrupted after round 6 and saved." in html


def test_failed_run_says_why(tmp_path):
    written = [*events(rounds=3), {"kind": "failed", "why": "the loss was not finite"}]
    html = own_html(write_report(write_run(tmp_path / "demo", written)))
    assert "This run failed: the loss was not finite." in html
    assert "unfinished" not in html


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_run_that_has_hardly_begun_has_a_report(tmp_path, kept):
    page = write_report(write_run(tmp_path / "demo", list(events())[:kept]))
    assert "It has no round yet." in own_html(page)


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="no run at"):
        write_report(tmp_path)


def test_missing_and_nan_losses_are_gaps_and_are_named(tmp_path):
    written = list(events(rounds=5))
    rounds = [event for event in written if event["kind"] == "round"]
    rounds[2]["trainers"][1]["loss"] = None
    rounds[3]["trainers"][1]["loss"] = float("nan")
    page = write_report(write_run(tmp_path / "demo", written))
    assert "Trainer 1&#39;s loss in round 3 was not a number; so were 1 more." in own_html(page)
    loss = drawing(page, "Loss")
    assert [value is None for value in loss["data"][1]["y"]] == [False, False, True, True, False]


def test_round_in_which_no_trainer_has_a_loss_is_drawn(tmp_path):
    written = list(events(rounds=4, trainers=20))
    for trainer in next(e for e in written if e["kind"] == "round")["trainers"]:
        trainer["loss"] = None
    assert drawings(write_report(write_run(tmp_path / "demo", written)))


def test_sixty_four_trainers_are_a_median_and_a_range(tmp_path):
    page = write_report(finished_run(tmp_path / "demo", trainers=64, rounds=70, assignments=5))
    assert max(len(plot["data"]) for plot in drawings(page)) <= 4 * len(("mrr", "h1", "h10", "auc"))
    loss = drawing(page, "Loss")
    assert [trace["name"] for trace in loss["data"]] == ["most", "least", "median"]
    assert own_html(page).count("data-trainer=") == 0
    assert own_html(page).count('<th scope="row">') >= 64


def test_trainers_that_come_and_go_leave_gaps(tmp_path):
    written = list(events(rounds=4, trainers=3))
    for event in written[-4:]:
        if event["kind"] == "round":
            del event["trainers"][2]
    log = read_run(write_run(tmp_path / "demo", written))
    assert log.of_trainers(log.rounds, "steps").shape == (4, 3)
    assert drawings(write_report(log.folder))


def test_resumed_run_shows_the_last_word_on_each_round(tmp_path):
    first, second = list(events(rounds=4, seed=1)), list(events(rounds=6, seed=2))
    log = read_run(write_run(tmp_path / "demo", first + second))
    assert log.of_rounds("round") == [1, 2, 3, 4, 5, 6]
    assert log.rounds[0] == second[2]


def test_hostile_text_stays_text(tmp_path):
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\""
    written = list(events(rounds=2, store=hostile))
    summary = summary_of(written) | {"stopped": hostile}
    for event in written:
        if event["kind"] == "score":
            event["metrics"][hostile] = 0.5
    page = write_report(write_run(tmp_path / "demo", written, summary))
    assert "<script>alert" not in own_html(page)
    assert "<img" not in own_html(page)


def test_nothing_is_loaded_from_anywhere(tmp_path):
    assignment = write_partition_plot(
        sample_assignment(), tmp_path / "assignment.html", title="an assignment"
    )
    for page in (write_report(finished_run(tmp_path / "demo")), assignment):
        html = own_html(page)
        assert not LOADING.search(html)
        assert "http:" not in html and "https:" not in html
        assert "default-src 'none'" in html
        assert unpacked(page, "plotly").count("plotly.js (basic") == 1


def test_assignment_page_shows_every_trainer(tmp_path):
    stats = sample_assignment(trainers=4)
    page = write_partition_plot(stats, tmp_path / "assignment.html", title="<b>SuperTMA</b>")
    assert titles(page) == ["Nodes", "Edges kept", "Imbalance", "Feature discrepancy"]
    assert "&lt;b&gt;SuperTMA" in own_html(page)
    assert all(f"{row.imbalance:.4f}" in own_html(page) for row in stats.trainers)


def test_a_report_of_a_long_run_is_under_a_megabyte_and_says_what_it_leaves_out(tmp_path):
    run = finished_run(tmp_path / "demo", trainers=8, rounds=5200, assignments=40)
    page = write_report(run)
    assert page.stat().st_size < 1_000_000
    scores, steps = drawing(page, "Score over training time"), drawing(page, "Steps")
    curve = next(t for t in scores["data"] if t["name"] == "validation")
    assert json.loads((run / "summary.json").read_text())["best_round"] in curve["customdata"]
    assert "1,000 of 5,200 scores are drawn." in own_html(page)
    assert len(steps["data"][0]["x"]) <= 1000
    assert own_html(page).count("A point is the mean of 6 rounds.") == 3
    log = read_run(run)
    first = log.of_trainers(log.rounds, "steps")[:6, 0].mean()
    assert steps["data"][0]["y"][0] == pytest.approx(first, rel=1e-5)


def test_plotlys_bundle_is_of_the_version_that_makes_the_figures(tmp_path):
    page = write_report(finished_run(tmp_path / "demo"))
    assert f"plotly.js (basic - minified) v{get_plotlyjs_version()}" in unpacked(page, "plotly")
    assert "MIT licence" in own_html(page)


CHANCE = {"mrr": 0.0509, "hits@1": 0.01, "hits@10": 0.1, "auc": 0.5}


def run_with_chance(folder, *, graph="one", **options):
    written = list(events(**options))
    written[0] |= {"metric": "mrr", "chance": CHANCE}
    run = write_run(folder, written, summary_of(written))
    (run / "graph.json").write_text(json.dumps({"graph": graph}))
    return run


def names(plot):
    return [trace["name"] for trace in plot["data"] if trace["visible"]]


def test_chance_and_a_reference_stand_beside_the_scores(tmp_path):
    one = run_with_chance(tmp_path / "one", trainers=1, seed=5)
    run = run_with_chance(tmp_path / "demo")
    page = write_report(run, one)
    test, valid = (
        {name: json.loads((path / "summary.json").read_text())[part]["mrr"] for name, path in
         (("own", run), ("one", one))}
        for part in ("test", "valid")
    )  # fmt: skip
    assert table_rows(page)[:2] == [
        ["Metric", "Validation, best round", "Test", "Validation, one trainer (one)",
         "Test, one trainer (one)", "Chance"],
        ["MRR", f"{valid['own']:.4f}", f"{test['own']:.4f}", f"{valid['one']:.4f}",
         f"{test['one']:.4f}", "0.0509"],
    ]  # fmt: skip
    assert f"one trainer (one): {test['one']:.4f}" in own_html(page)
    assert own_html(page).count("chance: 0.0509") == 2
    best = json.loads((run / "summary.json").read_text())["best_round"]
    assert names(drawing(page, "Score over training time")) == [
        "chance: 0.0509",
        "validation of one trainer (one)",
        f"test of one trainer (one): {test['one']:.4f}",
        f"test: {test['own']:.4f}",
        "validation",
        f"best, round {best}: {valid['own']:.4f}",
    ]


def test_references_that_cannot_be_compared_are_refused(tmp_path, hvdtma):
    run = run_with_chance(tmp_path / "demo")
    other = run_with_chance(tmp_path / "other", graph="two")
    new = write_run(tmp_path / "new", list(events(rounds=1))[:2])
    for reference, said in (
        (other, "was trained on another graph, or another split of it"),
        (run, "the reference is the run itself"),
        (new, "has no validation score yet"),
        (tmp_path, "no run at"),
    ):
        status, _, error = hvdtma("report", run, "--reference", reference)
        assert (status, error.count("error:")) == (2, 1)
        assert said in error
    assert not (run / "report.html").exists()


def test_scores_of_nodes_are_not_compared_with_those_of_links(tmp_path):
    written = list(events())
    for event in written:
        if event["kind"] == "score":
            event["metrics"] = {"accuracy": 0.5}
    nodes = write_run(tmp_path / "nodes", written)
    with pytest.raises(UserError, match="has no score mrr, but accuracy"):
        write_report(run_with_chance(tmp_path / "demo"), nodes)


def test_axes_begin_at_zero_and_end_with_the_training_when_few_rounds_were_scored(tmp_path):
    written = [
        event for event in events(rounds=12) if event["kind"] != "score" or event["round"] == 3
    ]
    page = write_report(write_run(tmp_path / "demo", written))
    for title in ("Score over training time", "Loss"):
        axes = drawing(page, title)["layout"]
        assert axes["yaxis"]["rangemode"] == "tozero"
        assert axes["xaxis"]["range"][0] == 0
        assert axes["xaxis"]["range"][1] == pytest.approx(1.02 * 120, rel=0.01)  # s
    [curve] = [t for t in drawing(page, "Score over training time")["data"]
               if t["name"] == "validation" and t["visible"]]  # fmt: skip
    assert curve["x"] == [30]
    assert curve["mode"] == "lines+markers"


# Elements that are cut or that overflow; and legends that reach into the plot.
CUT = """
const wide = [...document.querySelectorAll("main *")].filter(
  (e) => e.scrollWidth > e.clientWidth + 1 && !e.closest(".plot, pre") && e.clientWidth);
const low = [...document.querySelectorAll(".plot")].filter((plot) => {
  const legend = plot.querySelector(".infolayer .legend"), grid = plot.querySelector(".nsewdrag");
  return legend && legend.getBoundingClientRect().bottom > grid.getBoundingClientRect().top + 1;
});
const legends = document.querySelectorAll(".infolayer .legend").length;
document.body.dataset.seen = JSON.stringify([wide.map((e) => e.outerHTML), low.length, legends,
  document.documentElement.scrollWidth - innerWidth]);
"""


@needs_browser
@pytest.mark.parametrize("width", [1280, 500])
def test_nothing_is_cut_and_no_label_is_on_a_line(tmp_path, width):
    one = run_with_chance(tmp_path / "one", trainers=1)
    run = run_with_chance(tmp_path / "demo", trainers=12, assignments=2)
    dom = rendered(write_report(run, one), tmp_path, CUT, width=width)
    assert re.findall(r'<tt class="wrong">(.*?)</tt>', dom) == []
    seen = json.loads(unescape(re.search(r'data-seen="(.*?)"', dom).group(1)))
    assert seen[:3] == [[], 0, 1]
    assert seen[3] <= 0


@needs_browser
@pytest.mark.parametrize("trainers", [3, 64])
def test_browser_draws_every_figure_without_an_error(tmp_path, trainers):
    page = write_report(
        finished_run(tmp_path / "demo", trainers=trainers, rounds=20, assignments=4)
    )
    dom = rendered(page, tmp_path)
    assert re.findall(r'<tt class="wrong">(.*?)</tt>', dom) == []
    assert drawn(dom) == len(titles(page)) == 8


@needs_browser
def test_browser_draws_an_assignment(tmp_path):
    page = write_partition_plot(
        sample_assignment(), tmp_path / "assignment.html", title="an assignment"
    )
    dom = rendered(page, tmp_path)
    assert re.findall(r'<tt class="wrong">(.*?)</tt>', dom) == []
    assert drawn(dom) == 4


@needs_browser
def test_reader_can_choose_a_metric_and_switch_off_a_trainer(tmp_path):
    page = write_report(finished_run(tmp_path / "demo"))
    click = """
    document.querySelector("[data-choice='Hits@1']").click();
    document.querySelector("[data-trainer='1']").click();
    document.body.dataset.seen = JSON.stringify([0, 1].map(
      (number) => element(number).data.map((trace) => trace.visible ?? true)));
    """
    dom = rendered(page, tmp_path, click)
    assert re.findall(r'<tt class="wrong">(.*?)</tt>', dom) == []
    scores, losses = json.loads(re.search(r'data-seen="(.*?)"', dom).group(1))
    assert scores == [False] * 3 + [True] * 3 + [False] * 6
    assert losses == [True, False, True]


def drawn(dom):
    """How many figures hold a drawing."""
    after = dom.split('class="plot js-plotly-plot"')[1:]
    return sum('class="main-svg"' in part for part in after)
