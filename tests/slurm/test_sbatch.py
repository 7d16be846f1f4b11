"""One submission is one transaction, whatever sbatch prints; a user's option wins over ours."""

import os
import re
import stat
from pathlib import Path

import pytest

from hvdtma.core.config import dump_config
from hvdtma.core.errors import UserError
from hvdtma.core.train_config import parse_config
from hvdtma.runs.folder import read_lines
from slurm import submit
from slurm.folder import JobFolder
from slurm.sbatch import job_id

SCANCEL = '#!/bin/sh\necho "$@" >> "{folder}/cancelled"\nexit {status}\n'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A cluster whose sbatch prints a text: site(answer); returns a folder for jobs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HVDTMA_CLUSTER", raising=False)

    def make(answer, scancel_status=0):
        scripts = {
            "sbatch": f"#!/bin/sh\nprintf '{answer}'\n",
            "srun": "#!/bin/sh\n",
            "scancel": SCANCEL.format(folder=tmp_path, status=scancel_status),
        }
        for name, text in scripts.items():
            (programs / name).write_text(text)
            (programs / name).chmod(stat.S_IRWXU)
        return tmp_path / "jobs"

    return make


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("Submitted batch job 4711\n", "4711"),
        ("4711\n", "4711"),
        ("4711;north\n", "4711"),
        ("  4711 ", "4711"),
        ("sbatch: checking 3 rules\nYour project has 12 hours left\n4711\n", "4711"),
        ("Submitted batch job 4711 on cluster north\nhave a nice day 2\n", "4711"),
        ("Job 4711 has been submitted", "4711"),
        ("", None),
        ("done", None),
        ("3 rules were checked", None),
    ],
)
def test_the_id_of_a_job_is_read_from_what_sites_print(answer, found):
    assert job_id(answer) == found


@pytest.mark.parametrize("answer", ["4711\\n", "4711;north\\n", "Submitted batch job 4711\\n"])
def test_a_job_whose_number_alone_is_printed_is_submitted(site, answer):
    folder = site(answer)
    submission = submit(["true"], folder=folder)
    assert submission.job_ids == ["4711"]
    assert (folder / "4711_submitted.pkl").exists()
    assert [line["job"] for line in read_lines(JobFolder(folder).jobs)] == ["4711"]


def test_the_jobs_of_an_array_are_read_likewise(site):
    folder = site("4711;north\\n")
    submission = submit(["true"], array=["seed=1,2,3"], folder=folder)
    assert submission.job_ids == ["4711_0", "4711_1", "4711_2"]
    assert sorted(path.name for path in folder.glob("*.pkl")) == [
        f"4711_{number}_submitted.pkl" for number in range(3)
    ]


@pytest.mark.parametrize("array", [[], ["seed=1,2"]])
def test_where_the_id_stays_unknown_the_folder_stays_and_the_message_says_so(site, array):
    folder = site("thank you\\n")
    with pytest.raises(UserError) as refused:
        submit(["true"], array=array, folder=folder)
    for word in ("'thank you' has no job id", str(folder), "squeue --me", "scancel ID"):
        assert word in str(refused.value)
    assert list(folder.glob("*.pkl"))
    assert list(folder.glob(".submission_file_*"))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_submission_that_fails_after_sbatch_cancels_its_job_and_leaves_nothing(
    site, monkeypatch, tmp_path, error
):
    def fail(*_):
        raise error

    folder = site("4711\\n")
    monkeypatch.setattr(JobFolder, "record", fail)
    with pytest.raises(type(error)):
        submit(["true"], folder=folder)
    assert (tmp_path / "cancelled").read_text() == "4711\n"
    assert not folder.exists()


def test_a_job_that_cannot_be_cancelled_keeps_its_files(site, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    folder = site("4711\\n", scancel_status=1)
    monkeypatch.setattr(JobFolder, "record", fail)
    with pytest.raises(UserError, match=r"job 4711 was sent, .*No space left"):
        submit(["true"], folder=folder)
    assert (folder / "4711_submitted.pkl").exists()


def script_with(tmp_path, defaults, **asked):
    """The options of a script, by name, and how often each stands there."""
    file = tmp_path / "cluster.yaml"
    file.write_text(defaults)
    script = submit(["true"], cluster_config=file, dry_run=True, **asked).script
    found = re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script, re.MULTILINE)
    names = [name.replace("_", "-") for name, _ in found]
    assert len(set(names)) == len(names), f"twice: {found}"
    return dict(zip(names, [value for _, value in found], strict=True))


@pytest.mark.parametrize(
    ("defaults", "there", "not_there"),
    [
        ("{}", {"requeue": "", "open-mode": "append"}, {"no-requeue"}),
        ("sbatch: {no-requeue: true}", {"no-requeue": ""}, {"requeue"}),
        ("sbatch: {requeue: false}", {}, {"requeue", "no-requeue"}),
        ("sbatch: {no-requeue: false}", {"requeue": ""}, {"no-requeue"}),
        ("sbatch: {open-mode: truncate}", {"open-mode": "truncate"}, set()),
        ("sbatch: {open-mode: false, signal: false}", {}, {"open-mode", "signal"}),
        ("sbatch: {signal: 'TERM@60'}", {"signal": "TERM@60"}, set()),
        ("sbatch: {wckey: false}", {}, {"wckey"}),
        ("sbatch: {mem-per-cpu: 2G}", {"mem-per-cpu": "2G"}, {"mem"}),
        ("sbatch: {mem: 2G}", {"mem": "2048M"}, set()),
        ("sbatch: {oversubscribe: true}", {"oversubscribe": ""}, {"exclusive"}),
        ("sbatch: {partition: 7}", {"partition": "7"}, set()),
        ("sbatch: {account: lab two}", {"account": "'lab two'"}, set()),
    ],
)
def test_an_option_of_the_user_wins_and_false_leaves_one_out(tmp_path, defaults, there, not_there):
    found = script_with(tmp_path, defaults)
    assert found.items() >= there.items()
    assert not not_there & found.keys()


@pytest.mark.parametrize(
    ("options", "there", "not_there"),
    [
        ({"partition": "mine"}, {"partition": "mine"}, set()),
        ({"memory_gb": 1}, {"mem": "1024M"}, {"mem-per-cpu"}),
        ({"cpus_per_task": 3}, {"cpus-per-task": "3"}, {"cpus-per-gpu"}),
        ({"gpu_bind": "none"}, {"gpu-bind": "none"}, set()),
    ],
)
def test_the_command_line_wins_over_the_options_of_the_cluster(tmp_path, options, there, not_there):
    site = "{partition: theirs, mem-per-cpu: 2G, cpus-per-gpu: 2, gpu-bind: closest}"
    found = script_with(tmp_path, f"sbatch: {site}", options=options)
    assert found.items() >= there.items()
    assert not not_there & found.keys()


def test_cpus_under_sbatch_reach_the_tasks_too(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text("sbatch: {cpus-per-task: 4}")
    script = submit(["true"], cluster_config=file, dry_run=True).script
    assert "export SRUN_CPUS_PER_TASK=" in script


@pytest.mark.parametrize("name", ["nodes", "ntasks", "ntasks-per-node", "time", "array"])
def test_options_that_the_job_itself_has_are_refused_with_their_flag(tmp_path, name):
    with pytest.raises(UserError, match=f"sbatch has '{name}'; give --"):
        script_with(tmp_path, f"sbatch: {{{name}: 3}}")


def test_a_limit_of_memory_that_slurm_does_not_read_is_refused(tmp_path):
    with pytest.raises(UserError, match="mem is 'much'; valid: 40G"):
        script_with(tmp_path, "sbatch: {mem: much}")


def test_a_failed_task_ends_the_others(tmp_path):
    script = submit(["true"], nodes=2, folder=tmp_path / "jobs", dry_run=True).script
    assert re.search(r"^srun .*--kill-on-bad-exit=1 ", script, re.MULTILINE)
    batch = (Path(__file__).parents[2] / "slurm/train.sbatch").read_text()
    assert 'srun --kill-on-bad-exit=1 "$@"' in batch


@pytest.fixture
def config(community_store, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HVDTMA_CLUSTER", raising=False)
    values = {"store": str(community_store.path), "run": str(tmp_path / "run"), "rounds": 2}
    dump_config(parse_config(values), tmp_path / "c.yaml")
    return tmp_path / "c.yaml"


def test_a_sweep_runs_as_many_jobs_at_once_as_the_user_says(hvdtma, config):
    asked = ("--array", "seed=1,2,3", "--array-parallel", 2, "--dry-run")
    status, script, _ = hvdtma("submit", config, *asked)
    assert status == 0
    assert "#SBATCH --array=0-2%2\n" in script


@pytest.mark.parametrize(("limit", "written"), [(8, 8), (None, 300), (1000, 300)])
def test_without_a_limit_all_jobs_of_a_sweep_may_run_at_once(limit, written):
    seeds = "--seed=" + ",".join(map(str, range(300)))
    script = submit(["true"], array=[seeds], array_parallel=limit, dry_run=True).script
    assert f"--array=0-299%{written}\n" in script


def test_a_limit_that_limits_nothing_is_refused(hvdtma, config):
    status, _, said = hvdtma("submit", config, "--array-parallel", "2", "--dry-run")
    assert status == 2
    assert "there is only one job" in said
    with pytest.raises(UserError, match="--array-parallel is 0; it must be at least 1"):
        submit(config, array=["seed=1,2"], array_parallel=0, dry_run=True)


def test_a_sweep_on_the_cluster_has_the_same_limit(site, hvdtma, config, tmp_path):
    site("4711\\n")
    words = ("seed=1,2,3", f"run={tmp_path}/sweep", "--cluster", "slurm")
    status, _, said = hvdtma("sweep", config, *words, "--array-parallel", 2)
    assert status == 0, said
    [script] = (tmp_path / "sweep.jobs").glob("*_submission.sh")
    assert "#SBATCH --array=0-2%2\n" in script.read_text()
    for wrong, expected in (
        (("--jobs", 2), "give --array-parallel"),
        (("--array-parallel", 2), "give --jobs"),
    ):
        place = words if "--jobs" in wrong else words[:2]
        status, _, said = hvdtma("sweep", config, *place, *wrong)
        assert (status, expected in said) == (2, True), said
