"""A placement of trainers that wastes GPUs or memory is one line, with what to do."""

import os

import pytest

from hvdtma.comm import InProcessGroup
from hvdtma.core import memory
from hvdtma.core.memory import machine_memory_gb
from hvdtma.core.train_config import parse_config
from hvdtma.training.placement import TrainerResources, remarks
from hvdtma.training.session import train


def on(node, gpu=None, visible=0, node_gb=64.0):
    return TrainerResources(node, gpu, visible, node_gb)


@pytest.mark.parametrize(
    ("placements", "memory_gb", "expected"),
    [
        ([on("n1")], None, ""),
        ([on("n1", "a", 1)], None, ""),
        ([on("n1", "a", 4)], None, "one trainer uses one GPU, and this machine has 4. .*-np 4"),
        ([on("n1", "a", 2), on("n1", "b", 2)], None, ""),
        ([on("n1", "a", 1), on("n1", "b", 1)], None, ""),  # --gpu-bind single:1
        ([on("n1", "a", 1), on("n2", "a", 1)], None, ""),
        ([on("n1", "a", 1)] * 3, None, "3 trainers share 1 GPU on n1: .*--tasks-per-node 1"),
        (
            [on("n1", gpu, 2) for gpu in "abab"],
            None,
            "4 trainers share 2 GPUs on n1: .*--tasks-per-node 2.*--gpus-per-node 4",
        ),
        ([on("n1", "a", 1), on("n1")], None, ""),  # the other one trains on the CPU
        ([on("n1", node_gb=64)] * 4, 16, ""),
        ([on("n1", node_gb=64)] * 4, 16.5, "memory_gb is 16.5 for each of 4 trainers on n1"),
        ([on("n1", node_gb=64)] * 4, 16.5, "has 64.0 GiB for them: .*memory_gb=13"),
        ([on("n1", node_gb=8)], 9, "memory_gb is 9 for each of 1 trainers on n1"),
        ([on("n1"), on("n2", node_gb=8)], 9, "1 trainers on n2, which has 8.0 GiB"),
    ],
)
def test_waste_is_one_line_with_what_to_do(placements, memory_gb, expected):
    found = remarks(placements, memory_gb)
    assert len(found) == bool(expected)
    if expected:
        with pytest.raises(AssertionError, match=expected):
            raise AssertionError(found[0])
        assert "\n" not in found[0]


def test_gpus_and_memory_may_both_be_short():
    assert len(remarks([on("n1", "a", 1)] * 2, 40)) == 2


@pytest.mark.parametrize(
    ("variables", "expected_gb"),
    [
        ({"SLURM_MEM_PER_NODE": "512"}, 0.5),
        ({"SLURM_MEM_PER_CPU": "256", "SLURM_CPUS_ON_NODE": "4"}, 1.0),
    ],
)
def test_the_memory_of_a_job_is_what_slurm_gives_it(monkeypatch, variables, expected_gb):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert machine_memory_gb() == expected_gb


@pytest.mark.parametrize(("text", "expected_gb"), [("536870912\n", 0.5), ("max\n", None)])
def test_the_limit_of_a_container_counts_if_there_is_one(monkeypatch, tmp_path, text, expected_gb):
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (limit, tmp_path / "none"))
    physical_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    assert machine_memory_gb() == pytest.approx(expected_gb or physical_gb, rel=1e-3)


def test_a_run_with_more_memory_than_the_machine_has_is_warned_of_once(
    community_store, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3000")
    values = {"store": str(community_store.path), "run": str(tmp_path / "run"), "rounds": 1}
    values |= {"interval_steps": 1, "threads": 1, "model": {"hidden": 8}, "log": []}
    values |= {"memory_gb": 2.0, "evaluate": {"mode": "final"}}
    config = parse_config(values)
    InProcessGroup(2).run(lambda comm: train(config, comm))
    said = capsys.readouterr().err
    assert said.count("memory_gb is 2 for each of 2 trainers") == 1
    assert "2.9 GiB for them" in said
