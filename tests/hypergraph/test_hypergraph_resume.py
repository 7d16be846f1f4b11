"""A run of HyperLearn that is cut short goes on as if it had not been."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.torch import load_file
from small_learning import small_graph
from yaml import safe_dump

from hvdtma.comm import InProcessGroup, SingleProcess
from hvdtma.core.config import parse_as
from hvdtma.core.errors import INTERRUPTED, Interrupted, UserError
from hvdtma.core.signals import ShutdownSignal
from hvdtma.runs.folder import StartMode
from hvdtma.runs.request import run_request
from hypergraph import HyperLearn, MultimodalHypergraph, Relation
from hypergraph.config import DataConfig, RunConfig
from hypergraph.run import open_run, train_run
from hypergraph.run_folder import FitFolder
from hypergraph.train.checkpoint import read_checkpoint
from hypergraph.train.exchange import Exchange
from hypergraph.train.rank_trainer import RankTrainer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("objects_as_bytes")

ITERATIONS = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "g.zarr"
    small_graph(3).save(path)
    return path


@pytest.fixture
def config(data, tmp_path):
    return config_of(data, tmp_path / "run")


def config_of(data, run, relation="all", **changes):
    values = {
        "data": {"hypergraph": str(data), "relation": relation},
        "run": str(run),
        "iterations": ITERATIONS,
        "batch_size": 64,
        "model": {"dim": 8, "row_dropout": {"m0": 0.9, "m1": 0.3}},
        "loss": {"negatives": 8},
        "evaluate": {"every": 5},
        "checkpoint": {"every": 0},
    }
    return parse_as(RunConfig, values | changes)


def run_of(config, ranks=1, mode=StartMode.NEW):
    """Train; the summary, or the word `interrupted`."""
    try:
        group = InProcessGroup(ranks)
        return group.run(lambda comm: train_run(config, comm, mode=mode))[0]
    except Interrupted:
        return "interrupted"


@contextmanager
def in_iteration(number, do, *, rank=0):
    """Let a rank do something to its trainer when it begins an iteration."""
    original = RankTrainer.iterate

    def iterate(self):
        if self.comm.rank == rank and self.iterations == number - 1:
            do(self)
        return original(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RankTrainer, "iterate", iterate)
        yield


def cut_short(config, ranks, iteration):
    """Train until the last rank alone is told to stop."""
    with in_iteration(iteration, RankTrainer.request_stop, rank=ranks - 1):
        assert run_of(config, ranks) == "interrupted"


def learned(config):
    return load_file(FitFolder(config.run).model)


def events(config):
    """Those of scores."""
    return [event for event in FitFolder(config.run).events() if event["kind"] == "iterations"]


def scores(config):
    return [(event["iteration"], event["losses"], event["valid"]) for event in events(config)]


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.array_equal(value.numpy(), other[name].numpy()), name


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize(
    ("iteration", "changes"),
    [
        (1, {}),
        (5, {}),
        (8, {}),
        (8, {"precision": "float64", "batch_size": None}),
        (8, {"loss": {"name": "gram"}, "batch_size": None}),
        (8, {"optimizer": {"name": "novograd", "lr": 0.01}}),
    ],
)
def test_a_run_that_is_interrupted_goes_on_to_the_same_factors(
    data, tmp_path, ranks, iteration, changes
):
    """Before a score, at one and after it."""
    whole = config_of(data, tmp_path / "whole", **changes)
    config = config_of(data, tmp_path / "run", **changes)
    run_of(whole, ranks)
    cut_short(config, ranks, iteration)
    assert not FitFolder(config.run).summary.exists()
    summary = run_of(config, ranks, StartMode.RESUME)
    assert summary["iterations"] == ITERATIONS
    assert_same(learned(config), learned(whole))
    assert scores(config) == scores(whole)


def test_a_run_that_is_not_over_has_no_model_to_ask_or_warm_start(config, data, tmp_path):
    cut_short(config, 1, 3)
    told = f"{config.run} is not trained to the end: .*python -m hypergraph train --resume"
    with pytest.raises(UserError, match=told):
        open_run(config.run)
    warm = config_of(data, tmp_path / "warm", warm_start=str(config.run))
    with pytest.raises(UserError, match=told):
        run_of(warm)
    assert not warm.run.exists()


@pytest.mark.parametrize("placement", [{}, {"m0": 1, "m1": 0, "m2": 0}])
def test_it_goes_on_with_other_ranks_and_another_placement(data, tmp_path, placement):
    """To what one process learns, as exactly as without an interruption; counters add up."""
    whole, config = (
        config_of(data, tmp_path / name, precision="float64") for name in ("whole", "run")
    )
    ranks = 2 if placement else 1
    run_of(whole)
    cut_short(config, 3, 7)
    run_of(config.model_copy(update={"placement": placement}), ranks, StartMode.RESUME)
    for name, value in learned(whole).items():
        np.testing.assert_allclose(learned(config)[name], value, rtol=1e-6, atol=1e-12)
    first, *_, last = events(config)
    assert (len(first["ranks"]), len(last["ranks"])) == (3, ranks)
    sent = [sum(rank["bytes_sent"] for rank in event["ranks"]) for event in (first, last)]
    assert sent[0] < sent[1]


def test_what_a_run_began_with_is_known_after_an_interruption(data, tmp_path):
    graph = small_graph(3)
    its = graph.relation("all")
    other = Relation("before", its.modalities, its.indices[:9], its.indices[:9, 0])
    MultimodalHypergraph.of(graph.modalities.values(), [other]).save(tmp_path / "g.zarr")
    run_of(config_of(tmp_path / "g.zarr", tmp_path / "warm", "before", iterations=2))
    warm = {"warm_start": str(tmp_path / "warm")}
    whole, config = (config_of(data, tmp_path / name, **warm) for name in ("whole", "run"))
    run_of(whole)
    cut_short(config, 1, 8)
    run_of(config, mode=StartMode.RESUME)
    assert_same(learned(config), learned(whole))  # hyperedges of its history among them
    assert scores(config) == scores(whole)
    start = events(config)[0]
    assert (start["iteration"], start["losses"], start["time_s"]) == (
        0,
        {},
        pytest.approx(0, abs=1),
    )
    assert start["valid"]["mrr"] > 0 and (config.run / "report.html").exists()
    history = open_run(config.run).history
    assert {each.name for each in history.trained_on} == {"before", "all", "rating"}
    assert history.means == open_run(whole.run).history.means
    assert set(history.means) == {"before", "rating"}


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("iteration", [2, 6])
def test_a_newcomer_goes_on_joining_after_an_interruption(data, tmp_path, ranks, iteration):
    """While it alone is trained, and while the learning rate rises; from its level, too."""
    graph = small_graph(3)
    pairs = Relation("all", ("m0", "m1"), graph.relation("all").indices[:, :2])
    smaller = MultimodalHypergraph.of([graph.modality(name) for name in pairs.modalities], [pairs])
    smaller.save(tmp_path / "g.zarr")

    def without_held_out(path, run, **changes):
        data = DataConfig(hypergraph=path, relation="all", valid=0, test=0)
        return config_of(path, tmp_path / run, **changes).model_copy(update={"data": data})

    run_of(without_held_out(tmp_path / "g.zarr", "warm"))
    warm = {"warm_start": str(tmp_path / "warm"), "join": {"alone": 3, "warm_up": 5}}
    whole, config = (without_held_out(data, name, **warm) for name in ("whole", "run"))
    run_of(whole, ranks)
    cut_short(config, ranks, iteration)
    run_of(config, ranks, StartMode.RESUME)
    assert_same(learned(config), learned(whole))
    assert max(value.max() for key, value in learned(whole).items() if "level" in key) > 2


def test_early_stopping_counts_on(data, tmp_path):
    """What scored best before the interruption is what the run ends in."""
    early = {"iterations": 5000, "evaluate": {"every": 2, "patience": 4}, "optimizer": {"lr": 0.1}}
    whole, config = (config_of(data, tmp_path / name, **early) for name in ("whole", "run"))
    expected = run_of(whole, 3)
    assert expected["stopped"] == "early stopping"
    best = expected["iterations"] - 8
    cut_short(config, 3, best + 4)
    summary = run_of(config, 3, StartMode.RESUME)
    assert summary == expected
    assert_same(learned(config), learned(whole))
    assert scores(config) == scores(whole)
    assert run_of(config, 3, StartMode.RESUME) is None  # it is over


def test_scores_of_another_sample_are_not_compared(data, tmp_path, monkeypatch):
    """The best of those after the resumption is what the run ends in, be it worse than before."""
    config = config_of(data, tmp_path / "run", evaluate={"every": 5, "max_hyperedges": 1})
    cut_short(config, 1, 11)
    kept = read_checkpoint(FitFolder(config.run).checkpoint)
    best = dict.fromkeys(kept.progress.best_score, 2.0)  # that nothing surpasses
    kept = replace(kept, progress=replace(kept.progress, best_score=best))
    monkeypatch.setattr("hypergraph.start.read_checkpoint", lambda _: kept)
    same = config.evaluate
    for evaluate in (same, same.model_copy(update={"max_hyperedges": 0})):
        changed = config.model_copy(update={"evaluate": evaluate})
        summary = run_of(changed, mode=StartMode.RESUME)
        assert (summary["valid"] == best) == (evaluate is same)
        FitFolder(config.run).summary.unlink()


def test_a_run_that_is_killed_loses_what_came_after_its_last_checkpoint(data, tmp_path):
    whole = config_of(data, tmp_path / "whole")
    config = config_of(data, tmp_path / "run", checkpoint={"every": 2})
    run_of(whole, 3)

    class KilledError(Exception):
        pass

    def die(trainer):
        raise KilledError

    with in_iteration(17, die), pytest.raises(KilledError):
        run_of(config, 3)
    assert [event["iteration"] for event in events(config)] == [5, 10, 15]
    run_of(config, 3, StartMode.AUTO)
    assert_same(learned(config), learned(whole))
    assert scores(config) == scores(whole)  # no iteration twice
    times_s = [event["time_s"] for event in events(config)]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize("how", [{"exchange_steps": 4}, {"exchange_s": 0.02}])
def test_a_run_of_stale_factors_goes_on_and_ends(data, tmp_path, how):
    """As if nothing had happened, where exchanges are by iterations."""
    whole, config = (config_of(data, tmp_path / name, **how) for name in ("whole", "run"))
    run_of(whole, 3)
    cut_short(config, 3, 6)
    summary = run_of(config, 3, StartMode.RESUME)
    assert summary["stopped"] == "iterations"
    done = [event["iteration"] for event in events(config)]
    assert done == sorted(set(done))
    if "exchange_steps" in how:
        assert_same(learned(config), learned(whole))


def test_who_is_told_to_stop_does_not_wait_for_the_next_exchange(data, tmp_path):
    """Which may be later than a scheduler kills."""
    config = config_of(data, tmp_path / "run", exchange_s=10_000.0, iterations=10**9)
    with (
        in_iteration(3, RankTrainer.request_stop, rank=0),
        in_iteration(3, RankTrainer.request_stop, rank=1),
    ):
        assert run_of(config, 2) == "interrupted"
    assert read_checkpoint(FitFolder(config.run).checkpoint).iterations == 3


def test_a_run_that_is_over_can_be_made_longer(config, data, tmp_path):
    whole = config_of(data, tmp_path / "whole", iterations=2 * ITERATIONS)
    run_of(whole)
    run_of(config)
    assert run_of(config, mode=StartMode.AUTO) is None
    assert run_of(config, mode=StartMode.RESUME) is None
    longer = config.model_copy(update={"iterations": 2 * ITERATIONS})
    assert run_of(longer, mode=StartMode.AUTO)["iterations"] == 2 * ITERATIONS
    assert_same(learned(config), learned(whole))


class Ticking(SingleProcess):
    """Time goes on by a second whenever somebody looks."""

    seconds = 0.0

    def clock(self):
        self.seconds += 1
        return self.seconds


def test_the_time_limit_counts_what_was_spent_before(data, tmp_path):
    """No score comes earlier or later than without the interruption, but for the look at it."""
    limit = {"iterations": None, "time_limit_s": 40.0, "evaluate": {"every": 1}}
    whole, config = (config_of(data, tmp_path / name, **limit) for name in ("whole", "run"))
    train_run(whole, Ticking())
    with in_iteration(8, RankTrainer.request_stop), pytest.raises(Interrupted):
        train_run(config, Ticking())
    assert train_run(config, Ticking(), mode=StartMode.RESUME)["stopped"] == "time limit"
    one, other = ([event["time_s"] for event in events(of)] for of in (whole, config))
    assert one == other
    assert one[-2] < 40 <= one[-1]


def test_agreeing_to_stop_costs_one_number_for_each_other_rank(data, config, monkeypatch):
    sent = []
    original = Exchange._send

    def send(self, views, plan, dtype):
        numbers = self.bytes_sent
        heard = original(self, views, plan, dtype)
        messages = [m for (source, _), of in plan.items() if source == self.comm.rank for m in of]
        needed = sum(len(views[m.key].flat()) for m in messages)
        sent.append((self.bytes_sent - numbers) // 4 - needed)
        return heard

    monkeypatch.setattr(Exchange, "_send", send)
    run_of(config, 3)
    assert set(sent) == {2}


@pytest.mark.parametrize("rank", [0, 1])
def test_what_only_one_rank_misses_is_said_on_all(data, config, rank, monkeypatch):
    """Nobody waits for the one that could not read its data."""
    from hypergraph.load import load_split

    seen = []

    def load(of):
        seen.append(of)
        if len(seen) == rank + 1:
            raise FileNotFoundError(2, "No such file", "g.zarr")
        return load_split(of)

    monkeypatch.setattr("hypergraph.start.load_split", load)
    with pytest.raises(UserError, match=r"cannot write or read g\.zarr"):
        run_of(config, 2)
    assert not config.run.exists()
    assert run_of(config, 2)["iterations"] == ITERATIONS  # its lock is let go


def test_a_run_without_a_checkpoint_says_so_and_one_that_is_damaged_is_named(config):
    with pytest.raises(UserError, match=r"no run at .*start one with: python -m hypergraph train"):
        run_of(config, mode=StartMode.RESUME)
    cut_short(config, 1, 3)
    path = FitFolder(config.run).checkpoint
    content = bytearray(path.read_bytes())
    for damaged in (content[:-1] + bytes([content[-1] ^ 1]), content[:500], content[:4], b""):
        path.write_bytes(damaged)
        for mode in (StartMode.RESUME, StartMode.AUTO):
            with pytest.raises(UserError, match=f"{path} is damaged: .*--overwrite starts"):
                run_of(config, mode=mode)
    path.unlink()
    with pytest.raises(UserError, match="has no checkpoint to resume from"):
        run_of(config, mode=StartMode.RESUME)
    assert run_of(config, mode=StartMode.AUTO)["iterations"] == ITERATIONS


def test_another_config_or_other_data_are_refused(config, data, tmp_path):
    cut_short(config, 1, 3)
    other = config_of(data, tmp_path / "run", seed=7, model={"dim": 4})
    for mode in (StartMode.RESUME, StartMode.AUTO):
        with pytest.raises(UserError, match=r"seed was 0 and is 7; .*model\.dim was 8 and is 4"):
            run_of(other, mode=mode)
    copy = shutil.copytree(data, tmp_path / "kept")
    shutil.rmtree(data)
    try:
        small_graph(3, seed=1).save(data)
        with pytest.raises(UserError, match="trained on another hypergraph"):
            run_of(config, mode=StartMode.RESUME)
    finally:
        shutil.rmtree(data)
        shutil.copytree(copy, data)


def test_a_run_is_trained_by_one_process_at_a_time(config):
    other = FitFolder(config.run)
    other.lock()
    with pytest.raises(UserError, match="is being trained by another process"):
        run_of(config)
    other.unlock()
    run_of(config)


def test_a_folder_that_is_no_run_is_not_removed(config):
    config.run.mkdir()
    (config.run / "precious").touch()
    with pytest.raises(UserError, match="exists and is no run; --overwrite will not remove it"):
        run_of(config, mode=StartMode.OVERWRITE)
    with pytest.raises(UserError, match="exists and is no run; give run=ANOTHER"):
        run_of(config, mode=StartMode.AUTO)


def test_a_run_keeps_what_it_is_trained_on(data, tmp_path, monkeypatch):
    """Wherever it is asked from; and it is not replaced by a run on what is inside it."""
    monkeypatch.chdir(data.parent)
    config = config_of(data.name, tmp_path / "run", iterations=1)
    run_of(config)
    (tmp_path / "run" / "own.csv").write_text("m0,m1\n1,1\n2,2\n")
    monkeypatch.chdir(tmp_path)
    assert open_run(tmp_path / "run").evaluate()
    own = config_of(data.name, "run").model_dump(mode="json")
    one = {"table": "run/own.csv", "columns": ["m0", "m1"]}
    for modalities, table in (
        ({"m0": None, "m1": None}, "run/own.csv"),
        ({"m0": None, "m1": None}, {"train": "run/own.csv", "test": "other.csv"}),
        ({"m0": {"edges": "run/own.csv"}, "m1": None}, "other.csv"),
        ({"m0": {"features": "run/own.csv"}, "m1": None}, "other.csv"),
    ):
        tables = {"modalities": modalities, "relations": {"r": one | {"table": table}}}
        with pytest.raises(UserError, match=r"run/own\.csv is inside the run"):
            run_of(parse_as(RunConfig, own | {"data": {"tables": tables}}), 1, StartMode.OVERWRITE)
    tate = {"artworks": "a.csv", "subjects": "run/own.csv"}
    with pytest.raises(UserError, match=r"run/own\.csv is inside the run"):
        run_of(parse_as(RunConfig, own | {"data": {"tate": tate}}), 1, StartMode.OVERWRITE)


def test_a_config_is_rewritten_whole_or_not_at_all(config, monkeypatch):
    run = FitFolder(config.run)
    run.create(config, overwrite=False)

    write = Path.write_text

    def half(path, text, **options):
        write(path, text[: len(text) // 2], **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(KeyboardInterrupt):
        run.rewind(config, 0)
    assert run.config() == config


def test_one_rank_scores_what_was_learned_for_all(config, monkeypatch):
    ranks, evaluate = [], HyperLearn.evaluate

    def scored(self, part):
        ranks.append(self.comm.rank)
        return evaluate(self, part)

    monkeypatch.setattr(HyperLearn, "evaluate", scored)
    summaries = InProcessGroup(3).run(lambda comm: train_run(config, comm))
    assert ranks == [0]
    assert summaries[0]["test"]
    assert summaries[1] == summaries[0]


def test_scoring_is_cut_short_too_and_is_all_that_is_left_to_do(config, data, tmp_path):
    whole = config_of(data, tmp_path / "whole")
    expected, evaluate = run_of(whole), HyperLearn.evaluate

    def told(self, part):
        signal.raise_signal(signal.SIGUSR2)  # heard before the next line
        return evaluate(self, part)

    with pytest.MonkeyPatch.context() as patched, ShutdownSignal() as shutdown:
        patched.setattr(HyperLearn, "evaluate", told)
        with pytest.raises(Interrupted, match="interrupted while scoring; resume with: python -m"):
            train_run(config, SingleProcess(), shutdown=shutdown)
    with in_iteration(ITERATIONS + 1, pytest.fail):
        assert run_of(config, mode=StartMode.RESUME) == expected
    assert_same(learned(config), learned(whole))


@pytest.fixture
def environment():
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


def train(*words):
    return [sys.executable, "-m", "hypergraph", "train", *map(str, words)]


def wait_for(found, process):
    while not found():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def written(config, path):
    path.write_text(safe_dump(json.loads(config.model_dump_json())))
    return path


def test_from_the_command_line(data, tmp_path, environment):
    config = config_of(data, tmp_path / "run", iterations=1_000_000)
    path = written(config, tmp_path / "c.yaml")
    process = subprocess.Popen(
        train(path, "--or-resume"), env=environment, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(events(config)) > 2, process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == INTERRUPTED
    assert f"and saved; resume with: python -m hypergraph train --resume {config.run}" in said
    done = events(config)[-1]["iteration"] + 7

    def resumed(*words):
        command = train("--resume", config.run, *words)
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    ended = resumed(f"iterations={done}")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["iterations"] == done
    again = resumed()
    assert (again.returncode, again.stdout) == (0, "")
    assert f"{config.run} is finished already" in again.stderr


def test_what_contradicts_itself_is_refused(config):
    how = {"resume": config.run, "or_resume": False, "overwrite": True}
    with pytest.raises(UserError, match="--overwrite replaces a run, --resume continues it"):
        run_request(RunConfig, FitFolder, None, [], **how)
    with pytest.raises(UserError, match="give a config, or --resume RUN"):
        run_request(RunConfig, FitFolder, None, [], resume=None, or_resume=True, overwrite=False)


def test_of_two_processes_one_is_told_and_both_end_as_interrupted(data, tmp_path, environment):
    config = config_of(data, tmp_path / "run", iterations=1_000_000)
    path = written(config, tmp_path / "c.yaml")
    script = f"{' '.join(train(path))}; echo $? > {tmp_path}/status.$HOROVOD_RANK"
    process = subprocess.Popen(
        ["horovodrun", "-np", "2", "sh", "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: len(events(config)) > 2, process)
    [of_rank] = [child for child in ranks_of(process) if rank_of(child) == 1]
    of_rank.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    status = [(tmp_path / f"status.{rank}").read_text().strip() for rank in range(2)]
    assert status == [str(INTERRUPTED)] * 2, said
    assert said.count("and saved; resume with") == 1
    assert FitFolder(config.run).checkpoint.exists()


def ranks_of(process):
    """The trainers among a process's descendants."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "hypergraph" in child.cmdline()]


def rank_of(process):
    return int(process.environ()["HOROVOD_RANK"])


def test_data_and_runs_may_be_moved_and_other_data_are_refused(data, tmp_path):
    here, there = tmp_path / "g.zarr", tmp_path / "other place" / "h.zarr"
    shutil.copytree(data, here)
    run_of(config_of(here, tmp_path / "run", iterations=10))
    there.parent.mkdir()
    shutil.move(here, there)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    run_of(config_of(there, tmp_path / "moved"), mode=StartMode.RESUME)
    run_of(config_of(data, tmp_path / "whole"))
    assert_same_parameters(tmp_path / "moved", tmp_path / "whole")
    small_graph(4).save(tmp_path / "another.zarr")
    other = config_of(tmp_path / "another.zarr", tmp_path / "moved", iterations=30)
    with pytest.raises(UserError, match="another hypergraph"):
        run_of(other, mode=StartMode.RESUME)


def assert_same_parameters(one, other):
    found = [load_file(FitFolder(run).model) for run in (one, other)]
    assert found[0].keys() == found[1].keys()
    assert all((found[0][name] == found[1][name]).all() for name in found[0])
