"""The street of the task `labels`: training frames as PNG files, and unseen scenes in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from recycle.config import Appearance
from recycle.dataset.shots import Shot
from recycle.evaluation.metrics import Motion, motion
from recycle.events import Job
from recycle.street.film import Street
from tools.reproduction.drawing import Reel, draw_all
from tools.reproduction.plan import CONDITIONS, FootageSize
from tools.reproduction.task import Clip, TrainingFootage

SEED_A, SEED_B, SEED_TEST = 1000, 2000, 3000
"""Seeds of the streets: each domain and the test have one per condition, and no two have a scene in common."""


@dataclass(frozen=True)
class Scene:
    """One unseen scene: consecutive frames of video, their label maps, and the video's motion between them."""

    condition: Appearance
    video: Clip
    labels: Clip
    motions: tuple[Motion, ...]


def training_footage(size: FootageSize, folder: Path, job: Job) -> TrainingFootage:
    """Draw missing footage. Domain a has all conditions; domain b has the same number of label maps, of other
    scenes."""
    streets_a, streets_b = (
        [_street(size, seed + number, size.train_seconds) for number in range(len(CONDITIONS))]
        for seed in (SEED_A, SEED_B)
    )
    reels = (
        [Reel(*pair, folder) for pair in zip(streets_a, CONDITIONS, strict=True)],
        [Reel(street, "labels", folder) for street in streets_b],
        [Reel(street, "labels", folder) for street in streets_a],
    )
    draw_all([reel for own in reels for reel in own], job)
    a, b, labels_of_a = ([shot for reel in own for shot in reel.shots()] for own in reels)
    return TrainingFootage(a, b, labels_of_a)


def test_scenes(size: FootageSize, job: Job) -> list[Scene]:
    """The unseen scenes: the same number per condition, different ones in each; `window` frames of each scene."""
    scenes = []
    count = job.counting("drawing the unseen scenes", unit="scenes")
    for number, condition in enumerate(CONDITIONS):
        street = _street(size, SEED_TEST + number, size.test_seconds)
        for start, end in zip(street.cuts(), (*street.cuts()[1:], len(street)), strict=True):
            first = max(start, (start + end - size.window) // 2)
            indices = range(first, min(first + size.window, end))
            video, labels = (np.stack([street.frame(i, look) for i in indices]) for look in (condition, "labels"))
            motions = tuple(motion(*pair) for pair in pairwise(video))
            scenes.append(Scene(condition, video, labels, motions))
            count(len(scenes))
    count.finish()
    return scenes


def _street(size: FootageSize, seed: int, seconds: float) -> Street:
    return Street(seed, size.width, size.height, size.fps, seconds)


def read_all(shots: Sequence[Shot]) -> Clip:
    """All frames of shots of one size, in order."""
    return np.stack([shot.pixels(i) for shot in shots for i in range(len(shot.files))])
