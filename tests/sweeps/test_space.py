"""The values of a sweep: lists and ranges as they are written, and the searches over them."""

import math

import pytest

from hvdtma.core.errors import UserError
from hvdtma.sweeps.search import GridSearch, RandomSearch, make_search
from hvdtma.sweeps.space import Choice, Range, read_space
from hvdtma.sweeps.trial import Trial


def values_of(words):
    return {word.split("=", 1)[0]: word.split("=", 1)[1] for word in words}


def test_lists_ranges_and_plain_overrides_are_told_apart():
    space, plain = read_space(
        [
            *("model.hidden=64,128", "model.fanouts=[10,25],[5,5]", "store=../a.zarr"),
            *("optimizer.lr=1e-4..1e-2", "model.dropout=0..0.5", "model.layers=1..3"),
            *("task.num_negatives=8..8192", "task.margin=.5..5:log", "seed=7", "model.heads=[1,2]"),
        ]
    )
    assert plain == ["store=../a.zarr", "seed=7", "model.heads=[1,2]"]
    assert space.keys == {
        "model.hidden": Choice(("64", "128")),
        "model.fanouts": Choice(("[10,25]", "[5,5]")),
        "optimizer.lr": Range(1e-4, 1e-2, log=True, whole=False),
        "model.dropout": Range(0, 0.5, log=False, whole=False),
        "model.layers": Range(1, 3, log=False, whole=True),
        "task.num_negatives": Range(8, 8192, log=True, whole=True),
        "task.margin": Range(0.5, 5, log=True, whole=False),
    }
    assert str(space.keys["optimizer.lr"]) == "0.0001 to 0.01, log scale"
    assert str(space.keys["model.layers"]) == "1 to 3, linear scale"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hidden"], "'hidden' is no key of a sweep; write key=a,b,c or key=low..high"),
        (["=1,2"], "is no key of a sweep"),
        ([], "no key has several values.*hvdtma train CONFIG"),
        (["seed=1"], "no key has several values"),
        (["seed=1,,2"], "a value between the commas is empty"),
        (["seed=1,2,1"], "a value comes twice"),
        (["seed=1,2", "seed=3,4"], "the key seed comes twice"),
        (["run=a,b"], "the trials of a sweep get folders of their own, in RUN/trials"),
        (["optimizer.lr=1e-2..1e-4"], "the range is empty; its first number must be the smaller"),
        (["optimizer.lr=1..1"], "the range is empty"),
        (["optimizer.lr=1e-4.."], "a range needs both ends"),
        (["optimizer.lr=..1e-4"], "a range needs both ends"),
        (["optimizer.lr=0..1:log"], "a log scale needs ends above 0"),
        (["optimizer.lr=0..1:cubic"], "the scale is 'cubic'; valid: log, linear"),
    ],
)
def test_what_is_no_space_is_one_message(words, message):
    with pytest.raises(UserError, match=message):
        read_space(words)


def test_a_grid_has_every_combination_once_with_the_last_key_fastest():
    space, _ = read_space(["seed=0,1", "model.hidden=8,16,32"])
    search = make_search("auto", space, None, seed=0)
    assert isinstance(search, GridSearch)
    points = [tuple(search.propose(n, [])) for n in range(1, search.trials + 1)]
    assert len(set(points)) == 6
    assert points[:2] == [("seed=0", "model.hidden=8"), ("seed=0", "model.hidden=16")]
    assert make_search("grid", space, 100, seed=0).trials == 6


def test_fewer_trials_than_combinations_are_drawn_without_repetition_and_can_be_extended():
    space, _ = read_space(["seed=0,1,2,3", "model.hidden=8,16,32"])
    few, more = (make_search("auto", space, trials, seed=3) for trials in (5, 11))
    assert isinstance(few, RandomSearch)
    points = [tuple(more.propose(n, [])) for n in range(1, 12)]
    assert len(set(points)) == 11
    assert [tuple(few.propose(n, [])) for n in range(1, 6)] == points[:5]


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_draws_stay_in_their_ranges_and_depend_on_seed_and_number_only(name):
    if name == "tpe":
        pytest.importorskip("optuna")
    space, _ = read_space(["optimizer.lr=1e-4..1e-2", "model.layers=1..3", "task.loss=bce,softmax"])
    search = make_search(name, space, 40, seed=5)
    found = [values_of(search.propose(number, [])) for number in range(1, 41)]
    rates = [float(values["optimizer.lr"]) for values in found]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    assert 0.3 < sum(rate < 1e-3 for rate in rates) / 40 < 0.7  # log scale
    assert {values["model.layers"] for values in found} == {"1", "2", "3"}
    assert {values["task.loss"] for values in found} == {"bce", "softmax"}
    again = make_search(name, space, 40, seed=5)
    assert values_of(again.propose(17, [])) == found[16]
    assert values_of(make_search(name, space, 40, seed=6).propose(17, [])) != found[16]


def test_tpe_finds_the_good_end_of_a_range(tmp_path):
    """A score with its best at a rate of 0.003: late trials are nearer to it than early ones."""
    pytest.importorskip("optuna")
    space, _ = read_space(["optimizer.lr=1e-5..1"])
    search, trials = make_search("auto", space, 40, seed=0), []
    assert search.name == "tpe"
    for number in range(1, 41):
        words = search.propose(number, trials)
        distance = abs(math.log10(float(values_of(words)["optimizer.lr"]) / 0.003))
        score = {"valid": {"mrr": -distance}, "metric": "mrr", "state": "finished"}
        failed = Trial(number, words, tmp_path, state="failed")
        trials.append(failed if number % 7 == 0 else Trial(number, words, tmp_path, **score))
    scores = [trial.score for trial in trials if trial.score is not None]
    assert sum(scores[-15:]) / 15 > sum(scores[:15]) / 15 + 0.5


@pytest.mark.parametrize(
    ("name", "words", "trials", "at_once", "message"),
    [
        ("gird", ["seed=1,2"], None, False, "--search is 'gird'; valid: auto, grid, random, tpe"),
        ("grid", ["optimizer.lr=1e-4..1e-2"], 3, False, "a range has no grid"),
        ("auto", ["optimizer.lr=1e-4..1e-2"], None, False, "give --trials N"),
        ("random", ["seed=1,2"], None, False, "give --trials N"),
        ("tpe", ["optimizer.lr=1e-4..1e-2"], 3, True, "the jobs of an array start at once"),
    ],
)
def test_a_search_that_does_not_fit_is_refused(name, words, trials, at_once, message):
    space, _ = read_space(words)
    with pytest.raises(UserError, match=message):
        make_search(name, space, trials, seed=0, at_once=at_once)


def test_without_optuna_ranges_are_drawn_at_random_and_tpe_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("hvdtma.sweeps.search.find_spec", lambda name: None)
    space, _ = read_space(["optimizer.lr=1e-4..1e-2"])
    assert make_search("auto", space, 3, seed=0).name == "random"
    with pytest.raises(UserError, match="needs Optuna: pip install optuna"):
        make_search("tpe", space, 3, seed=0)
