"""The street of the experiment: frames to train on, as PNG files, and unseen clips, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.atomic import atomic_path
from recycle.config import Appearance
from recycle.cores import cores
from recycle.errors import OutputError
from recycle.evaluation.metrics import Motion, motion
from recycle.footage.clips import Shot, find_shots
from recycle.footage.manifest import MANIFEST, Manifest, ManifestFrame
from recycle.footage.street import Street
from recycle.footage.workers import run_all
from recycle.progress import Terminal
from tools.reproduction.plan import CONDITIONS, FootageSize

Clip = NDArray[np.uint8]
"""(T, H, W, 3) uint8 RGB."""

SEED_A, SEED_B, SEED_TEST = 1000, 2000, 3000
"""Of the streets: either domain and the test have one for each condition, and no two have a scene in common."""
_WORTH_PROCESSES = 2000
"""Frames from which on it pays to start processes."""


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
    """Draw what is not there yet. Domain a holds all conditions, domain b as many label maps, of other scenes."""
    streets_a, streets_b = (
        [_street(size, seed + number, size.train_seconds) for number in range(len(CONDITIONS))]
        for seed in (SEED_A, SEED_B)
    )
    films = {
        "a": [_Film(*pair, folder) for pair in zip(streets_a, CONDITIONS, strict=True)],
        "b": [_Film(street, "labels", folder) for street in streets_b],
        "labels of a": [_Film(street, "labels", folder) for street in streets_a],
    }
    _draw_all([film for own in films.values() for film in own], console)
    return TrainingFootage(*([shot for film in own for shot in find_shots(film.folder)] for own in films.values()))


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


@dataclass(frozen=True)
class _Film:
    """A street in one appearance as a folder of PNG files with a manifest, like those of `recycle extract`, so that
    no codec blurs its labels."""

    street: Street
    appearance: Appearance
    root: Path

    @property
    def folder(self) -> Path:
        """Named after all that the frames depend on."""
        it = self.street
        return self.root / f"{self.appearance}-{it.seed}-{it.width}x{it.height}-{it.fps}fps-{it.seconds:g}s"


def _draw_all(films: Sequence[_Film], console: Terminal) -> None:
    missing = [film for film in films if not (film.folder / MANIFEST).is_file()]
    if not missing:
        return
    total = sum(len(film.street) for film in missing)
    workers = min(cores(), len(missing)) if total > _WORTH_PROCESSES else 1
    done = 0
    with console.bar("drawing the street") as progress:

        def report(frames: int) -> None:
            nonlocal done
            progress(done := done + frames, total)

        drawn = run_all(_draw, missing, workers=workers, crashed=False, report=report)
    if not all(drawn):
        raise OutputError(f"a process that drew into {films[0].root} was killed (out of memory?); run it again")


def _draw(film: _Film, count: Callable[[int], None]) -> bool:
    with atomic_path(film.folder) as temporary:
        temporary.mkdir(parents=True)
        for index, frame in enumerate(film.street.frames(film.appearance)):
            _write(temporary / _file(index), frame)
            count(1)
        manifest = _manifest(film.street, film.folder.name).model_dump_json()
        (temporary / MANIFEST).write_text(manifest, encoding="utf-8")
    return True


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
