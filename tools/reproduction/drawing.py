"""Draws films of the procedural street as folders of PNG files, once, with several processes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.config import Appearance
from recycle.dataset.manifest import MANIFEST, Manifest, ManifestFrame
from recycle.dataset.shots import Shot, find_shots
from recycle.errors import OutputError
from recycle.events import Job
from recycle.street.film import Street
from recycle.system.atomic import atomic_path
from recycle.system.cores import cores
from recycle.system.workers import run_all

_WORTH_PROCESSES = 2000
"""Minimum number of frames for which starting processes saves time."""


@dataclass(frozen=True)
class Reel:
    """A street in one appearance as a folder of PNG files with a manifest, as written by `recycle extract`, so that no
    codec blurs its labels."""

    street: Street
    appearance: Appearance
    root: Path

    @property
    def folder(self) -> Path:
        """Folder, named by a digest of everything on which the frames depend."""
        it = self.street
        return self.root / f"{self.appearance}-{it.seed}-{it.width}x{it.height}-{it.fps}fps-{it.seconds:g}s"

    def shots(self) -> list[Shot]:
        """Shots of the folder, which must have been drawn."""
        return find_shots(self.folder)


def draw_all(reels: Sequence[Reel], job: Job) -> None:
    """Draw the missing reels. Raises OutputError."""
    missing = [reel for reel in reels if not (reel.folder / MANIFEST).is_file()]
    if not missing:
        return
    total = sum(len(reel.street) for reel in missing)
    workers = min(cores(), len(missing)) if total > _WORTH_PROCESSES else 1
    count = job.counting("drawing the street", total=total)
    drawn = run_all(_draw, missing, workers=workers, crashed=False, report=count.add, job=job)
    count.finish()
    if not all(drawn):
        raise OutputError(
            f"a process that drew into {reels[0].root} was killed (out of memory?); run the same command again"
        )


def _draw(reel: Reel, count: Callable[[int], None]) -> bool:
    with atomic_path(reel.folder) as temporary:
        temporary.mkdir(parents=True)
        for index, frame in enumerate(reel.street.frames(reel.appearance)):
            _write(temporary / _file(index), frame)
            count(1)
        manifest = _manifest(reel.street, reel.folder.name).model_dump_json()
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
