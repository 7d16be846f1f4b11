"""Runs side by side: seeds are averaged, settings that differ are named, pages draw."""

import json
import re
from statistics import mean, stdev

import pytest
import yaml
from browser import BROWSER, rendered
from pages import drawing, own_html, table_rows, titles
from sample_run import events, summary_of, write_run

from hvdtma.core.errors import UserError
from hvdtma.runs.report.compare_page import write_comparison
from hvdtma.runs.report.comparison import compare_runs


def run_of(folder, *, run_seed=0, hidden=128, scored=True, lr=0.1, **options):
    """A finished run with a seed and a width in its config."""
    written = [e for e in events(**options) if scored or e["kind"] != "score"]
    write_run(folder, written, summary_of(written) if scored else None)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config |= {"seed": run_seed, "run": str(folder), "optimizer": {"lr": lr}}
    config["model"]["hidden"] = hidden
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two widths; the first one with three seeds."""
    wide = {"run_seed": 0, "hidden": 256, "seed": 9}
    return [
        *(run_of(tmp_path / f"naïve {seed}", run_seed=seed, seed=seed) for seed in (0, 1, 2)),
        run_of(tmp_path / "wide", **wide),
    ]


def events_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def best_valid(folder):
    return max(e["metrics"]["mrr"] for e in events_of(folder) if e["kind"] == "score")


def test_runs_that_differ_in_the_seed_only_are_one_group_with_mean_and_spread(runs):
    found = compare_runs(runs)
    assert found.metric == "mrr"
    assert found.differing == ["model.hidden"]
    narrow, wide = found.groups
    assert (narrow.name, wide.name) == ("model.hidden=128", "model.hidden=256")
    assert narrow.seeds == "0, 1, 2"
    values = [best_valid(run) for run in runs[:3]]
    assert narrow.valid.mean == pytest.approx(mean(values))
    assert narrow.valid.deviation == pytest.approx(stdev(values))
    assert wide.valid.deviation is None
    assert narrow.test.mean == pytest.approx(0.985 * mean(values))
    assert [len(group.curve) for group in found.groups] == [14, 14]
    assert found.best is max(found.groups, key=lambda group: group.valid.mean)


def test_a_key_that_an_older_run_lacks_has_its_default(tmp_path):
    runs = [run_of(tmp_path / name, lr=0.1) for name in ("older", "newer")]
    config = yaml.safe_load((runs[1] / "config.yaml").read_text())
    assert "freeze" not in config
    config |= {"init": None, "freeze": [], "trainers": 3}
    (runs[1] / "config.yaml").write_text(yaml.safe_dump(config))
    assert compare_runs(runs).differing == []
    (runs[1] / "config.yaml").write_text(yaml.safe_dump(config | {"freeze": ["encoder"]}))
    found = compare_runs(runs)
    assert [group.settings["freeze"] for group in found.groups] == ["[]", '["encoder"]']


def test_axes_of_curves_begin_at_zero_and_names_of_groups_are_not_cut_by_each_other(tmp_path):
    names = [f"a rather long name of a run, number {number}" for number in range(12)]
    runs = [run_of(tmp_path / name, lr=number) for number, name in enumerate(names)]
    page = write_comparison(compare_runs(runs), tmp_path / "c.html")
    axes = drawing(page, "Score over training time")["layout"]
    assert axes["yaxis"]["rangemode"] == "tozero"
    assert axes["xaxis"]["range"][0] == 0
    final = drawing(page, "Final scores")
    assert len(final["layout"]["yaxis"]["ticktext"]) == 12
    assert final["data"][0]["y"] == pytest.approx([at - 0.14 for at in range(12)])


def test_only_rounds_that_all_seeds_have_are_averaged(tmp_path):
    pair = [
        run_of(tmp_path / name, rounds=rounds, seed=seed, run_seed=seed)
        for name, rounds, seed in (("a", 4, 0), ("b", 7, 1))
    ]
    [group] = compare_runs(pair).groups
    assert len(group.curve) == 4
    assert all(len(spread.values) == 2 for _, spread in group.curve)


def test_the_command_prints_scores_and_settings_and_draws_a_page(runs, hvdtma, tmp_path):
    out = tmp_path / "new folder/compare.html"
    status, said, err = hvdtma("compare", *runs, "--out", out)
    assert status == 0, err
    narrow = compare_runs(runs).groups[0]
    row = next(line for line in said.splitlines() if "model.hidden=128" in line)
    assert f"{narrow.valid.mean:.4f} ± {narrow.valid.deviation:.4f}" in row
    assert re.search(r"Setting +naïve 0 +wide", said)
    assert re.search(r"model\.hidden +128 +256", said)
    assert titles(out) == ["Score over training time", "Final scores"]
    curves = [t for t in drawing(out, "Score over training time")["data"] if t.get("name")]
    assert [trace["name"] for trace in curves] == ["model.hidden=128", "model.hidden=256"]
    assert curves[0]["y"] == pytest.approx([spread.mean for _, spread in narrow.curve], rel=1e-5)
    assert ["model.hidden", "128", "256"] in table_rows(out)
    assert "naïve 2" in own_html(out)
    status, _, err = hvdtma("compare", *runs, "--out", out)
    assert status == 2 and "--overwrite" in err
    assert hvdtma("compare", *runs, "--out", out, "--overwrite")[0] == 0


def test_a_folder_stands_for_its_runs_and_a_run_counts_once(runs, tmp_path):
    found = compare_runs([tmp_path, *runs])
    assert len(found.runs) == 4
    run_of(tmp_path / "sweep/trials/001-lr=0.2", lr=0.2)
    run_of(tmp_path / "sweep/trials/002-lr=0.3", lr=0.3)
    assert compare_runs([tmp_path / "sweep"]).differing == ["optimizer.lr"]
    for number in range(3, 9):
        run_of(tmp_path / f"sweep/trials/{number:03d}", lr=number)
    titles_of_many, rows = compare_runs([tmp_path / "sweep"]).settings_table()
    assert titles_of_many == ["Run", "optimizer.lr"]
    assert rows[1] == ["002-lr=0.3", "0.3"]


def test_runs_without_scores_are_named_and_left_out_of_the_figures(runs, tmp_path, hvdtma):
    bare = run_of(tmp_path / "no scores", scored=False, hidden=64)
    found = compare_runs([*runs, bare])
    assert [run.name for run in found.unscored] == ["no scores"]
    out = write_comparison(found, tmp_path / "c.html")
    assert f"{bare} has no validation score of MRR." in own_html(out)
    status, said, _ = hvdtma("compare", *runs, bare)
    assert status == 0 and "no scores has no validation score of mrr" in said
    with pytest.raises(UserError, match=r"no run has a validation score yet: .*no scores"):
        compare_runs([bare])


def test_runs_that_differ_in_nothing_but_the_seed_say_so(runs, hvdtma):
    status, said, _ = hvdtma("compare", *runs[:2])
    assert status == 0
    assert "The runs differ in nothing but the seed." in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give the folders of the runs to compare"),
        (["nowhere"], "no run at nowhere"),
        (["RUN", "--metric", "mmr"], "no run has the metric 'mmr'.*did you mean 'mrr'"),
    ],
)
def test_what_cannot_be_compared_is_one_message(arguments, message, runs, hvdtma):
    words = [str(runs[0]) if word == "RUN" else word for word in arguments]
    status, out, err = hvdtma("compare", *words)
    assert status == 2
    assert err.count("error:") == 1 and "Traceback" not in out + err
    assert re.search(message, " ".join(err.split())), err


def test_the_lowest_is_best_where_the_runs_say_so(tmp_path):
    folders = [run_of(tmp_path / name, seed=3, lr=lr) for name, lr in (("a", 0.1), ("b", 0.2))]
    for folder, scale in zip(folders, (1.0, 2.0), strict=True):
        lines = events_of(folder)
        lines[0] |= {"metric": "rmse", "least_is_best": ["rmse"]}
        for line in lines:
            if line["kind"] == "score":
                line["metrics"]["rmse"] = scale * line["metrics"].pop("mrr")
        (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in lines))
        (folder / "summary.json").unlink()
    found = compare_runs(folders)
    assert (found.metric, found.least_is_best) == ("rmse", True)
    assert found.best.runs[0].name == "a"
    assert found.groups[0].valid.values[0] == min(t[1] for t in found.runs[0].curve.values())


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_the_page_draws_in_a_browser(runs, tmp_path):
    page = write_comparison(compare_runs(runs), tmp_path / "c.html")
    html = rendered(page, tmp_path)
    assert 'class="wrong"' not in html
    assert html.count('class="main-svg"') >= 2
