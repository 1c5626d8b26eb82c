"""Make the picture of the README from a finished demo run.

Usage: python tools/picture.py runs/demo docs/demo.png
"""

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from recycle.run_folder import RunFolder
from recycle.video.decode import VideoReader

TIMES = (1.0, 6.0)
"""Seconds into the unseen clip."""
ENLARGE = 2
GAP = 4


def frame_at(video: Path, seconds: float) -> np.ndarray:
    """The first frame at or after `seconds`, uint8 RGB."""
    with VideoReader(video) as reader:
        return next(islice((frame.pixels for frame in reader if frame.seconds >= seconds), 1))


def row(run: Path, source: str, translated: str, truth: str, seconds: float) -> np.ndarray:
    """Source | translation | truth, enlarged without smoothing."""
    where = RunFolder(run)
    videos = (where.footage / source, where.translated / translated, where.footage / truth)
    frames = [cv2.resize(frame_at(v, seconds), None, fx=ENLARGE, fy=ENLARGE, interpolation=0) for v in videos]
    gap = np.full((frames[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([frames[0], gap, frames[1], gap, frames[2]], axis=1)


def main(run: Path, picture: Path) -> None:
    """Write two rows a → b and two rows b → a."""
    rows = [row(run, "test_a.mp4", "test_a_ab.mp4", "test_b.mp4", t) for t in TIMES]
    rows += [row(run, "test_b.mp4", "test_b_ba.mp4", "test_a.mp4", t) for t in TIMES]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    stacked = np.concatenate([part for r in rows for part in (r, gap)][:-1])
    cv2.imwrite(str(picture), cv2.cvtColor(stacked, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
