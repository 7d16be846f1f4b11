"""Bad input: one clear message, exit status 2, no traceback, nothing half-written."""

import errno
import json
import shutil

import numpy as np
import pytest
import yaml
from processes import kill_when

from hvdtma.core.command_line import run_app


@pytest.fixture
def config(tmp_path, community_store):
    """A config file of a small run with changes."""

    def write(**changes) -> str:
        values = {
            "store": str(community_store.path),
            "run": str(tmp_path / "run"),
            "interval_steps": 2,
            "rounds": 1,
            "model": {"hidden": 8},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return str(path)

    return write


def refused(answer: tuple[int, str, str], *words: str) -> None:
    status, out, err = answer
    assert status == 2
    assert err.count("error:") == 1
    assert "Traceback" not in out + err
    said = " ".join(err.split())
    for word in words:
        assert word in said, said


def test_an_unknown_key_lists_the_valid_ones_and_suggests_the_nearest(hvdtma, config, tmp_path):
    refused(
        hvdtma("train", config(intervall_s=3)),
        "unknown key 'intervall_s'",
        "interval_s",
        "did you mean",
    )
    refused(hvdtma("train", config(), "model.hiden=3"), "did you mean 'hidden'?")
    refused(hvdtma("train", config(), "hidden=3"), "there is model.hidden")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.layers=many", "'model.layers' is 'many'"),
        ("interval_s=0", "greater than 0"),
        ("interval_steps=-1", "a whole number, from 1 to 2147483647"),
        ("interval_s=.inf", "at most 1e+08"),
        ("optimizer.lr=.nan", "from 0 to 1e+09"),
        ("seed=99999999999999", "from 0 to 4294967295"),
        ("seed=true", "'seed' is true"),
        ("model.fanouts=[3]", "1 entries for 2 layers"),
        ("task.decoder=transe", "valid: mlp, dot, cosine, distmult, concat, bilinear"),
        ("evaluate.metric=mmr", "did you mean 'mrr'?"),
        ("model.encoder=gat", "first_hop=false"),
        ("rounds", "write key=value"),
        ("task.decoder=distmult", "edge types"),
        ("trainers=2", "launcher started 1"),
        ("store=nowhere.zarr", "no store at nowhere.zarr; make one with: hvdtma build"),
    ],
)
def test_a_wrong_value_says_what_came_and_what_is_valid(hvdtma, config, tmp_path, override, words):
    refused(hvdtma("train", config(), override), words)
    assert not (tmp_path / "run").exists()


def test_a_missing_or_broken_config_is_named(hvdtma, tmp_path):
    refused(hvdtma("train", tmp_path / "no.yaml"), "no config at")
    broken = tmp_path / "broken.yaml"
    broken.write_text("store: [")
    refused(hvdtma("train", broken), "cannot be read")
    (tmp_path / "list.yaml").write_text("- 1\n")
    for more in ([], ["seed=1"]):
        refused(hvdtma("train", tmp_path / "list.yaml", *more), "holds a list")


def test_more_trainers_than_blocks_are_refused(hvdtma, config, community_store, tmp_path):
    answer = hvdtma("train", config(), "--in-process", community_store.num_blocks + 1)
    refused(answer, "blocks to assign")
    assert not (tmp_path / "run").exists()


def test_an_impossible_assignment_or_plot_is_refused_before_anything_is_written(
    hvdtma, community_store, tmp_path
):
    out, file = tmp_path / "p.zarr", tmp_path / "file"
    file.write_text("no folder")
    for trainers in (0, -1, 100_000):
        refused(hvdtma("partition", community_store.path, out, "--trainers", trainers), "trainers")
    refused(hvdtma("partition", community_store.path, out, "--seed", -1), "seed is -1")
    refused(hvdtma("partition", community_store.path, out, "--plot", file / "p.html"), "file")
    assert not out.exists()


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files", "x"), "x: Too many open files"),
        (OSError(errno.EIO, "Input/output error", "x"), "x: Input/output error"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "not enough"),
    ],
)
def test_too_little_of_the_machine_is_one_message(capsys, problem, words):
    def app():
        raise problem

    with pytest.raises(SystemExit) as stopped:
        run_app(app)
    refused((stopped.value.code, *capsys.readouterr()), words)


def test_a_run_cannot_be_inside_a_file(hvdtma, config, tmp_path):
    (tmp_path / "file").write_text("no folder")
    refused(hvdtma("train", config(run=str(tmp_path / "file" / "run"))), "cannot write or read")


def test_trainers_in_one_process_under_a_launcher_are_refused(hvdtma, config, monkeypatch):
    monkeypatch.setenv("HOROVOD_RANK", "0")
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    refused(hvdtma("train", config(), "--in-process", 2), "a launcher started 2")


def test_a_store_that_lost_an_array_is_named(hvdtma, tmp_path):
    store = tmp_path / "s.zarr"
    hvdtma("build", store, "synthetic:nodes=300,edges=2000,features=8,communities=4")
    shutil.rmtree(store / "feat")
    refused(hvdtma("info", store), "array 'feat'")


def test_a_foreign_store_is_refused(hvdtma, tmp_path):
    refused(hvdtma("info", tmp_path), "is not a graph store")
    refused(hvdtma("info", tmp_path / "none.zarr"), "no store at")


def test_a_run_that_exists_is_kept_unless_overwritten_and_other_folders_in_any_case(
    hvdtma, config, tmp_path
):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    refused(hvdtma("train", config()), "exists and is no run; give run=ANOTHER")
    refused(hvdtma("train", config(), "--overwrite"), "is no run; --overwrite will not remove it")
    assert (tmp_path / "run" / "precious").read_text() == "mine"
    (tmp_path / "run" / "versions.json").write_text('{"format": "hvdtma-run"}')
    refused(hvdtma("train", config()), "exists; give --overwrite to replace it, or run=ANOTHER")
    assert (tmp_path / "run" / "precious").read_text() == "mine"


def edges_file(tmp_path, text="a,b\n1,2\n2,3\n3,1\n4,1\n"):
    path = tmp_path / "edges.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("1,2\n2,3\nthree,4\n", ("--id-type", "int"), ("line 3", "three", "--id-type str")),
        ("1,2\n2\n3,4\n", (), ("line 2", "--bad-rows skip")),
    ],
)
def test_a_bad_line_is_named_by_its_number(hvdtma, tmp_path, text, options, words):
    out = tmp_path / "g.zarr"
    refused(hvdtma("build", out, "--edges", edges_file(tmp_path, text), *options), *words)
    assert not out.exists()


def test_features_of_the_wrong_length_and_nan_are_refused(hvdtma, tmp_path):
    out, edges = tmp_path / "g.zarr", edges_file(tmp_path)
    features = tmp_path / "x.npy"
    np.save(features, np.zeros((3, 2), np.float32))
    refused(hvdtma("build", out, "--edges", edges, "--features", features), "5", "3")
    values = np.zeros((5, 2), np.float32)
    values[4, 1] = np.nan
    np.save(features, values)
    refused(hvdtma("build", out, "--edges", edges, "--features", features), "finite", "4")
    assert not out.exists()


def test_an_empty_split_is_refused(hvdtma, tmp_path):
    out = tmp_path / "g.zarr"
    refused(hvdtma("build", out, "--edges", edges_file(tmp_path)), "would be empty")
    assert not out.exists()


def test_an_output_that_exists_is_kept_unless_overwritten(hvdtma, tmp_path, community_store):
    refused(hvdtma("build", community_store.path, "synthetic:nodes=50"), "exists", "--overwrite")
    refused(hvdtma("partition", community_store.path, community_store.path), "exists")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["build", "o.zarr"], "nothing to build from"),
        (["build", "o.zarr", "synthetic:nodes=50", "--order", "wild"], "valid: random, given"),
        (["build", "o.zarr", "synthetic:knots=50"], "nodes"),
        (["build", "o.zarr", "nowhere:"], "debian"),
        (["build", "o.zarr", "synthetic:nodes=50", "--valid", "0"], "must be above 0"),
        (["build", "o.zarr", "synthetic:nodes=50", "--valid", "nan"], "must be above 0"),
        (["build", "o.zarr", "synthetic:nodes=50", "--test", "1.9"], "a whole number"),
        (["build", "o.zarr", "synthetic:nodes=50", "--seed", "-1"], "seed is -1"),
        (["build", "o.zarr", "synthetic:nodes=50", "--header", "no"], "its own edges"),
        (["evaluate", "no-run"], "no run at"),
        (["embed", "no-run", "--out", "e.parquet"], "no run at"),
    ],
)
def test_impossible_commands_say_what_is_possible(hvdtma, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    refused(hvdtma(*arguments), words)
    assert not list(tmp_path.iterdir())


def test_the_whole_way_from_edges_to_embeddings_by_commands(hvdtma, config, tmp_path):
    store, grouped = tmp_path / "s.zarr", tmp_path / "super.zarr"
    source = "synthetic:nodes=400,edges=3000,features=8,communities=8"
    assert hvdtma("build", store, source, "--negatives", 20)[0] == 0
    assert "400" in hvdtma("info", store)[2]
    assert "BAD" not in hvdtma("verify", store)[2]
    plot = tmp_path / "assignment.html"
    made = hvdtma(
        "partition", store, grouped, "--method", "super", "--super-nodes", 40, "--plot", plot
    )
    assert made[0] == 0
    assert plot.exists()
    trained = hvdtma("train", config(store=str(grouped)), "--in-process", 2)
    assert trained[0] == 0, trained
    assert (tmp_path / "run" / "report.html").exists()
    assert (tmp_path / "run" / "best.safetensors").stat().st_mode & 0o044  # others may read it
    status, out, _ = hvdtma("evaluate", tmp_path / "run")
    assert status == 0
    assert json.loads(out)["mrr"] > 0
    assert hvdtma("embed", tmp_path / "run", "--out", tmp_path / "emb.parquet")[0] == 0
    assert (tmp_path / "emb.parquet").exists()


def test_verify_fails_on_a_flipped_byte(hvdtma, tmp_path):
    store = tmp_path / "s.zarr"
    hvdtma("build", store, "synthetic:nodes=300,edges=2000,features=8,communities=4")
    chunk = next(p for p in (store / "feat").rglob("*") if p.is_file() and p.name != "zarr.json")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    status, _, err = hvdtma("verify", store)
    assert status == 2
    assert "BAD  checksum of feat" in err


@pytest.mark.parametrize("written", [".scratch", "indices/c", "feat/c", "first_hop/c"])
def test_a_killed_build_leaves_nothing_that_opens_and_the_next_cleans_up(hvdtma, tmp_path, written):
    out, source = tmp_path / "g.zarr", "synthetic:nodes=200000,edges=8000000,features=16"
    options = ["--valid", 100, "--test", 100, "--negatives", 5, "--memory-gb", 0.85]
    kill_when(
        lambda: list(tmp_path.glob(f".g.zarr.*.partial/{written}")),
        *("build", out, source, *options),
    )
    assert not out.exists()
    (left,) = tmp_path.glob(".g.zarr.*.partial")
    refused(hvdtma("info", left), "not one that 'hvdtma build' wrote")
    assert hvdtma("build", out, "synthetic:nodes=300,edges=900")[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["g.zarr"]
