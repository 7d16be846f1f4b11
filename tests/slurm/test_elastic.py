"""Elastic trainers on a real Slurm of four nodes: processes and nodes are lost, and come back."""

import json
import random
import time
from functools import partial
from itertools import pairwise

import psutil
import pytest
from cluster.cluster import wait_for
from on_cluster import ROOT, config_of, in_process, log, sbatch

from hvdtma.core.errors import INTERRUPTED
from hvdtma.runs.run_folder import RunFolder

KILLS, ROUNDS = 20, 80  # a round takes a second at least, so the kills end before the run
SCRIPT = ROOT / "slurm" / "elastic.sbatch"
TIMEOUT_S = 240  # less than a test may take
POLL_S = 0.3  # each poll runs scontrol and reads every process


class Job:
    """A job of elastic trainers."""

    def __init__(self, slurm, store, folder, *options, **changes):
        values = {"interval_s": 1.0, "interval_steps": None, "elastic": True, "hang_limit_s": 30}
        folder.mkdir(exist_ok=True)
        config, path = config_of(store, folder / "run", **values | changes)
        self.slurm, self.folder, self.run = slurm, folder, RunFolder(config.run)
        self.number = sbatch(slurm, SCRIPT, path, *options, folder=folder)

    def events(self, kind):
        return [event for event in self.run.events() if event["kind"] == kind]

    def wait_until(self, condition):
        def holds():
            assert self.slurm.job(self.number)["JobState"] in ("PENDING", "RUNNING"), log(
                self.folder
            )
            return condition()

        try:
            wait_for(holds, TIMEOUT_S, POLL_S)
        except TimeoutError as error:
            raise AssertionError(log(self.folder)) from error

    def wait_for_round(self, number):
        self.wait_until(lambda: len(self.events("round")) >= number)

    def trainers(self):
        """Its trainers by node."""
        found = {}
        for process in psutil.process_iter():
            try:
                names = process.environ()
            except psutil.Error:
                continue
            own = names.get("SLURM_JOB_ID") == self.number and "HVDTMA_NAME" in names
            if own and "hvdtma" in process.cmdline() and process.name() != "srun":
                found[names["SLURMD_NODENAME"]] = process
        return found

    def losses_since(self, changes):
        """Number of trainers lost after the first `changes` changes."""
        return sum(change["lost"] for change in self.events("members")[changes:])

    def summary(self):
        return json.loads(self.run.summary.read_text())

    def wait(self):
        return self.slurm.wait_for_job(self.number, timeout_s=400)

    def assert_complete(self, rounds):
        assert [event["round"] for event in self.events("round")] == list(range(1, rounds + 1))
        assert self.run.summary.exists()


@pytest.fixture
def job(slurm, community_store, tmp_path):
    return lambda *options, **changes: Job(slurm, community_store, tmp_path, *options, **changes)


def test_two_trainers_killed_and_a_node_set_down_leave_the_rest_to_finish(
    slurm, job, community_store, tmp_path
):
    job = job("--max-restarts", 0, rounds=20)
    whole, _ = config_of(community_store, tmp_path / "whole", interval_steps=5, rounds=20)
    undisturbed = in_process(whole, 4)
    job.wait_for_round(2)
    job.wait_until(lambda: len(job.trainers()) == 4)
    alive = job.trainers()
    left = ["n1", "n2", "n3", "n4"]
    batch_node = slurm.nodes_of(job.number)[0]  # the driver runs there
    for lost in ("n3", "n2"):
        changes = len(job.events("members"))
        alive[lost].kill()
        left.remove(lost)
        job.wait_until(partial(job.losses_since, changes))
        job.wait_until(lambda: len(job.trainers()) == len(left))
        before = len(job.events("round"))
        job.wait_for_round(before + 2)
    slurm.set_node("n4", "down")
    assert batch_node == "n1"
    assert job.wait() == "COMPLETED", log(job.folder)
    job.assert_complete(20)
    changes = job.events("members")
    assert sum(change["lost"] for change in changes) == 3
    assert changes[-1]["trainers"] == 1
    mrr, undisturbed_mrr = job.summary()["valid"]["mrr"], undisturbed["valid"]["mrr"]
    assert mrr > 0.5 * undisturbed_mrr  # it learned, and nothing was averaged to nonsense
    rounds = job.events("round")
    waited = [after["time_s"] - before["time_s"] for before, after in pairwise(rounds)]
    assert max(waited) < 15
    print(
        f"valid MRR {mrr:.3f}, {undisturbed_mrr:.3f} after as many undisturbed rounds; at most "
        f"{max(waited):.1f} s from one aggregation to the next (interval 1 s); regrouping took "
        + ", ".join(f"{change['took_s']:.1f}" for change in changes)
        + " s"
    )


def test_a_killed_trainer_is_started_again_and_one_on_a_lost_node_is_not(slurm, job):
    """Slurm takes a node that failed out of the job for good."""
    job = job("--restart-delay-s", 0, rounds=100_000)
    job.wait_for_round(2)
    job.wait_until(lambda: len(job.trainers()) == 4)
    job.wait_until(lambda: all(c["trainers"] == 4 for c in job.events("members")[-1:]))
    before = len(job.events("members"))
    job.trainers()["n2"].kill()
    job.wait_until(lambda: job.losses_since(before))
    job.wait_until(lambda: job.events("members")[-1]["trainers"] == 4)
    slurm.set_node("n3", "down")
    job.wait_until(lambda: job.events("members")[-1]["trainers"] == 3)
    slurm.set_node("n3", "resume")
    before = len(job.events("round"))
    job.wait_for_round(before + 5)
    job.wait_until(lambda: "node n3 is out of service" in log(job.folder))
    assert job.events("members")[-1]["trainers"] == 3


@pytest.mark.timeout(900)
def test_a_run_whose_trainers_come_again_completes_through_twenty_kills(job):
    """At any time: in training, while others start or meet, the last one that is left."""
    job = job("--restart-delay-s", 0, rounds=ROUNDS, checkpoint={"every": 5})
    job.wait_for_round(1)
    drawn = random.Random(0)
    for _ in range(KILLS):
        time.sleep(drawn.expovariate(1 / 2))
        job.wait_until(job.trainers)
        drawn.choice(sorted(job.trainers().items()))[1].kill()
    assert job.slurm.job(job.number)["JobState"] == "RUNNING"
    assert job.wait() == "COMPLETED", log(job.folder)
    job.assert_complete(ROUNDS)
    assert log(job.folder).count("was lost (status 137)") == KILLS


def test_a_job_that_is_told_to_end_saves_and_goes_on_under_its_id(slurm, job):
    """As before its time limit: Slurm signals the steps, and the driver is one of them."""
    job = job(rounds=10)
    job.wait_for_round(3)
    slurm.run("scancel", "--signal=USR2", job.number)
    wait_for(lambda: "and saved; resume with" in log(job.folder), TIMEOUT_S)
    assert job.wait() == "COMPLETED", log(job.folder)
    job.assert_complete(10)
    assert slurm.job(job.number)["Restarts"] == "1"
    assert not job.events("members")


def test_too_few_trainers_end_the_job_saved_and_it_is_requeued(slurm, job):
    job = job("--max-restarts", 0, rounds=8, min_trainers=4, rejoin_timeout_s=1)
    job.wait_for_round(2)
    job.trainers()["n2"].kill()
    wait_for(lambda: "saved after round" in log(job.folder), TIMEOUT_S)
    assert job.wait() == "COMPLETED", log(job.folder)  # under its id, with all four again
    job.assert_complete(8)
    assert slurm.job(job.number)["Restarts"] == "1"
    assert INTERRUPTED == 75  # what the script asks for
