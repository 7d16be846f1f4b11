"""What words of a command line are taken for."""

from pathlib import Path

from hvdtma.core.config import dump_config
from hvdtma.core.train_config import parse_config
from hvdtma.runs.request import train_request

VALUES = {"store": "graph.zarr", "run": "run", "rounds": 1}


def test_an_override_with_a_path_is_no_config(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    dump_config(parse_config(VALUES | {"run": str(run)}), run / "config.yaml")
    config, _ = train_request(Path("scratch_dir=/scratch/me"), None, resume=run)
    assert str(config.scratch_dir) == "/scratch/me"


def test_a_config_may_have_such_a_name(tmp_path):
    named = tmp_path / "lr=0.1.yaml"
    dump_config(parse_config(VALUES | {"seed": 7}), named)
    assert train_request(named, None, resume=tmp_path).config.seed == 7
