"""`hvdtma submit` and `slurm.submit`, on a real Slurm of four nodes."""

import re
import stat
import sys

import pytest
from cluster.cluster import wait_for
from on_cluster import ROOT, ROUNDS, assert_same, config_of, parameters

from hvdtma.core.errors import UserError
from hvdtma.core.files import append_json
from hvdtma.runs.run_folder import RunFolder
from slurm import submit, watch


def config_file(store, run, **changes):
    return config_of(store, run, **changes)[1]


@pytest.fixture
def user(slurm, monkeypatch, tmp_path):
    """The cluster, for a user who submits from this process."""
    monkeypatch.setattr(watch, "POLL_S", 0.5)
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    monkeypatch.setenv("PATH", slurm.env["PATH"])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HOME", str(tmp_path))  # no cluster defaults
    return slurm


def ends_well(slurm, job, log):
    assert slurm.wait_for_job(job, timeout_s=250) == "COMPLETED", log.read_text()


def test_it_trains_on_four_nodes_to_the_parameters_of_horovodrun(
    user, hvdtma, community_store, tmp_path, reference
):
    config = config_file(community_store, tmp_path / "run")
    status, printed, seen = hvdtma("submit", config, "--nodes", 4, "--time", "10m", "--watch")
    assert status == 0, seen
    job = re.search(r"job (\d+)", printed)[1]
    assert f"{tmp_path}/run.jobs/{job}_0_log.out" in printed
    assert re.search(rf"{job} .*: RUNNING \(n\[1-4\]\)", seen)
    assert re.search(rf"{job} .*: valid after round {ROUNDS}: mrr", seen)
    assert re.search(rf"{job} .*: COMPLETED", seen)
    assert_same(parameters(tmp_path / "run"), reference)
    assert stat.S_IMODE((tmp_path / "run.jobs").stat().st_mode) == 0o700


def test_slurm_takes_the_options_and_gives_the_job_what_they_say(user, tmp_path):
    asked = {"nodelist": "n[2-3]", "exclude": "n1", "cpus_per_task": 2, "memory_gb": 2}
    asked |= {"account": "physics", "mail_type": "FAIL", "mail_user": "nobody"}
    told = ["sh", "-c", "echo $SLURMD_NODENAME has $SLURM_CPUS_PER_TASK"]
    submission = submit(told, nodes=2, time="5m", options=asked, folder=tmp_path / "jobs")
    [spec] = submission.specs
    ends_well(user, spec.id, spec.log)
    job = user.job(spec.id)
    assert job["NodeList"] == "n[2-3]"
    assert job["ExcNodeList"] == "n1"
    assert job["CPUs/Task"] == "2"
    assert job["MinMemoryNode"] == "2G"
    assert job["Account"] == "physics"
    assert job.get("WCKey", "") == ""
    assert "n2 has 2" in spec.log.read_text()


def test_several_tasks_per_node_that_are_told_to_end_go_on_to_the_same_parameters(
    user, community_store, tmp_path, reference
):
    run = RunFolder(tmp_path / "run")
    config = config_file(community_store, run.path)
    [spec] = submit(config, nodes=2, tasks_per_node=2, time="10m").specs
    wait_for(run.round_files, timeout_s=120)
    user.run("scancel", "--signal=USR2", spec.id)
    ends_well(user, spec.id, spec.log)
    assert user.job(spec.id)["Restarts"] == "1"
    assert spec.log.read_text().count("and saved; resume with") == 1
    assert_same(parameters(run.path), reference)
    times_s = [event["time_s"] for event in run.events() if event["kind"] == "round"]
    assert times_s == sorted(times_s)  # its clock goes on, too
    with pytest.raises(UserError, match=f"{run.path} is complete; give run=ANOTHER"):
        submit(config, nodes=2, tasks_per_node=2)


def test_elastic_trainers_are_driven_by_one_task_and_go_on_too(user, community_store, tmp_path):
    run = RunFolder(tmp_path / "run")
    config = config_file(community_store, run.path, elastic=True, evaluate={"mode": "follow"})
    [spec] = submit(config, nodes=2, time="10m").specs
    wait_for(run.round_files, timeout_s=120)
    user.run("scancel", "--signal=USR2", spec.id)
    ends_well(user, spec.id, spec.log)
    assert user.job(spec.id)["Restarts"] == "1"
    assert "ended early" not in spec.log.read_text()  # the evaluator gets no signal
    rounds = [event for event in run.events() if event["kind"] == "round"]
    assert [event["round"] for event in rounds] == list(range(1, ROUNDS + 1))
    assert {len(event["trainers"]) for event in rounds} == {2}


ENCODER = """
from hvdtma.models.encoders import SAGE


class Mine(SAGE):
    pass
"""
DECODER = """
from hvdtma.models.decoders import DotDecoder


class Scaled(DotDecoder):
    def forward(self, u, v, edge_type=None):
        return super().forward(u, v) / 2
"""


@pytest.mark.parametrize("elastic", [False, True])
def test_jobs_import_plug_ins_from_the_submitters_folders(
    user, community_store, tmp_path, monkeypatch, elastic
):
    """From the working directory and from a folder of `sys.path`; the job runs elsewhere."""
    here, library, elsewhere = (tmp_path / name for name in ("here", "library", "elsewhere"))
    for folder in (here, library, elsewhere):
        folder.mkdir()
    (here / "my_encoder.py").write_text(ENCODER)
    (library / "my_decoder.py").write_text(DECODER)
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [*sys.path, str(library)])
    defaults = tmp_path / "cluster.yaml"
    defaults.write_text(f"sbatch: {{chdir: {elsewhere}}}\n")
    config = config_file(
        community_store,
        tmp_path / "run",
        elastic=elastic,
        rounds=3,
        model={"encoder": "my_encoder:Mine", "hidden": 8},
        task={"decoder": "my_decoder:Scaled", "batch_size": 32},
        evaluate={"mode": "follow"},
    )
    [spec] = submit(config, nodes=2, time="10m", cluster_config=defaults).specs
    ends_well(user, spec.id, spec.log)
    run = RunFolder(tmp_path / "run")
    assert [event["round"] for event in run.events() if event["kind"] == "round"] == [1, 2, 3]
    assert run.config().model.encoder == "my_encoder:Mine"
    assert "ended early" not in spec.log.read_text()  # the evaluator imports them too


def test_a_plug_in_that_is_refused_is_not_queued(
    user, hvdtma, community_store, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    config = config_file(community_store, tmp_path / "run")
    (tmp_path / "bad_encoder.py").write_text(f"{ENCODER}    forward = None\n")
    for word, expected in (
        ("model.options.agr=max", "the encoder 'sage' takes no option 'agr'"),
        ("model.encoder=gone:Mine", "cannot be imported: ModuleNotFoundError"),
        ("model.encoder=bad_encoder:Mine", "bad_encoder:Mine is not an encoder"),
    ):
        status, said, error = hvdtma("submit", config, word)
        assert status == 2
        assert not said
        assert expected in error
    assert not user.run("squeue", "-h")
    assert not (tmp_path / "run.jobs").exists()


def test_a_sweep_is_a_job_array_of_runs_of_their_own(user, community_store, tmp_path):
    config = config_file(community_store, tmp_path / "run", rounds=1)
    submission = submit(config, time="10m", array=["seed=3,4"])
    assert [job.split("_")[1] for job in submission.job_ids] == ["0", "1"]
    assert submission.watch() == 0
    for spec, seed in zip(submission.specs, (3, 4), strict=True):
        run = RunFolder(tmp_path / "run" / f"seed={seed}")
        assert spec.config.run == run.path
        assert run.config().seed == seed
        assert run.summary.exists()


def test_a_function_runs_in_every_task_and_tasks_can_meet(user, tmp_path):
    folder = tmp_path / "meeting"

    def meet_and_tell():
        from hvdtma.comm.slurm_meeting import meet
        from hvdtma.comm.slurm_task import SlurmTask

        comm = meet(SlurmTask.from_environ(), folder)
        return comm.all_gather_object((comm.rank, SlurmTask.from_environ().node))

    [spec] = submit(meet_and_tell, nodes=2, time="10m", folder=tmp_path / "jobs").specs
    ends_well(user, spec.id, spec.log)
    assert spec.job.results() == [[(0, "n1"), (1, "n2")]] * 2


def test_a_command_that_ends_with_status_75_is_requeued(user, tmp_path):
    been = tmp_path / "been"
    words = ["sh", "-c", f"test -e {been} || {{ touch {been}; exit 75; }}"]
    [spec] = submit(words, time="10m", folder=tmp_path / "jobs").specs
    ends_well(user, spec.id, spec.log)
    assert user.job(spec.id)["Restarts"] == "1"


def test_a_command_that_fails_is_not_requeued(user, tmp_path, capsys):
    submission = submit(["sh", "-c", "echo woe; exit 3"], time="10m", folder=tmp_path / "jobs")
    assert submission.watch() == 1
    said = capsys.readouterr().err
    assert "ended as FAILED" in said
    assert "woe" in said


def test_a_job_that_is_cancelled_does_not_come_back(user, tmp_path):
    started = tmp_path / "started"
    trap = f"trap 'exit 75' TERM USR2; touch {started}; sleep 600 & wait"
    [spec] = submit(["sh", "-c", trap], time="10m", folder=tmp_path / "jobs").specs
    wait_for(started.exists, timeout_s=60)
    user.run("scancel", spec.id)
    assert user.wait_for_job(spec.id) == "CANCELLED"
    assert user.job(spec.id)["Restarts"] == "0"


def test_a_preempted_job_goes_on_when_there_is_room(user, tmp_path):
    started = tmp_path / "started"
    trap = f"test -e {started} && exit; trap 'exit 75' TERM; touch {started}; sleep 600 & wait"
    low = {"nodes": 4, "partition": "low", "time": "10m", "folder": tmp_path / "jobs"}
    whole_nodes = tmp_path / "cluster.yaml"
    whole_nodes.write_text("sbatch: {exclusive: true}\n")
    [spec] = submit(["sh", "-c", trap], cluster_config=whole_nodes, **low).specs
    wait_for(started.exists, timeout_s=60)
    user.run("srun", "-N4", "--exclusive", "true")
    ends_well(user, spec.id, spec.log)
    assert user.job(spec.id)["Restarts"] == "1"


def test_a_partition_that_is_not_there_is_refused_in_slurms_words(
    user, hvdtma, community_store, tmp_path
):
    config = config_file(community_store, tmp_path / "run")
    status, said, error = hvdtma("submit", config, "--partition", "nowhere")
    assert status == 2
    assert not said
    assert error.count("invalid partition specified: nowhere") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "run.jobs").exists()


def test_a_run_is_not_given_to_two_jobs(user, community_store, tmp_path):
    defaults = tmp_path / "cluster.yaml"
    defaults.write_text("partition: low\nsbatch: {hold: true}\n")
    config = config_file(community_store, tmp_path / "run")
    [spec] = submit(config, cluster_config=defaults).specs
    assert user.job(spec.id)["Partition"] == "low"
    with pytest.raises(UserError, match=f"belongs to job {spec.id}, which has not ended"):
        submit(config)
    user.run("scancel", spec.id)
    append_json(tmp_path / "run.jobs" / "jobs.jsonl", {"job": "1", "run": "another"})
    submit(config, cluster_config=defaults)
