"""Dialects and times of users' files: which line is a header, which delimiter, which instant.

The right values are computed by hand, and by Python's datetime and zoneinfo.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest

from hvdtma.core.errors import UserError
from hvdtma.graph.ingest import FileSource
from hvdtma.graph.raw import RawGraph

RING = "".join(f"{i},{(i + 1) % 8}\n" for i in range(8))


def load(folder: Path, text: str, name: str = "edges.csv", **options) -> RawGraph:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return FileSource(folder / name, **options).load()


def edges(raw: RawGraph) -> list[tuple]:
    ends = zip(raw.src.tolist(), raw.dst.tolist(), strict=True)
    return sorted((raw.node_id[s], raw.node_id[d]) for s, d in ends)


def times(raw: RawGraph) -> dict:
    """The time of each edge, by its first end."""
    return dict(zip([raw.node_id[s] for s in raw.src], raw.time.tolist(), strict=True))


# --- times


def seconds(text: str, zone: str = "UTC") -> int:
    """Seconds since 1970 by Python's datetime; a text without an offset is in a zone."""
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).timestamp())


TIMES = {
    "2024-01-02T03:00:00-12:00": seconds("2024-01-02T15:00:00"),
    "2024-01-02T03:00:00Z": seconds("2024-01-02T03:00:00"),
    "2024-01-02 03:00:00+0530": seconds("2024-01-01T21:30:00"),
    "2024-01-02 03:00:00.5 +0200": seconds("2024-01-02T01:00:00"),  # as git writes it
    "2024-01-02 03:00:00 Europe/Berlin": seconds("2024-01-02T03:00:00", "Europe/Berlin"),
    "2024-07-02 03:00:00 Europe/Berlin": seconds("2024-07-02T03:00:00", "Europe/Berlin"),
    "2024-07-02 03:00 America/Argentina/Buenos_Aires": seconds(
        "2024-07-02T03:00:00", "America/Argentina/Buenos_Aires"
    ),
    "2024-01-02 03:00:00 UTC": seconds("2024-01-02T03:00:00"),
    "2024/1/2": seconds("2024-01-02"),
}


def test_offsets_and_zones_of_times_count(tmp_path):
    rows = "".join(f"{i},{i + 1},{when}\n" for i, when in enumerate(TIMES))
    raw = load(tmp_path, "src,dst,when\n" + rows, time_column="when")
    assert list(times(raw).values()) == list(TIMES.values())
    frame = pd.DataFrame({"src": range(9), "dst": range(1, 10), "when": pd.Categorical(TIMES)})
    assert list(times(FileSource(frame, time_column="when").load()).values()) == [*TIMES.values()]


@pytest.mark.parametrize(
    "when",
    ["01/02/2024", "2024-01-02 03:00:00 BST", "2024-01-02 03:00:00 PM", "epoch", "infinity",
     "2024-01-02 03:00:00 Nowhere/Land", "2024-02-30"],
)  # fmt: skip
def test_texts_that_are_no_sure_time_are_refused_with_the_forms_that_are_read(tmp_path, when):
    with pytest.raises(UserError, match=r"line 2: column 'when' is no time.*2024-01-31T13:45:00"):
        load(tmp_path, f"src,dst,when\n1,2,{when}\n2,3,2024-01-02\n", time_column="when")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_times_do_not_depend_on_the_zone_of_the_machine(tmp_path, zone):
    code = f"""
import pandas as pd
from hvdtma.graph.ingest import FileSource
aware = pd.DataFrame({{"src": [0], "dst": [1], "when": pd.to_datetime(["2024-01-02T03:00-12:00"])}})
naive = pd.DataFrame({{"src": [1], "dst": [2], "when": pd.to_datetime(["2024-01-02T03:00"])}})
text = pd.DataFrame({{"src": [2], "dst": [3], "when": ["2024-01-02T03:00:00+03:00"]}})
raw = FileSource([aware, naive, text], time_column="when").load()
raws = FileSource([aware], time_column="when").load()
print(*raw.time[raw.src.argsort()].tolist(), *raws.time.tolist())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "TZ": zone}, capture_output=True, text=True
    )
    noon = [datetime(2024, 1, 2, hour, tzinfo=UTC) for hour in (15, 3, 0, 15)]
    assert done.stdout.split() == [str(int(when.timestamp())) for when in noon], done.stderr


def test_whole_numbers_and_dates_in_one_column_of_times_are_refused(tmp_path):
    for number in ("2024", "20240204", "7.0"):
        with pytest.raises(UserError, match=rf"'when' of .*\(1, such as '{number}'\).*as dates"):
            load(tmp_path, f"src,dst,when\n1,2,2024-01-02\n2,3,{number}\n", time_column="when")
    frames = [
        pa.table({"src": [0], "dst": [1], "when": [2024]}),
        pa.table({"src": [1], "dst": [2], "when": [datetime(2024, 1, 2)]}),  # noqa: DTZ001
    ]
    with pytest.raises(UserError, match="whole numbers .* and dates"):
        FileSource(frames, time_column="when").load()
    (tmp_path / "e.csv").write_text(RING)
    (tmp_path / "l.csv").write_text("id,label,when\n0,a,2024\n1,b,2024-01-01\n2,a,\n")
    with pytest.raises(UserError, match="whole numbers .* and dates"):
        FileSource(tmp_path / "e.csv", labels=tmp_path / "l.csv", time_column="when").load()


def test_whole_numbers_of_any_size_are_times_as_they_are(tmp_path):
    rows = "1,2,9007199254740993\n2,3,-5\n3,4,+7\n4,5,20240204.0\n"
    raw = load(tmp_path, "src,dst,when\n" + rows, time_column="when")
    assert times(raw) == {1: 9007199254740993, 2: -5, 3: 7, 4: 20240204}
