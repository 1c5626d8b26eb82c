"""A training is observed and cancelled from another thread, and continues to the uninterrupted result."""

from pathlib import Path

import pytest

from recycle.dataset.shots import find_shots
from recycle.errors import Interrupted
from recycle.events import Job, Notice, Review, Step
from recycle.training.loop import train
from tests.jobs import cancelled_from_outside, saying
from tests.training.test_loop import pipeline, same_run, write_frames

pytestmark = pytest.mark.usefixtures("small_looks")


def test_a_training_in_a_thread_is_watched_cancelled_and_continued(tmp_path: Path) -> None:
    a, b = (find_shots(write_frames(tmp_path / name, 40, seed=seed)) for seed, name in ((1, "a"), (2, "b")))
    whole, out = tmp_path / "whole", tmp_path / "run"
    train(pipeline(), a, b, whole)

    seen, outcome = cancelled_from_outside(
        lambda job: train(pipeline(), a, b, out, job=job),
        lambda event: isinstance(event, Step) and event.step == 4,
    )
    assert outcome == ["stopped and saved at step 4; run the same command again to continue"]
    steps = [event for event in seen if isinstance(event, Step)]
    assert [(event.step, event.steps) for event in steps] == [(number, 9) for number in range(1, 5)]
    assert [bool(event.losses) for event in steps] == [True, True, False, True]  # where they are logged
    assert steps[0].losses["recycle"] > 0 < steps[0].learning_rate
    (review,) = (event for event in seen if isinstance(event, Review))
    assert (review.step, review.preview) == (4, out / "previews" / "step-000004.png")
    assert review.preview.is_file()
    assert any(isinstance(event, Notice) and event.text.startswith("memory: ") for event in seen)

    said: list[str] = []
    report = train(pipeline(), a, b, out, job=saying(said))
    assert (report.resumed_from, report.step) == (4, 9)
    assert "continuing from step 4 of 9" in said
    same_run(out, whole)
    said.clear()
    assert train(pipeline(), a, b, out, job=saying(said)).step == 9
    assert said == []


def test_a_job_that_is_cancelled_while_crops_are_compared_ends_the_training(tmp_path: Path) -> None:
    a, b = (
        find_shots(write_frames(tmp_path / name, 20, seed=seed, size=(32, 48))) for seed, name in ((1, "a"), (2, "b"))
    )
    job = Job(lambda event: job.cancel() if getattr(event, "what", "").startswith("comparing") else None)
    with pytest.raises(Interrupted, match="run the same command again"):
        train(pipeline(match=0.5, size=[32, 32], steps=1), a, b, tmp_path / "run", job=job)
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
