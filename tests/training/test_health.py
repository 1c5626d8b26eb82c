"""Tiny trainings that fail are reported once with the right message; a good one is not."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from recycle.config import parse_pipeline
from recycle.dataset.shots import Shot, find_shots
from recycle.run_folder import RunFolder
from recycle.training import clock, loop
from recycle.training.health import Health
from recycle.training.logs import read_faults
from recycle.training.loop import take_step, train
from recycle.training.step import StepReport
from tests.training.test_clock import Time

pytestmark = pytest.mark.usefixtures("small_looks")

ALONE = {"adversarial": 1}
"""The adversarial loss and no other: no predictors, which makes steps quick."""


def footage(folder: Path, seed: int, *, frames: int = 210, size: tuple[int, int] = (20, 24)) -> Path:
    """A bright square that moves over dim noise."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    still = random.integers(0, 90, (*size, 3), dtype=np.uint8)
    for i in range(frames):
        frame = still.copy()
        frame[4:12, i % 12 : i % 12 + 6] = 200 if seed == 1 else (220, 120, 30)
        cv2.imwrite(str(folder / f"{i:03d}.png"), frame)
    rows = [{"file": f"{i:03d}.png", "shot": 0, "pts": i} for i in range(frames)]
    (folder / "manifest.json").write_text(json.dumps({"width": size[1], "height": size[0], "frames": rows}))
    return folder


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Time passes only when a test advances it, so that a slow machine does not wait for its clips."""
    own = Time()
    monkeypatch.setattr(clock, "time", own)
    return own


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[list[Shot]]:
    root = tmp_path_factory.mktemp("footage")
    return [find_shots(footage(root / name, seed)) for seed, name in ((1, "a"), (2, "b"))]


def warnings(both: list[list[Shot]], folder: Path, weights: dict[str, float], **settings: Any) -> list[str]:
    """The notices of a training of tiny networks with these settings."""
    task = parse_pipeline(
        {
            "networks": {
                "generator": {"width": 4, "blocks": 1, "blur": False},
                "discriminator": {"width": 4, "layers": 2},
                "predictor": {"kind": "pix2pix", "width": 4, "depth": 3},
            },
            "losses": {"weights": weights},
            "train": {
                **{"size": [16, 16], "steps": 120, "precision": "fp32", "device": "cpu"},
                **{"held_out": 4, "preview_every": 10_000, "checkpoint_every": 10_000},
                **settings,
            },
        },
        where="test",
    )
    return train(task, both[0], both[1], folder).notices


CAUSES: dict[str, dict[str, Any]] = {
    "discriminator of domain a and domain b has run away": {
        "weights": ALONE,
        "learning_rate": 1e-5,
        "discriminator_rate": 30.0,
    },
    "has exploded": {"weights": ALONE, "steps": 60, "discriminator_rate": 1e4},
    "no loss changes any more": {
        "weights": {**ALONE, "cycle": 10},
        **{"learning_rate": 1e-9, "batch_size": 2, "size": [20, 24], "augment": {"flip": False, "colour": 0}},
        **{"decay": 0, "steps": 100},
    },
    "all look alike: the generator ignores its input": {
        "weights": ALONE,
        **{"steps": 80, "learning_rate": 2.0, "discriminator_rate": 1e-4},
    },
    "the predictors are worse than copying": {
        "weights": {"recurrent": 1, "adversarial": 0},
        **{"frames": 3, "steps": 140, "predictor_rate": 1e-3},
    },
}


@pytest.mark.parametrize("told", CAUSES)
def test_a_failing_training_is_reported_once(told: str, both: list[list[Shot]], tmp_path: Path) -> None:
    notices = warnings(both, tmp_path, **CAUSES[told])
    assert sum(told in notice for notice in notices) == 1, notices
    assert all(notice.startswith("step ") for notice in notices), notices
    assert read_faults(RunFolder(tmp_path)) == notices


def test_a_healthy_training_causes_no_message(both: list[list[Shot]], tmp_path: Path) -> None:
    assert warnings(both, tmp_path, {**ALONE, "cycle": 10}, steps=110, learning_rate=1e-3) == []


@pytest.mark.parametrize(("reading", "told"), [(1.0, 1), (0.1, 0)])
def test_waiting_for_clips_is_reported(
    reading: float, told: int, both: list[list[Shot]], tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes six seconds, and reads two frames, of which each takes `reading` seconds."""
    read = Shot.read

    def slowly(shot: Shot, index: int) -> torch.Tensor:
        time.now += reading
        return read(shot, index)

    def step(*arguments: Any, **more: Any) -> StepReport:
        time.now += 6
        return take_step(*arguments, **more)

    monkeypatch.setattr(Shot, "read", slowly)
    monkeypatch.setattr(loop, "take_step", step)
    notices = warnings(both, tmp_path / "run", {**ALONE, "cycle": 10}, steps=60, learning_rate=1e-3, frames=1)
    about = [notice for notice in notices if "training waits for its clips for 25% of the time" in notice]
    assert len(about) == told, notices
    assert all("train.workers" in notice for notice in about)


@pytest.mark.parametrize(("settings", "patience"), [(100, 20), (20_000, 1000), (8_000, 400)])
def test_patience_depends_on_the_length_of_the_run(settings: int, patience: int) -> None:
    assert Health(parse_pipeline({"train": {"steps": settings}}, where="test")).patience == patience


@pytest.mark.parametrize("name", ["disc_b", "clip_disc_b", "projected_disc_b"])
@pytest.mark.parametrize(("settings", "steps"), [({"steps": 400}, 400), ({"hours": 1.0}, 400), ({"hours": 1.0}, 4000)])
def test_a_single_runaway_discriminator_is_reported_in_time(settings: dict[str, Any], steps: int, name: str) -> None:
    """The discriminator of b recognises every patch; that of a is balanced. A run with a time limit reports as early as
    one with the same number of steps, also after it was continued."""
    health = Health(parse_pipeline({"train": settings}, where="test"))
    frame = torch.zeros(1, 1, 3, 16, 16)
    other = name.replace("_b", "_a")
    measures = {f"{other}_accuracy": 0.7, f"{other}_rejection": 0.3, f"{name}_accuracy": 1.0, f"{name}_rejection": 1.0}
    told = {}
    for step in range(1, steps + 1):
        report = StepReport({"adversarial": 2 - step / steps}, measures, frame, frame)
        for text in health.observe(report, frame, frame, step / steps):
            told[step] = text
        if step == 15:
            state = health.state_dict()
            health = Health(parse_pipeline({"train": settings}, where="test"))
            health.load_state_dict(state)
    kind = "projected " if name.startswith("projected") else ""
    of = "clips of domain b" if name.startswith("clip") else "domain b"
    assert [text.split(":")[0] for text in told.values()] == [f"the {kind}discriminator of {of} has run away"]
    assert all("usual. If the previews do not improve, start over with" in text for text in told.values())
    assert steps / 20 < min(told) < steps / 8
