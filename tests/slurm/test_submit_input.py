"""`hvdtma submit` on a machine without Slurm: scripts, bad input, jobs on this machine."""

import io
import os
import re
import shlex
import signal
import stat
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

import slurm.states
import slurm.watch
from hvdtma.comm import transport
from hvdtma.comm.communicator import TooFewTrainers
from hvdtma.comm.join import join_unless_interrupted
from hvdtma.core.config import dump_config
from hvdtma.core.errors import INTERRUPTED, Interrupted, UserError
from hvdtma.core.files import append_json
from hvdtma.core.signals import ShutdownSignal
from hvdtma.core.train_config import load_train_config, parse_config
from hvdtma.runs.run_folder import RunFolder
from slurm.defaults import find_defaults
from slurm.folder import JobFolder
from slurm.job import Job, run_command
from slurm.sizes import parse_memory_gb
from slurm.specs import JobSpec
from slurm.submission import submit
from slurm.sweep import combinations, folder_name
from slurm.times import format_minutes, parse_minutes

ROOT = Path(__file__).parents[2]
SCORE = {"kind": "score", "part": "valid", "round": 1, "time_s": 1.0, "metrics": {"mrr": 0.5}}


class FakeJob:
    job_id = "7"


class Screen(io.StringIO):
    """A text that passes for a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def config(community_store, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HVDTMA_CLUSTER", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    values = {"store": str(community_store.path), "run": str(tmp_path / "run"), "rounds": 2}
    values |= {"interval_steps": 2, "threads": 1, "evaluate": {"mode": "final"}}
    path = tmp_path / "c.yaml"
    dump_config(parse_config(values), path)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("4h", 240), ("90m", 90), ("1d12h", 2160), ("1h30m", 90), ("45s", 1), ("30", 30)),
        *(("12:30", 13), ("12:30:00", 750), ("1-12", 2160), ("1-12:30", 2190)),
        *(("1-12:30:00", 2190), (" 4 H ", 240)),
    ],
)
def test_times_are_read_as_slurm_and_people_write_them(text, expected):
    assert parse_minutes(text) == expected


@pytest.mark.parametrize("text", ["", "0", "soon", "-3", "4x", "1:2:3:4", "h"])
def test_other_times_are_refused_with_the_valid_ones(text):
    with pytest.raises(UserError, match=re.escape(f"time is '{text}'; valid: 4h, 90m")):
        parse_minutes(text)


def test_times_are_printed_in_days_hours_and_minutes():
    assert format_minutes(2190) == "1 d 12 h 30 min"


def test_a_sweep_has_every_combination():
    chosen = combinations(["seed=0,1", "model.fanouts=[5,5],[10,10]"])
    assert chosen[0] == ["seed=0", "model.fanouts=[5,5]"]
    assert len(chosen) == 4
    assert folder_name(chosen[-1]) == "seed=1,model.fanouts=-10,10-"


@pytest.mark.parametrize("array", [["seed"], ["seed="], ["seed=1,,2"], ["seed=1", "seed=2"]])
def test_a_bad_sweep_is_refused(array):
    with pytest.raises(UserError, match="--array"):
        combinations(array)


def test_a_dry_run_prints_the_script_and_leaves_nothing(hvdtma, config, tmp_path):
    before = sorted(tmp_path.iterdir())
    asked = ("--nodes", 2, "--tasks-per-node", 3, "--gpus-per-node", 3, "--time", "4h")
    defaults = ("--cluster-config", ROOT / "configs/cluster.yaml", "--partition", "long")
    status, script, _ = hvdtma("submit", config, *asked, *defaults, "--dry-run")
    assert status == 0
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script, re.MULTILINE))
    assert (
        options.items()
        >= {
            **{"nodes": "2", "ntasks-per-node": "3", "gpus-per-node": "3", "time": "240"},
            **{
                "partition": "long",
                "account": "my-project",
                "constraint": "a100",
                "mem": "122880M",
                "gpu-bind": "closest",
                "exclude": "node017",
                "mail-type": "END,FAIL",
                "mail-user": "me@example.org",
            },
            **{"signal": "USR2@120", "requeue": "", "exclusive": "", "cpus-per-task": "8"},
        }.items()
    )
    assert script.index("module load cuda/12.4") < script.index("ulimit") < script.index("srun ")
    assert sorted(tmp_path.iterdir()) == before


def options_of(script):
    """The options that sbatch reads: it stops at the first line that is no comment."""
    head = script[: re.search(r"^[^#\n]", script, re.MULTILINE).start()]
    return dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", head, re.MULTILINE))


def test_options_of_the_command_line_win_over_the_clusters(hvdtma, config):
    asked = {
        "account": "lab two", "qos": "long", "mem": "1500M", "cpus-per-task": "3",
        "gpu-bind": "single:1", "nodelist": "n[1-3]", "exclude": "n4", "mail-type": "FAIL",
    }  # fmt: skip
    words = [word for name, value in asked.items() for word in (f"--{name}", value)]
    defaults = ("--cluster-config", ROOT / "configs/cluster.yaml")
    status, script, _ = hvdtma("submit", config, *words, *defaults, "--dry-run")
    assert status == 0
    found = {name: "".join(shlex.split(value)) for name, value in options_of(script).items()}
    assert found.items() >= asked.items()
    assert found["partition"] == "gpu"
    assert script.count("--cpus-per-task") == 1
    assert "export SRUN_CPUS_PER_TASK" in script


def test_memory_is_read_as_slurm_writes_it():
    read = [parse_memory_gb(text) for text in ("40G", "4096M", "2048", "1T", "0", "512k")]
    assert read == [40, 4, 2, 1024, 0, 2**-11]


def test_all_memory_of_a_node_and_a_little_memory_are_not_confused(config):
    scripts = [submit(config, options={"memory_gb": gb}, dry_run=True).script for gb in (0, 1e-9)]
    assert [options_of(script)["mem"] for script in scripts] == ["0M", "1M"]


def test_no_wckey_and_no_option_that_is_off_is_sent(config, tmp_path):
    off = tmp_path / "c.yml"
    off.write_text("sbatch: {exclusive: false}\n")
    script = submit(config, array=["seed=1,2"], cluster_config=off, dry_run=True).script
    assert not {"wckey", "exclusive"} & options_of(script).keys()
    off.write_text("sbatch: {wckey: mine}\n")
    script = submit(config, cluster_config=off, dry_run=True).script
    assert options_of(script)["wckey"] == "mine"


@pytest.mark.parametrize(
    ("asked", "warned"),
    [
        (["--gpus-per-node", "1"], True),
        (["--gpus-per-node", "1", "--cpus-per-task", "4"], False),
        (["--gpu-bind", "closest"], False),
        ([], False),
    ],
)
def test_gpus_without_cpus_are_warned_of(hvdtma, config, asked, warned):
    status, _, said = hvdtma("submit", config, *asked, "--dry-run")
    assert status == 0
    assert ("GPUs are requested, but no CPUs" in said) == warned


@pytest.mark.parametrize(
    ("asked", "warned"),
    [
        (["--gpus-per-node", "4"], "4 GPUs for 1 task; .* --tasks-per-node 4"),
        (["--gpus-per-node", "2", "--tasks-per-node", "4"], "4 tasks share 2 GPUs on each node"),
        (["--gpus-per-node", "2", "--tasks-per-node", "2"], ""),
        (["memory_gb=8", "--mem", "20G", "--tasks-per-node", "2"], ""),
        (
            ["memory_gb=8", "--mem", "20G", "--tasks-per-node", "3"],
            "memory_gb is 8 for each of 3 trainers of a node, but --mem is 20 .* --mem 30G",
        ),
        (["memory_gb=8", "--mem", "0", "--tasks-per-node", "3"], ""),
    ],
)
def test_resources_that_a_job_would_waste_or_lack_are_one_line(hvdtma, config, asked, warned):
    status, _, said = hvdtma("submit", config, *asked, "--cpus-per-task", 2, "--dry-run")
    assert status == 0
    assert said.count("\n") == bool(warned)
    assert re.search(warned, said)


@pytest.mark.parametrize("command", ["submit", "sweep"])
def test_the_defaults_need_no_config_file(hvdtma, config, tmp_path, command):
    words = [f"store={load_train_config(config).store}", f"run={tmp_path}/new", "rounds=2"]
    if command == "submit":
        status, script, said = hvdtma("submit", *words, "--dry-run")
        assert status == 0, said
        assert f"{tmp_path}/new.jobs" in script
        return
    status, _, said = hvdtma("sweep", *words, "seed=1,2", "--cluster", "cloud")
    assert status == 2
    assert "cluster is 'cloud'; valid: slurm, local" in said  # all else was read


def test_a_dry_runs_script_names_what_it_needs_beside_it(config, tmp_path):
    script = submit(config, dry_run=True).script
    assert script.startswith("#!/bin/bash\n# A dry run")
    values = load_train_config(config)
    for needed in (tmp_path / "run.jobs", values.store, values.run.parent, sys.executable, ROOT):
        assert f" {needed}" in script
    assert "config-*.yaml" in script and "_submitted.pkl" in script
    assert options_of(script)["nodes"] == "1"


def test_options_of_slurm_are_said_to_be_unused_on_this_machine(hvdtma, config):
    asked = ("--cluster", "local", "--dry-run", "--mem", "4G", "--qos", "long")
    status, _, said = hvdtma("submit", config, *asked)
    assert status == 0
    assert "not used with --cluster local: qos, memory_gb" in said


@pytest.mark.parametrize(
    "written",
    [
        'account: "a\\nsrun rm -rf ~"', 'partition: "a\\u2028b"', 'sbatch: {comment: "a\\rb"}',
        'sbatch: {"x\\n#SBATCH --y": 1}', 'sbatch: {"--reservation": r}', 'modules: ["a\\nb"]',
        'mail_user: "\\u001b[2J"', 'nodelist: ""',
    ],
)  # fmt: skip
def test_defaults_that_would_be_lines_of_their_own_are_refused(hvdtma, config, tmp_path, written):
    path = tmp_path / "cluster.yaml"
    path.write_text(written)
    status, out, error = hvdtma("submit", config, "--cluster-config", path, "--dry-run")
    assert (status, out) == (2, "")
    assert written.split(":")[0] in error


@pytest.mark.parametrize("flag", ["--account", "--partition", "--gpu-bind", "--exclude"])
def test_flags_with_line_breaks_are_refused(hvdtma, config, flag):
    status, _, error = hvdtma("submit", config, flag, "a\nsrun evil", "--dry-run")
    assert status == 2
    assert r"'a\nsrun evil' contains '\n'" in error


def test_a_sweep_is_a_job_array_and_an_elastic_job_starts_one_task(config):
    script = submit(config, array=["seed=1,2,3"], time="2m", dry_run=True).script
    assert "--array=0-2" in script
    assert "--signal=USR2@30" in script  # a quarter of the limit
    script = submit(config, ["elastic=true"], nodes=4, dry_run=True).script
    assert "#SBATCH --no-kill" in script
    assert "--nodes=1 --ntasks=1" in script


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["model.hiden=3"], "unknown key 'model.hiden'; valid: encoder"),
        (["store=nowhere.zarr"], "nowhere.zarr"),
        (["trainers=3"], "the config asks for 3 trainers, --nodes and --tasks-per-node for 1 x 1"),
        (["--nodes", 61], "61 trainers, but the store has only 60 blocks"),
        (["elastic=true", "min_trainers=2"], "min_trainers is 2, but only 1 would start"),
        (["device=cpu", "--gpus-per-node", 1], "GPUs are requested, but device is cpu"),
        (["device=cuda"], "device is cuda, but no GPU is requested"),
        (["model.encoder=sgae"], "unknown encoder 'sgae'; valid: sage, gcn"),
        (["model.encoder=gone:Mine"], "cannot be imported: ModuleNotFoundError: No module named"),
        (["model.options.agr=max"], "the encoder 'sage' takes no option 'agr'; valid: layers"),
        (["sampler.options.most=5"], "the sampler 'cluster' takes no option 'most'"),
        (["task.decoder_options.most=5"], "the decoder 'cosine' takes no option 'most'"),
        (["aggregate.options.most=5"], "the aggregator 'average' takes no option 'most'"),
        (["aggregate.outer=nestrov"], "unknown outer optimizer 'nestrov'"),
        (["task.options.most=5"], "the task 'links' takes no option 'most'"),
        (["task.decoder=distmult"], "decoder distmult needs a store with edge types"),
        (["memory_gb=0.01"], "memory_gb is 0.01, too little for"),
        (
            ["--array", "elastic=true,false"],
            "some runs of the sweep are elastic and others are not",
        ),
        (["--array", "seed=1,x"], "'seed' is 'x'"),
        (["--array", "run=a,b"], "the runs of a sweep get folders of their own anyway"),
        (["--time", "soon"], "time is 'soon'"),
        (["--mem", "much"], "mem is 'much'; valid: 40G, 4000M, 1T"),
        (["--cluster", "cloud"], "cluster is 'cloud'; valid: slurm, local"),
        (["--cluster-config", "nowhere.yaml", "--cluster", "slurm"], "which is not a file"),
    ],
)
def test_bad_input_is_refused_before_anything_is_made(
    hvdtma, config, tmp_path, arguments, expected
):
    status, _, error = hvdtma("submit", config, "--cluster", "local", *arguments)
    assert status == 2
    assert expected in error
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_an_elastic_run_without_horovod_is_not_submitted(config, monkeypatch):
    monkeypatch.setattr(transport, "has_horovod", lambda: False)
    with pytest.raises(UserError, match="elastic=true needs Horovod"):
        submit(config, ["elastic=true"], cluster="local")


def test_elastic_jobs_may_have_another_number_of_trainers_than_the_config(config):
    overrides = ["elastic=true", "trainers=3"]
    assert submit(config, overrides, nodes=2, dry_run=True).request.resources.tasks == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--name", "50%"], "the job's name is '50%' and contains '%'"),
        (["--name", "two\nlines"], r"the job's name is 'two\nlines' and contains '\n'"),
        (["--folder", "logs/%x"], "the folder of logs is"),
        (["run=runs/%j/a"], "the run's folder is"),
        (["run='a\tb'"], r"contains '\t'; Slurm cannot use % or control characters there"),
    ],
)
def test_names_that_slurm_does_not_take_literally_are_refused(
    hvdtma, config, tmp_path, monkeypatch, arguments, expected
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, _, error = hvdtma("submit", config, "--cluster", "local", *arguments)
    assert status == 2
    assert expected in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_other_files_is_not_used_for_a_run(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/mine").touch()
    with pytest.raises(UserError, match="exists and is no run; give run=ANOTHER"):
        submit(config, dry_run=True)


def test_without_slurm_the_local_executor_is_named(config, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"No Slurm here: .* Use --cluster local"):
        submit(config)


def test_the_local_executor_trains_a_run(hvdtma, config, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.watch, "POLL_S", 0.2)
    status, said, seen = hvdtma("submit", config, "--nodes", 2, "--cluster", "local", "--watch")
    assert status == 0, seen
    assert "2 tasks on 2 nodes" in said
    assert "COMPLETED" in seen
    start = RunFolder(tmp_path / "run").events()[0]
    assert start["trainers"] == 2
    assert stat.S_IMODE((tmp_path / "run.jobs").stat().st_mode) == 0o700
    with pytest.raises(UserError, match=r"run is complete; give run=ANOTHER"):
        submit(config, nodes=2, cluster="local")
    [longer] = submit(config, ["rounds=3"], nodes=2, dry_run=True).specs
    assert longer.resumes


ENCODER = """
from hvdtma.models.encoders import SAGE


class Mine(SAGE):
    pass
"""


def test_a_local_job_imports_plug_ins_from_the_submitters_folders(config, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.watch, "POLL_S", 0.2)
    library = tmp_path / "library"
    library.mkdir()
    (library / "my_encoder.py").write_text(ENCODER)
    monkeypatch.syspath_prepend(library)
    submission = submit(config, ["model.encoder=my_encoder:Mine"], cluster="local")
    assert submission.watch() == 0, submission.specs[0].log.read_text()
    assert RunFolder(tmp_path / "run").config().model.encoder == "my_encoder:Mine"


def test_a_local_job_that_a_user_ends_is_not_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.watch, "POLL_S", 0.2)
    command = ["sh", "-c", "exit 75"]
    submission = submit(command, cluster="local", time="1", folder=tmp_path / "jobs")
    assert submission.watch() == 1
    assert "Requeued" not in submission.specs[0].log.read_text()


@pytest.mark.parametrize(
    ("signal_after_s", "requeued"),
    [(None, True), (0.0, True), (1e9, False)],
    ids=["slurm", "local, at the time limit", "local, before it"],
)
def test_a_saved_job_is_requeued_unless_a_user_ended_it(signal_after_s, requeued):
    """By submitit's own handler of SIGUSR2."""
    called = []

    def work():
        raise Interrupted("saved")

    before = signal.signal(signal.SIGUSR2, lambda *args: called.append(args))
    try:
        with pytest.raises(SystemExit) as ended:
            Job(work, signal_after_s)()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert ended.value.code == INTERRUPTED
    assert called == [(signal.SIGUSR2, None)] * requeued


WITHOUT_HANDLER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_command_that_is_signalled_while_it_starts_is_run_again():
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR2)).start()
    with pytest.raises(Interrupted):
        run_command(WITHOUT_HANDLER)


def test_a_command_without_a_handler_is_not_run_again_for_ever(monkeypatch):
    monkeypatch.setattr("slurm.job.STARTUP_S", 0.1)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR2)).start()
    with pytest.raises(SystemExit) as ended:
        run_command(WITHOUT_HANDLER)
    assert ended.value.code == 140


def test_a_command_that_kills_itself_is_not_run_again():
    with pytest.raises(SystemExit) as ended:
        run_command([sys.executable, "-c", "import os; os.kill(os.getpid(), 12)"])
    assert ended.value.code == 140


@pytest.mark.parametrize(("elastic", "error"), [(True, Interrupted), (False, TooFewTrainers)])
def test_too_few_trainers_at_the_start_requeue_an_elastic_job_only(
    monkeypatch, tmp_path, elastic, error
):
    def too_few(*args, **options):
        raise TooFewTrainers("1 of 2 trainers came", saves_for_all=True)

    monkeypatch.setattr("hvdtma.comm.join.join_trainers", too_few)
    with ShutdownSignal() as shutdown, pytest.raises(error, match="1 of 2 trainers came"):
        join_unless_interrupted(shutdown, tmp_path, elastic=elastic)


def test_a_folder_of_jobs_that_others_could_change_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "jobs"
    path.mkdir()
    path.chmod(0o750)
    with pytest.raises(UserError, match=rf"open to other users \(mode 0750\).*chmod 700 {path}"):
        JobFolder(path).open().__enter__()
    path.chmod(0o700)
    with JobFolder(path).open():
        pass
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UserError, match="is not a folder"):
        JobFolder(tmp_path / "link").open().__enter__()
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(UserError, match="belongs to another user"):
        JobFolder(path).open().__enter__()


def test_a_failed_submission_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), JobFolder(tmp_path / "jobs").open():
        (tmp_path / "jobs" / "x.pkl").touch()
        raise RuntimeError
    assert not (tmp_path / "jobs").exists()


def test_a_failed_submission_keeps_the_files_of_earlier_jobs(tmp_path):
    jobs = JobFolder(tmp_path / "jobs")
    with jobs.open():
        (jobs.path / "1_submitted.pkl").touch()
    with pytest.raises(RuntimeError), jobs.open():
        jobs.new_config()
        (jobs.path / "1_0_result.pkl").touch()  # it ends meanwhile
        raise RuntimeError
    assert sorted(p.name for p in jobs.path.iterdir()) == ["1_0_result.pkl", "1_submitted.pkl"]


def test_cluster_defaults_are_found_and_unknown_keys_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HVDTMA_CLUSTER", raising=False)
    assert find_defaults()[1] is None
    own = tmp_path / ".config/hvdtma/cluster.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("partition: own\n")
    assert find_defaults()[0].partition == "own"
    site = tmp_path / "site.yaml"
    site.write_text("partition: site\n")
    monkeypatch.setenv("HVDTMA_CLUSTER", str(site))
    assert find_defaults()[0].partition == "site"
    assert find_defaults(own)[0].partition == "own"
    site.write_text("partitoin: site\nsave_s: soon\n")
    with pytest.raises(UserError, match="unknown key 'partitoin'; valid: partition, ") as refused:
        find_defaults()
    assert "did you mean 'partition'?" in str(refused.value)
    assert "'save_s' is 'soon'" in str(refused.value)
    with pytest.raises(UserError, match=r"--cluster-config is .* which is not a file"):
        find_defaults(tmp_path / "nowhere.yaml")


def test_watching_survives_a_controller_that_is_away_and_a_job_that_it_forgot(monkeypatch):
    spec = JobSpec("run", None, job=FakeJob())
    errors = iter(["Unable to contact slurm controller", "Invalid job id specified"])

    def squeue_or_sacct(*command):
        if command[0] == "sacct":
            return "7|CANCELLED by 0\n"
        raise UserError(next(errors))

    monkeypatch.setattr(slurm.states, "slurm", squeue_or_sacct)
    assert slurm.states.job_states([spec])["7"][0] in slurm.states.ACTIVE
    assert slurm.states.job_states([spec]) == {"7": ("CANCELLED", "")}


def test_on_a_terminal_a_table_shows_states_and_scores(tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "run")
    config = parse_config({"store": "s", "run": str(run.path), "rounds": 2})
    run.path.mkdir()
    append_json(run.metrics, {"kind": "round", "round": 3})
    append_json(run.metrics, SCORE | {"round": 3})
    screen = Console(file=Screen(), force_terminal=True, width=120)
    monkeypatch.setattr(slurm.watch, "console", screen)
    monkeypatch.setattr(slurm.watch, "job_states", lambda specs: {"7": ("COMPLETED", "n1")})
    monkeypatch.setattr(slurm.watch, "POLL_S", 0)
    assert slurm.watch.watch_jobs([JobSpec("run", None, config, job=FakeJob())]) == 0
    row = re.compile(r"7 +COMPLETED n1 +3 +mrr 0\.5000 +mrr 0\.5000, round 3 +run")
    assert row.search(screen.file.getvalue())


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"])
def test_a_log_gets_no_table_whatever_is_said_of_colour(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    log = Console(file=io.StringIO(), width=120, highlight=False)
    monkeypatch.setattr(slurm.watch, "console", log)
    monkeypatch.setattr(slurm.watch, "job_states", lambda specs: {"7": ("COMPLETED", "n1")})
    monkeypatch.setattr(slurm.watch, "POLL_S", 0)
    assert slurm.watch.watch_jobs([JobSpec("run", None, job=FakeJob())]) == 0
    said = log.file.getvalue()
    assert said.count("\n") == 1
    assert "7 run: COMPLETED (n1)" in said


def test_watching_prints_each_change_once_and_does_not_end_at_a_requeue(
    tmp_path, monkeypatch, capsys
):
    run = RunFolder(tmp_path / "run")
    config = parse_config({"store": "s", "run": str(run.path), "rounds": 2})
    spec = JobSpec("run", None, config, job=FakeJob())
    run.path.mkdir()
    before = [("PENDING", "Resources"), ("RUNNING", "n1"), ("PREEMPTED", "")]
    after = [("PENDING", "BeginTime"), ("RUNNING", "n2"), *[("COMPLETED", "n2")] * 2]
    states = iter([*before, *after])

    def next_state(specs):
        state = next(states)
        if state == ("RUNNING", "n1"):
            append_json(run.metrics, SCORE)
        if state == ("RUNNING", "n2"):
            append_json(run.metrics, SCORE | {"round": 2, "metrics": {"mrr": 0.4}})
        return {"7": state}

    monkeypatch.setattr(slurm.watch, "job_states", next_state)
    monkeypatch.setattr(slurm.watch, "POLL_S", 0)
    assert slurm.watch.watch_jobs([spec]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "7 run: PENDING (Resources)",
        "7 run: RUNNING (n1)",
        "7 run: valid after round 1: mrr 0.5000 (best)",
        "7 run: PREEMPTED",
        "7 run: PENDING (BeginTime)",
        "7 run: RUNNING (n2)",
        "7 run: valid after round 2: mrr 0.4000",
        "7 run: COMPLETED (n2)",
    ]
