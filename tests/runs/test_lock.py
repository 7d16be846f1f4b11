"""The lock of a run: one holder at a time, and nothing is left behind."""

import threading

import pytest

from hvdtma.runs import lock
from hvdtma.runs.lock import FileLock


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    monkeypatch.setattr(lock, "POLL_S", 0.001)


def test_the_file_and_the_folders_made_for_it_are_gone_afterwards(tmp_path):
    one = FileLock(tmp_path / "a" / "b" / ".run.lock")
    assert one.acquire()
    assert one.held
    one.release()
    assert not one.held
    assert not list(tmp_path.iterdir())


def test_folders_that_are_in_use_stay(tmp_path):
    one = FileLock(tmp_path / "a" / "b" / ".run.lock")
    assert one.acquire()
    (tmp_path / "a" / "run").mkdir()
    one.release()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["run"]


def test_a_file_that_a_killed_process_left_is_no_lock(tmp_path):
    path = tmp_path / ".run.lock"
    path.touch()
    one = FileLock(path)
    assert one.acquire()
    one.release()
    assert not path.exists()


def test_a_process_that_is_refused_leaves_the_holders_file(tmp_path):
    holder, other = FileLock(tmp_path / ".run.lock"), FileLock(tmp_path / ".run.lock")
    assert holder.acquire()
    assert not other.acquire(0.05)
    other.release()
    assert holder.path.exists()
    assert not FileLock(holder.path).acquire()
    holder.release()


def test_a_process_that_waited_for_a_removed_file_has_a_lock_that_others_see(tmp_path):
    path = tmp_path / "a" / ".run.lock"
    holder, waiting = FileLock(path), FileLock(path)
    assert holder.acquire()
    thread = threading.Thread(target=waiting.acquire, args=[30])
    thread.start()
    holder.release()
    thread.join()
    assert waiting.held
    assert path.exists()
    assert not FileLock(path).acquire(0.05)
    waiting.release()
    assert not path.exists()


def test_among_many_starters_one_has_the_lock_at_a_time(tmp_path):
    path, holders, most, turns = tmp_path / "a" / "b" / ".run.lock", [], [], []

    def start(number):
        for _ in range(15):
            own = FileLock(path)
            if own.acquire(60):
                holders.append(number)
                most.append(len(holders))
                holders.remove(number)
                turns.append(number)
                own.release()

    threads = [threading.Thread(target=start, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 4 * 15
    assert set(most) == {1}
    assert not list(tmp_path.rglob("*.lock"))
