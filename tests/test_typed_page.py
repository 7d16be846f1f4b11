"""The commands and the Python of docs/typed.md run as they stand there, in order."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from hvdtma.graph.store import open_store

PAGE = (Path(__file__).parents[1] / "docs/typed.md").read_text()


def write_tables(folder):
    rng = np.random.default_rng(0)
    taste = rng.integers(0, 2, 40)
    users = "\n".join(f"{u},{20 + u},{taste[u]}" for u in range(40))
    (folder / "users.csv").write_text(f"id,age,taste\n{users}\n")
    (folder / "items.csv").write_text("id,price\n" + "".join(f"{i},{i % 7}\n" for i in range(30)))
    buys = {(u, 2 * int(rng.integers(15)) + taste[u]) for u in range(40) for _ in range(8)}
    (folder / "buys.csv").write_text("src,dst\n" + "".join(f"{u},{i}\n" for u, i in sorted(buys)))
    shops = "".join(f"{i},shop {i % 4}\n" for i in range(30))
    (folder / "shops.csv").write_text(f"src,dst\n{shops}")


def commands():
    lines = re.findall(r"(?:^    .*\n)+", PAGE, re.MULTILINE)
    blocks = [block.replace("\\\n", " ") for block in lines if block.startswith("    hvdtma ")]
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_every_command_and_the_python_run(tmp_path, monkeypatch, hvdtma):
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    found = commands()
    words = ["build", "train", "evaluate", "recommend", "embed", "build", "recommend", "predict"]
    assert [command[0] for command in found] == words
    for command in found:
        status, _, err = hvdtma(*command)
        assert status == 0, err
    codes = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(codes) == 2
    for code in codes:
        exec(compile(code, "typed.md", "exec"), {})
    assert open_store("python.zarr").schema.sizes == (40, 30, 4)
    table = pq.read_table("shop.parquet")
    assert set(table.column("type").to_pylist()) == {"user", "item", "shop"}
    only = open_store("buys.zarr").schema.held_out["test"]
    assert sum(count > 0 for count in only) == 1
