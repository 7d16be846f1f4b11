"""The view of a run: few lines in a log, one panel on a terminal, given back by Ctrl-C."""

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

from hvdtma.core.console import LineLimit
from hvdtma.runs import event_text
from hvdtma.runs.live import LiveView, open_view
from hvdtma.runs.log_view import LogView
from hvdtma.runs.view import Tick

SHOW_CURSOR, HIDE_CURSOR = b"\x1b[?25h", b"\x1b[?25l"


class Terminal(io.StringIO):
    """A file that claims to be a terminal."""

    def isatty(self):
        return True


class Clock:
    """A clock that stands until it is set."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def logged(written, *, seconds_per_event=0.0, ticks=()):
    """The lines of a log: each with the time at which it was printed."""
    clock, lines = Clock(), []

    class Timed(io.StringIO):
        def write(self, text):
            lines.extend((clock.now_s, line) for line in text.splitlines())
            return len(text)

    with LogView(Console(file=Timed(), width=120), LineLimit(clock=clock)) as view:
        for event in written:
            view.update(event)
            clock.now_s += seconds_per_event
            for tick in ticks:
                view.tick(tick)
    return lines


def in_log(written, **options):
    return [line for _, line in logged(written, **options)]


def drawn(written, *, tick=None, phase=None, wait_for="last round"):
    """All that the live view wrote to a terminal until `wait_for` was in it."""
    text = Terminal()
    console = Console(file=text, width=120, color_system=None, _environ={"TERM": "xterm"})
    with open_view(console) as view:
        assert isinstance(view, LiveView)
        for event in written:
            view.update(event)
        if tick:
            view.tick(tick)
        if phase:
            view.phase(phase)
        deadline = time.monotonic() + 10
        while wait_for not in text.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)  # the view is drawn by its own thread
    return text.getvalue()


def test_a_log_has_a_line_of_its_own_for_events_that_are_far_apart():
    written = list(events(rounds=3))
    lines = in_log(written, seconds_per_event=20)
    assert len(lines) == len(written)
    assert lines[0].startswith("3 trainers, super, averaged every 10 s, data/facebook.zarr")
    assert "\x1b" not in "".join(lines)
    assert sum(line.startswith("round ") for line in lines) == 3
    assert sum(line.startswith("valid after round ") for line in lines) == 3


def test_a_log_of_short_rounds_has_a_line_every_10_s_and_loses_no_round_and_no_best_score():
    written = list(events(rounds=100))
    lines = logged(written, seconds_per_event=0.5)  # a round every second
    assert len(lines) <= 100 / 10 + 4
    words = " ".join(line for _, line in lines)
    spans = [line.split(":")[0].split()[1] for _, line in lines if line.startswith("round")]
    ends = [int(span.split("-")[-1]) for span in spans]
    starts = [int(span.split("-")[0]) for span in spans]
    assert [1, *(end + 1 for end in ends[:-1])] == starts
    assert ends[-1] == 100
    assert f"round {summary_of(written)['best_round']}: mrr" in words
    assert " (best)" in words


def test_start_members_and_the_test_score_are_logged_at_once_and_in_order():
    start, assignment, *rounds = events(rounds=2)
    members = {"kind": "members", "lost": 1, "joined": 0, "trainers": 2, "took_s": 0.5}
    test = {**rounds[1], "part": "test"}
    lines = in_log([start, assignment, *rounds, members, test])
    assert lines[0].startswith("3 trainers")
    assert lines[1].startswith("assignment 0")
    assert lines[-2].startswith("1 lost: 2 trainers now")
    assert lines[-1].startswith("test after round 1:")
    assert any("round 2:" in line for line in lines[:-2])


def test_lines_held_back_are_printed_by_later_steps():
    start, assignment, *rounds = events(rounds=2)
    clock, text = Clock(), io.StringIO()
    tick = Tick(3, 3.0, 17, 0.4)
    with LogView(Console(file=text, width=120), LineLimit(clock=clock)) as view:
        for event in (start, assignment, *rounds):
            view.update(event)
        view.tick(tick)
        assert "round 2" not in text.getvalue()
        clock.now_s = 20
        view.tick(tick)
        assert "round 2" in text.getvalue()
    assert "17 steps" not in text.getvalue()


def test_best_so_far_is_marked_and_later_worse_ones_are_not():
    written = list(events(rounds=12))
    best = summary_of(written)["best_round"]
    lines = in_log(written, seconds_per_event=20)
    marked = [line for line in lines if line.endswith("(best)")]
    assert marked[-1].startswith(f"valid after round {best}:")


def test_a_log_says_what_is_scored_at_the_end():
    text = io.StringIO()
    with LogView(Console(file=text, width=120)) as view:
        for event in events(rounds=3):
            view.update(event)
        view.phase("scoring round 3 on validation (1 more to score)")
    assert text.getvalue().splitlines()[-1] == "scoring round 3 on validation (1 more to score)"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([1], "1 step"),
        ([2, 2], "4 steps (2 + 2)"),
        ([1000, 30], "1,030 steps (1000 + 30)"),
        ([10, *[20] * 8], "170 steps (10 to 20 per trainer, median 20)"),
    ],
)
def test_steps_are_summed_over_trainers(made, expected):
    assert event_text.steps({"trainers": [{"steps": steps} for steps in made]}) == expected


def test_terminal_shows_where_the_round_stands():
    text = drawn(events(rounds=3), tick=Tick(4, 65.2, 17, 0.4321), wait_for="this round")
    assert "averages in 0:01:05" in text
    assert "17 steps, loss 0.4321" in text
    assert "waited" in text and "validation" in text and "best" in text


def test_terminal_shows_what_is_scored_at_the_end_in_place_of_the_round():
    said = "scoring round 3 on validation (1 more to score)"
    text = drawn(events(rounds=3), tick=Tick(4, 65.2, 17, 0.4), phase=said, wait_for=said)
    assert f"{said}, 0:00:0" in text
    assert "this round" not in text[text.index(said) :]


def test_view_of_many_trainers_stays_short():
    text = drawn(events(rounds=2, trainers=64), tick=Tick(3, None, 1, None))
    assert "median" in text
    assert max(map(len, text.split("\n"))) < 400


def test_names_are_not_markup():
    written = list(events(rounds=1, store="[red]x[/red][/nowhere]"))
    assert "[red]x[/red][/nowhere]" in "".join(in_log(written))
    assert "[red]x" in drawn(written)


@pytest.mark.parametrize("lost", [None, float("nan")])
def test_lost_losses_and_unknown_events_are_lived_with(lost):
    written = list(events(rounds=1))
    for trainer in written[2]["trainers"]:
        trainer["loss"] = lost
    written[3]["metrics"] = {"mrr": lost}
    text = "\n".join(in_log([*written, {"kind": "skipped", "rounds": [1, 2]}, {"kind": "news"}]))
    assert "loss not a number" in text
    assert "not scored: 2 rounds (1-2)" in text


def test_ticks_cost_next_to_nothing():
    view = LiveView(Console(file=Terminal(), force_terminal=True, width=120))
    with view:
        view.update(next(iter(events())))
        start = time.process_time()
        for step in range(100_000):
            view.tick(Tick(1, 9.0, step, 0.5))
        assert time.process_time() - start < 2  # 20 microseconds each, drawing included


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"])
def test_forced_colour_draws_no_live_view_into_a_file(variable):
    console = Console(file=io.StringIO(), _environ={variable: "1", "TERM": "xterm-256color"})
    assert isinstance(open_view(console), LogView)


RUN = """
import time
from sample_run import events
from hvdtma.runs.live import open_view
from hvdtma.runs.view import Tick
with open_view() as view:
    for event in events(rounds=2):
        view.update(event)
    for step in range(10_000):
        view.tick(Tick(3, 9.0, step, 0.5))
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
