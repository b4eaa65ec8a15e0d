"""What is shown while a run trains: lines, a bar, how much time is left."""

import io
import sys

import pytest

from experiments.command_line import progress
from experiments.command_line.progress import Progress
from experiments.training import segments, usual_segment


def record(epoch, step, seconds=10.0, validation=None):
    return {
        "epoch": epoch, "step": step, "seconds": seconds,
        "loss": 0.5, "accuracy": 0.75, "validation_accuracy": validation,
    }  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """A time that the test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_for_each_epoch_says_how_much_time_is_left(capsys, clock):
    with progress.reporter(300, 100, True, Progress(100, [record(1, 100, 90.0)])) as report:
        report.epoch(record(2, 200, 150.0, 0.8))
        report.epoch(record(3, 300, 1.0))
    assert capsys.readouterr().out.splitlines() == [
        "epoch 2/3  loss 0.5000  accuracy 0.7500  validation 0.8000  150.00 s, 2:00 left",
        "epoch 3/3  loss 0.5000  accuracy 0.7500  1.00 s",
    ]


def test_long_epochs_are_told_of_now_and_then(capsys, clock):
    """100 steps took 80 s: 900 more take twelve minutes."""
    with progress.reporter(1000, 500, True, Progress()) as report:
        for done, seconds in ((50, 29), (100, 80), (150, 100), (650, 520)):
            clock[0] = 100.0 + seconds
            report.within(done, 1.25)
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/2, step 100/500  loss 1.2500, 12:00 left",
        "epoch 2/2, step 150/500  loss 1.2500, 4:40 left",
    ]


def test_a_run_resumed_within_an_epoch_counts_what_that_epoch_took_before(capsys, clock):
    """A second a step: 450 before, 50 now; the epoch's record holds all of its 150 s."""
    begun = Progress(450, [record(1, 400, 400.0)], seconds=50.0)
    with progress.reporter(1000, 400, True, begun) as report:
        clock[0] += 50
        report.within(500, 1.0)
        report.epoch(record(2, 800, 400.0))
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(", 8:20 left")
    assert second.endswith(", 3:20 left")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59, ""), (60, ", 1:00 left"), (3599.6, ", 1:00:00 left"), (7265, ", 2:01:05 left")],
)
def test_time_is_told_in_minutes_and_hours(seconds, text):
    assert progress.left_over(seconds) == text


def test_a_terminal_shows_a_bar_that_moves_within_epochs(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with progress.reporter(300, 100, True, Progress(100, [record(1, 100)])) as report:
        (task,) = report.progress.tasks  # type: ignore[attr-defined]
        assert (task.completed, task.total, task.fields["epoch"]) == (100, 300, 2)
        report.within(150, 0.25)
        assert (task.completed, task.fields["epoch"]) == (150, 2)
        report.epoch(record(2, 200, validation=0.5))
        assert (task.completed, task.fields["epoch"]) == (200, 3)
        assert task.description == "loss 0.5000  accuracy 0.7500  validation 0.5000"
        report.epoch(record(3, 300))
        assert task.finished


def test_nothing_is_shown_where_nothing_is_asked_for(capsys):
    with progress.reporter(300, 100, False, Progress()) as report:
        report.within(50, 1.0)
        report.epoch(record(1, 100))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("steps", "longest"),
    [(3, 3), (56, 56), (100, 100), (234, 78), (390, 78), (468, 78), (937, 100), (10_009, 100)],
)
def test_long_epochs_are_looked_at_every_50_to_100_steps(steps, longest):
    assert usual_segment(steps) == longest
    counts = [segment.count for segment in segments(2 * steps, steps, 0, longest)]
    assert sum(counts) == 2 * steps
    assert len(set(counts)) <= 2
