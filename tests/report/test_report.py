"""The report copes with every state a run can be in, loads nothing, and draws in a browser."""

import json
import re

import pytest
from browser import BROWSER, rendered
from pages import drawing, drawings, own_html, titles
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
        assert page.read_text(encoding="utf-8").count("plotly.js v") == 1


def test_assignment_page_shows_every_trainer(tmp_path):
    stats = sample_assignment(trainers=4)
    page = write_partition_plot(stats, tmp_path / "assignment.html", title="<b>SuperTMA</b>")
    assert titles(page) == ["Nodes", "Edges kept", "Imbalance", "Feature discrepancy"]
    assert "&lt;b&gt;SuperTMA" in own_html(page)
    assert all(f"{row.imbalance:.4f}" in own_html(page) for row in stats.trainers)


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
    assert scores == [False] * 4 + [True] * 4 + [False] * 8
    assert losses == [True, False, True]


def drawn(dom):
    """How many figures hold a drawing."""
    after = dom.split('class="plot js-plotly-plot"')[1:]
    return sum('class="main-svg"' in part for part in after)
