"""The live view: lines in a log, one view on a terminal, and a terminal given back by Ctrl-C."""

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from sample_run import events, summary_of

from hvdtma.runs.live import LiveView

SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


def shown(written, ticks=(), **options):
    text = io.StringIO()
    with LiveView(Console(file=text, width=120, **options)) as view:
        for event in written:
            view.update(event)
        for tick in ticks:
            view.tick(*tick)
        deadline = time.monotonic() + (10 if options.get("force_terminal") else 0)
        while "this round" not in text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)  # the view is drawn by its own thread
    return text.getvalue()


def test_without_a_terminal_each_event_is_one_plain_line():
    written = list(events(rounds=3))
    lines = shown(written, [(4, 3.0, 17, 0.4)]).splitlines()
    assert len(lines) == len(written)
    assert lines[0].startswith("3 trainers, super, averaged every 10 s, data/facebook.zarr")
    assert "\x1b" not in "".join(lines)
    assert sum(line.startswith("round ") for line in lines) == 3
    assert sum(line.startswith("valid after round ") for line in lines) == 3
    assert "17 steps" not in "".join(lines)


def test_best_so_far_is_marked_and_later_worse_ones_are_not():
    written = list(events(rounds=12))
    best = summary_of(written)["best_round"]
    marked = [line for line in shown(written).splitlines() if line.endswith("(best)")]
    assert marked[-1].startswith(f"valid after round {best}:")


def test_terminal_shows_where_the_round_stands():
    written = list(events(rounds=3))
    text = shown(written, [(4, 65.2, 17, 0.4321)], force_terminal=True, color_system=None)
    assert "averages in 0:01:05" in text
    assert "17 steps, loss 0.4321" in text
    assert "waited" in text and "validation" in text and "best" in text


def test_view_of_many_trainers_stays_short():
    written = list(events(rounds=2, trainers=64))
    text = shown(written, [(3, None, 1, None)], force_terminal=True, color_system=None)
    assert "median" in text
    assert max(map(len, text.split("\n"))) < 400


def test_names_are_not_markup():
    written = list(events(rounds=1, store="[red]x[/red][/nowhere]"))
    assert "[red]x[/red][/nowhere]" in shown(written)
    on_terminal = shown(written, [(1, 1.0, 1, None)], force_terminal=True, color_system=None)
    assert "[red]x" in on_terminal


@pytest.mark.parametrize("lost", [None, float("nan")])
def test_lost_losses_and_unknown_events_are_lived_with(lost):
    written = list(events(rounds=1))
    for trainer in written[2]["trainers"]:
        trainer["loss"] = lost
    written[3]["metrics"] = {"mrr": lost}
    text = shown([*written, {"kind": "skipped", "rounds": [1, 2]}, {"kind": "news"}])
    assert "loss not a number" in text
    assert "not scored: rounds 1, 2" in text


def test_ticks_cost_next_to_nothing():
    view = LiveView(Console(file=io.StringIO(), force_terminal=True, width=120))
    with view:
        view.update(next(iter(events())))
        start = time.process_time()
        for step in range(100_000):
            view.tick(1, 9.0, step, 0.5)
        assert time.process_time() - start < 2  # 20 microseconds each, drawing included


RUN = """
import time
from sample_run import events
from hvdtma.runs.live import LiveView
with LiveView() as view:
    for event in events(rounds=2):
        view.update(event)
    for step in range(10_000):
        view.tick(3, 9.0, step, 0.5)
        time.sleep(0.01)
"""


def test_ctrl_c_gives_the_terminal_back():
    ours, theirs = pty.openpty()
    here = Path(__file__).parent
    environment = os.environ | {
        "PYTHONPATH": f"{here}:{here.parents[1]}", "TERM": "xterm-256color", "COLUMNS": "100",
    }  # fmt: skip
    # Python hears Ctrl-C only where whoever started it does not ignore it, as a shell's `&` does.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    with subprocess.Popen(
        [sys.executable, "-c", hearing + RUN],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
    ) as process:
        os.close(theirs)
        seen = b""
        while b"this round" not in seen:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(ours)
    assert process.returncode != 0
    assert HIDE_CURSOR in seen
    assert seen.rindex(SHOW_CURSOR) > seen.rindex(HIDE_CURSOR)
    assert b"KeyboardInterrupt" in seen[seen.rindex(SHOW_CURSOR) :]
