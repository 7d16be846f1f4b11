"""`hvdtma plan`: with and without a store, as text and as JSON; invalid input."""

import json

import pytest
import yaml

SIZES = ("--nodes", 10_000, "--edges", 100_000, "--features", 16)
NETWORK = ("--latency-us", 10, "--bandwidth-gbps", 10)


@pytest.fixture
def config(tmp_path):
    """Write a config file with changes; its store does not exist."""

    def write(**changes) -> str:
        values = {"store": str(tmp_path / "g.zarr"), "run": str(tmp_path / "run"), "rounds": 1}
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(values | {"model": {"hidden": 8}} | changes))
        return str(path)

    return write


def test_a_graph_to_be_built_is_planned_as_json(hvdtma, config):
    command = ("plan", config(), *SIZES, *NETWORK, "--quick", "--json", "--trainers", 4)
    status, out, err = hvdtma(*command, "--memory-gb", 3)
    assert status == 0, err
    plan = json.loads(out)
    assert [s["name"] for s in plan["stages"]] == [
        *("build", "partition", "train", "evaluate", "embed")
    ]
    build = plan["stages"][0]
    assert not build["done"]
    assert 0 < build["peak_bytes"] <= build["limit_bytes"] == 3 << 30
    assert plan["assignment"]["trainers"] == 4
    assert plan["assignment"]["share_kept"] == pytest.approx(0.25)
    assert plan["averaging"]["network"]["latency_s"] == pytest.approx(1e-5)
    assert 0 < plan["averaging"]["lost_share"] < 1
    assert plan["rates"] is None
    assert all(stage["time_s"] is None for stage in plan["stages"])


def test_an_existing_store_gives_the_sizes_and_needs_no_build(hvdtma, config, community_store):
    path = config(store=str(community_store.path))
    status, out, err = hvdtma("plan", path, "--quick", "--json", "--trainers", 3)
    assert status == 0, err
    plan = json.loads(out)
    assert plan["stages"][0]["done"]
    assert plan["num_edges"] == community_store.num_edges
    assert plan["averaging"]["num_bytes"] > 0


def test_without_a_bandwidth_no_time_of_averaging_is_predicted(hvdtma, config):
    status, out, err = hvdtma("plan", config(), *SIZES, "--quick", "--json", "--trainers", 4)
    assert status == 0, err
    averaging = json.loads(out)["averaging"]
    assert averaging["num_bytes"] > 0
    assert averaging["lost_s"] is averaging["lost_share"] is averaging["network"] is None
    status, _, err = hvdtma("plan", config(), *SIZES, "--quick", "--trainers", 4)
    assert status == 0, err
    assert "for the time per round, give --bandwidth-gbps" in " ".join(err.split())


@pytest.mark.parametrize(
    ("trainers", "expected"),
    [
        (1, "assignment: 1 trainer; its shard has 10,000 nodes and"),
        (4, "assignment: 4 trainers; each shard has 2,500 nodes and"),
    ],
)
def test_one_trainer_and_several_are_described(hvdtma, config, trainers, expected):
    status, _, err = hvdtma("plan", config(), *SIZES, "--quick", "--trainers", trainers)
    assert status == 0, err
    assert expected in " ".join(err.split())


def test_a_page_says_what_was_measured_and_where(hvdtma, config, community_store):
    path = config(store=str(community_store.path), interval_steps=5, task={"batch_size": 32})
    status, _, err = hvdtma("plan", path, "--trainers", 2, *NETWORK)
    assert status == 0, err
    said = " ".join(err.split())
    for words in ("done", "measured here", "trained on", "10 Gbit/s", "of the interval"):
        assert words in said
    assert not list(community_store.path.parent.glob(".plan-*"))


def test_node_classification_is_measured_too(hvdtma, config):
    path = config(task={"name": "nodes", "batch_size": 32})
    nodes = ("--classes", 5, "--hold-out", "nodes")
    status, out, err = hvdtma("plan", path, *SIZES, *nodes, *NETWORK, "--json")
    assert status == 0, err
    plan = json.loads(out)
    assert plan["rates"]["examples"] > 0
    assert all(s["time_s"] > 0 for s in plan["stages"] if s["name"] != "partition")


def test_a_run_on_gpus_with_types_is_planned_on_a_machine_without(hvdtma, config, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    task = {"decoder": "distmult", "batch_size": 32}
    path = config(task=task, device="cuda", precision="bfloat16")
    status, _, err = hvdtma("plan", path, *SIZES, *NETWORK, "--edge-types", 3)
    assert status == 0, err
    assert "trained on (on the CPU in float32: this machine has no GPU)" in " ".join(err.split())


@pytest.mark.parametrize(
    ("changes", "arguments", "words"),
    [
        ({}, (), "--nodes N --edges E --features D"),
        ({}, ("--nodes", 100), "--edges, --features"),
        ({"modle": {}}, SIZES, "unknown key 'modle'"),
        ({}, (*SIZES, "--trainers", 5000), "5000 trainers, but the store has only"),
        ({}, (*SIZES, "--bandwidth-gbps", 0), "--bandwidth-gbps is 0"),
        ({}, (*SIZES, "--latency-us", -1, "--bandwidth-gbps", 1), "--latency-us is -1"),
        ({}, (*SIZES, "--latency-us", 10), "--latency-us is given without --bandwidth-gbps"),
        ({}, (*SIZES, "--memory-gb", 0.1), "give memory_gb="),
        ({}, (*SIZES, "--memory-gb", 0), "must be a finite number above 0"),
        (
            {},
            ("--nodes", 10**7, "--edges", 10**9, "--features", 8, "--memory-gb", 4),
            "held-out links",
        ),
        ({"memory_gb": 0.1}, SIZES, "give"),
        ({}, ("--nodes", 0, "--edges", 1, "--features", 1), "--nodes is 0"),
        ({"task": {"name": "nodes"}}, SIZES, "no labels"),
        ({"task": {"decoder": "distmult"}}, SIZES, "give their number with --edge-types"),
        ({}, (*SIZES, "--edge-types", -1), "--edge-types is -1"),
    ],
)
def test_bad_input_is_one_message(hvdtma, config, changes, arguments, words):
    status, out, err = hvdtma("plan", config(**changes), *arguments, "--quick")
    assert status == 2
    assert err.count("error:") == 1
    assert words in " ".join(err.split())
    assert "Traceback" not in out + err
