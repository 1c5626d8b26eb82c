"""The street of the experiment: frames to train on, as PNG files, and unseen clips, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.atomic import atomic_path
from recycle.config import Appearance
from recycle.errors import OutputError
from recycle.evaluation.metrics import Motion, motion
from recycle.footage.clips import Shot, find_shots
from recycle.footage.manifest import MANIFEST, Manifest, ManifestFrame
from recycle.footage.street import Street
from recycle.progress import Terminal
from tools.reproduction.plan import CONDITIONS, FootageSize

Clip = NDArray[np.uint8]
"""(T, H, W, 3) uint8 RGB."""

SEED_A, SEED_B, SEED_TEST = 1000, 2000, 3000
"""Of the streets: domain a and the test have one for each condition, and no two have a scene in common."""


@dataclass(frozen=True)
class TrainingFootage:
    """Shots of both domains, and the label maps of domain a's, which only the segmentation network sees."""

    a: list[Shot]
    b: list[Shot]
    labels_of_a: list[Shot]


@dataclass(frozen=True)
class Scene:
    """One unseen scene: consecutive frames of video, their label maps, and the video's motion between them."""

    condition: Appearance
    video: Clip
    labels: Clip
    motions: tuple[Motion, ...]


def training_footage(size: FootageSize, folder: Path, console: Terminal) -> TrainingFootage:
    """Draw what is not there yet. Domain a holds all conditions, domain b label maps of other scenes."""
    a, labels_of_a = [], []
    for number, condition in enumerate(CONDITIONS):
        street = _street(size, SEED_A + number, size.train_seconds)
        a += _draw(street, condition, folder, console)
        labels_of_a += _draw(street, "labels", folder, console)
    b = _draw(_street(size, SEED_B, len(CONDITIONS) * size.train_seconds), "labels", folder, console)
    return TrainingFootage(a, b, labels_of_a)


def test_scenes(size: FootageSize, console: Terminal) -> list[Scene]:
    """The unseen scenes: as many in each condition, each condition other ones; `window` frames of each."""
    scenes = []
    with console.bar("drawing the unseen scenes", unit="scenes") as progress:
        for number, condition in enumerate(CONDITIONS):
            street = _street(size, SEED_TEST + number, size.test_seconds)
            for start, end in zip(street.cuts(), (*street.cuts()[1:], len(street)), strict=True):
                first = max(start, (start + end - size.window) // 2)
                indices = range(first, min(first + size.window, end))
                video, labels = (np.stack([street.frame(i, look) for i in indices]) for look in (condition, "labels"))
                motions = tuple(motion(*pair) for pair in pairwise(video))
                scenes.append(Scene(condition, video, labels, motions))
                progress(len(scenes), None)
    return scenes


def _street(size: FootageSize, seed: int, seconds: float) -> Street:
    return Street(seed, size.width, size.height, size.fps, seconds)


def _draw(street: Street, appearance: Appearance, folder: Path, console: Terminal) -> list[Shot]:
    """The shots of a street as PNG files with a manifest, like those of `recycle extract`, so no codec blurs them."""
    name = f"{appearance}-{street.seed}-{street.width}x{street.height}-{street.fps}fps-{street.seconds:g}s"
    if not (folder / name / MANIFEST).is_file():
        with console.bar(f"drawing {name}") as progress, atomic_path(folder / name) as temporary:
            temporary.mkdir(parents=True)
            for index, frame in enumerate(street.frames(appearance)):
                _write(temporary / _file(index), frame)
                progress(index + 1, len(street))
            (temporary / MANIFEST).write_text(_manifest(street, name).model_dump_json(), encoding="utf-8")
    return find_shots(folder / name)


def _manifest(street: Street, name: str) -> Manifest:
    shots = np.searchsorted(street.cuts(), np.arange(len(street)), side="right") - 1
    frames = tuple(ManifestFrame(file=_file(i), shot=int(shot), pts=i) for i, shot in enumerate(shots))
    return Manifest(
        source=name,
        fingerprint=name,
        settings={},
        width=street.width,
        height=street.height,
        rotation=0,
        time_base=f"1/{street.fps}",
        frames=frames,
    )


def _file(index: int) -> str:
    return f"{index:06d}.png"


def _write(path: Path, frame: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
        raise OutputError(f"cannot write {path}; is the disk full?")


def read_all(shots: Sequence[Shot]) -> Clip:
    """All frames of shots of one size, in order."""
    return np.stack([shot.read(i).permute(1, 2, 0).numpy() for shot in shots for i in range(len(shot.files))])
