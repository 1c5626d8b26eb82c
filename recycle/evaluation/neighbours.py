"""Writes a picture of translated frames above their nearest training frames."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from recycle.evaluation.memorisation import Gallery
from recycle.evaluation.metrics import Pixels, evenly
from recycle.inputs import open_source
from recycle.system.atomic import atomic_path
from recycle.video.encode import output_errors

COLUMNS = 6
"""Maximum number of translated frames in the picture."""
_HEIGHT = 120
_GAP = 4


def write_neighbours(path: Path, videos: Sequence[Path], gallery: Gallery, *, max_frames: int) -> None:
    """Write a picture of up to COLUMNS translated frames, each above its nearest training frame, atomically.

    `path` ends in .png. The frames are evenly spaced among the first `max_frames` of the first COLUMNS videos. Raises
    FootageError if a video cannot be read, OutputError if the picture cannot be written.
    """
    shown = videos[:COLUMNS]
    each = [COLUMNS // len(shown) + (i < COLUMNS % len(shown)) for i in range(len(shown))]
    frames = [f for video, count in zip(shown, each, strict=True) for f in _evenly(video, count, max_frames)]
    nearest = gallery.nearest(gallery.describe(frames))[1].tolist()
    columns = []
    for frame, number in zip(frames, nearest, strict=True):
        size = (round(frame.shape[1] * _HEIGHT / frame.shape[0]), _HEIGHT)
        pair = [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in (frame, gallery.picture(number))]
        columns.append(cv2.copyMakeBorder(cv2.vconcat(pair), 0, 0, 0, _GAP, cv2.BORDER_CONSTANT, value=(255,) * 3))
    with output_errors(path), atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(cv2.hconcat(columns), cv2.COLOR_RGB2BGR))


def _evenly(video: Path, count: int, limit: int) -> list[Pixels]:
    """`count` evenly spaced frames of a video's first `limit`; all if there are fewer.

    The first frame is always one of them, and the last one too if `count` > 1.
    """
    with open_source(video) as reader:
        total = sum(1 for _ in islice(reader, limit))
    chosen = set(evenly(total, count).tolist())
    with open_source(video) as reader:
        return [f.pixels.astype(np.uint8, copy=False) for i, f in enumerate(islice(reader, total)) if i in chosen]
