"""A run with a time limit ends in time with everything saved, and can be continued."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from recycle.config import Pipeline, TrainSettings, parse_pipeline
from recycle.dataset.shots import find_shots
from recycle.errors import ConfigError, Interrupted
from recycle.events import Step
from recycle.runs.pipeline import open_pipeline
from recycle.training import clock, loop
from recycle.training.clock import MARGIN, REVIEWING, SAVE_AFTER, Clock, awaited
from recycle.training.loop import REVIEWS, TrainReport, train
from recycle.training.review import Review
from recycle.training.schedule import LEAST, learning_rate, shrinking
from recycle.training.step import StepReport
from recycle.training.validation import LEAST_SCORES
from tests.jobs import stepping
from tests.training.test_loop import write_frames

pytestmark = pytest.mark.usefixtures("small_looks")

TINY = {
    "networks": {
        "generator": {"width": 4, "blocks": 1},
        "discriminator": {"width": 4, "layers": 2},
    },
    "losses": {"weights": {"adversarial": 1}},
}


def task(seconds: float, **settings: Any) -> Pipeline:
    return parse_pipeline(
        TINY
        | {
            "train": {
                **{"hours": seconds / 3600, "size": [16, 16], "device": "cpu", "precision": "fp32"},
                **{"steps": 1, "held_out": 4, "checkpoint_every": 10, "preview_every": 10_000},
                **settings,
            }
        },
        where="test",
    )


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("footage")
    return write_frames(root / "a", 40, seed=1), write_frames(root / "b", 40, seed=2)


def state(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / "checkpoint.pt", weights_only=True)
    return found


class Time:
    """The time of a test, in seconds: it passes only where the test lets it pass."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """What the clock of a run reads instead of the machine's: no machine is too slow for these tests."""
    own = Time()
    monkeypatch.setattr(clock, "time", own)
    return own


def test_waiting_is_measured_as_a_proportion_of_the_time(time: Time) -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.now += 0.1
            yield number

    parts = []
    for number, part in awaited(slow()):
        parts.append(part)
        time.now += (0, 1, 0)[number]
    assert parts == [0, pytest.approx(1), pytest.approx(0.2 / 1.2)]
    assert list(awaited([])) == []


def test_a_run_with_a_time_limit_ends_in_time_and_can_be_continued(
    time: Time, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    """Of ten seconds, at a quarter of one for each step."""
    a, b = (find_shots(folder) for folder in footage)
    seen: list[Step] = []

    def go(seconds: float, *, stop_at: int = 0) -> TrainReport:
        def taken(event: Step) -> None:
            seen.append(event)
            time.now += 0.25
            if event.step == stop_at:
                job.cancel()

        job = stepping(taken)
        return train(task(seconds), a, b, tmp_path / "run", job=job)

    with pytest.raises(Interrupted):
        go(10, stop_at=4)
    stopped = state(tmp_path / "run")
    assert stopped["step"] == 4 > task(10).train.steps  # steps are of no account
    assert stopped["clock"]["seconds"] == pytest.approx(1)
    time.now += 5000  # which do not count
    report = go(10)
    ended = state(tmp_path / "run")
    assert (report.resumed_from, report.step) == (4, ended["step"]) == (4, 41)
    assert ended["clock"]["seconds"] == pytest.approx(10)
    assert (tmp_path / "run" / "previews" / f"step-{report.step:06d}.png").exists()
    scores = json.loads((tmp_path / "run" / "validation.json").read_text())["scores"]
    assert LEAST_SCORES < len(scores) <= REVIEWS + 4  # at the start, the stop and the end, too, but not at every step
    rate = ended["optimiser_translators"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(learning_rate(0, task(10).train, 1.0))
    assert rate < 0.01 * TrainSettings().learning_rate
    assert [(event.step, event.steps) for event in seen[4:]] == [(n, round(40 * n / (n - 1))) for n in range(5, 42)]
    assert seen[20].left == pytest.approx(5)
    again = go(10)
    assert again.step == again.resumed_from == report.step


@pytest.mark.parametrize(
    ("budget", "step", "preview", "reviews"),
    [(20, 0.25, 0.8, (3, 6)), (20, 0.25, 0.01, (REVIEWS, REVIEWS + 3)), (10, 0.25, 9, (1, 1)), (10, 2, 1.5, (2, 2))],
)
def test_reviews_leave_most_of_a_short_run_to_the_steps_and_never_exceed_the_limit(
    budget: float,
    step: float,
    preview: float,
    reviews: tuple[int, int],
    time: Time,
    footage: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With reviews that take longer than steps, even nearly all of the time."""
    a, b = (find_shots(folder) for folder in footage)
    held: list[int] = []

    def hold(self: Review) -> None:
        held.append(self._run.step)
        time.now += preview

    def take(*given: Any, **more: Any) -> StepReport:
        time.now += step
        return taken(*given, **more)

    taken = loop.take_step
    monkeypatch.setattr(Review, "hold", hold)
    monkeypatch.setattr(loop, "take_step", take)
    report = train(task(budget), a, b, tmp_path / "run")
    assert report.seconds <= budget
    assert reviews[0] <= len(held) <= reviews[1]
    assert (held[0], held[-1]) == (1, report.step)
    assert len(set(held)) == len(held)
    closing = MARGIN * (step + 2 * preview)
    assert report.step * step >= min(step, budget - 2 * preview - REVIEWING * budget - closing)


def test_time_is_reserved_for_the_last_step_and_the_closing_work(time: Time) -> None:
    first = Clock(TrainSettings(hours=100 / 3600))
    for work, took in (("step", 1), ("preview", 4), ("save", 10), ("save", 2), ("step", 1)):
        with first.measured(work):
            time.now += took
    assert not first.tick(2).over
    # A step of 1, a preview of 4, a save of (10 + 2) / 2, each 1.5 times: 16.5 seconds.
    time.now = 100 + 83.4
    assert first.tick(2).part == pytest.approx(83.4 / 83.5)
    assert not first.tick(2).over
    state, time.now = first.state_dict(), 5000.0
    later = Clock(TrainSettings(hours=100 / 3600))
    later.load_state_dict(state)
    assert later.seconds == pytest.approx(83.4)
    assert not later.tick(2).over
    time.now += 0.2
    assert later.tick(2).over
    assert later.tick(2).part == 1.0


def test_progress_is_saved_after_some_time_regardless_of_steps(
    time: Time, footage: tuple[Path, Path], tmp_path: Path
) -> None:
    a, b = (find_shots(folder) for folder in footage)

    def taken(event: Step) -> None:
        time.now += SAVE_AFTER / 2 + 1
        if event.step == 3:
            raise MemoryError("killed")

    settings = {"hours": None, "steps": 9, "checkpoint_every": 10_000}
    with pytest.raises(MemoryError):
        train(task(1, **settings), a, b, tmp_path / "run", job=stepping(taken))
    assert state(tmp_path / "run")["step"] == 3


def test_the_learning_rate_and_the_size_follow_the_time() -> None:
    settings = TrainSettings(hours=1, steps=1, learning_rate=1.0, decay=0.5, grow=2, size=(64, 64))
    parts = [i / 100 for i in range(101)]
    rates = [learning_rate(7, settings, part) for part in parts]
    assert rates[:51] == [1.0] * 51
    assert all(late < early for early, late in itertools.pairwise(rates[50:]))
    assert rates[-1] == pytest.approx(2 * LEAST)
    assert learning_rate(7, settings, 0.75) == pytest.approx(0.5)
    assert [shrinking(7, settings, part) for part in (0, 0.24, 0.25, 0.49, 0.5, 1)] == [4, 4, 2, 2, 1, 1]
    assert learning_rate(7, TrainSettings(hours=1, decay=0, learning_rate=1.0), 0.99) == 1.0


def test_the_closing_work_is_done_within_the_time_limit(time: Time) -> None:
    clock = Clock(TrainSettings(hours=1))
    clock.load_state_dict({"seconds": 3600.0 - 100, "took": {"preview": 30.0, "save": 20.0}})
    assert not clock.tick(5).over
    with clock.measured("step"):
        time.now += 0.02
    clock.load_state_dict({"seconds": 3600.0 - 70, "took": {"preview": 30.0, "save": 20.0}})
    assert clock.tick(5).over


def test_steps_on_the_command_line_take_the_place_of_hours_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text("[train]\nhours = 8\n")
    assert open_pipeline(file).train.hours == 8
    assert open_pipeline(file, train={"steps": None, "hours": 2}).train.hours == 2
    trial = open_pipeline(file, train={"steps": 50, "hours": None}).train
    assert (trial.steps, trial.hours) == (50, None)
    with pytest.raises(ConfigError, match="either a number of steps or of hours"):
        open_pipeline(file, train={"steps": 50, "hours": 1})
