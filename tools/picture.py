"""Make the images of the documentation from runs of the demo.

Usage: python -m tools.picture runs/demo docs/images/demo.webp
       python -m tools.picture runs/demo/previews/step-002000.png docs/images/preview-good.webp

The first makes an animation of the demo's unseen clips; the second a still image of two rows of a preview.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.domains import DIRECTIONS
from recycle.inputs import open_source
from recycle.run_folder import RunFolder
from recycle.training.headings import heading

Image = NDArray[np.uint8]

SECONDS = (1.0, 5.0)
"""Start and end of the part of the unseen clips that is shown."""
ENLARGE = 2
"""Factor by which frames are enlarged."""
GAP = 4
"""Width in pixels of the white gaps between images."""
BAND = 22
"""Height in pixels of the line of text above each row."""
QUALITY = {"moving": 42, "still": 80}
"""WebP quality, 1 to 100; the animation must stay below 1.5 MB."""
COLUMNS, ROWS = 3, 3
"""Columns and rows of each direction in a preview of a model without predictors."""


def frames(video: Path) -> list[Image]:
    """The frames within SECONDS, uint8 RGB, enlarged without smoothing."""
    with open_source(video) as reader:
        inside = (frame.pixels for frame in reader if SECONDS[0] <= frame.seconds < SECONDS[1])
        return [enlarged(pixels) for pixels in inside]


def enlarged(pixels: NDArray[np.generic]) -> Image:
    """The image, ENLARGE times as large, with hard edges."""
    return np.asarray(cv2.resize(np.asarray(pixels), None, fx=ENLARGE, fy=ENLARGE, interpolation=0), np.uint8)


def row(pictures: tuple[Image, ...], labels: tuple[str, ...]) -> Image:
    """Images side by side, each below its label."""
    labelled = []
    for picture, label in zip(pictures, labels, strict=True):
        band = np.full((BAND, picture.shape[1], 3), 255, np.uint8)
        cv2.putText(band, label, (2, BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA)
        labelled += [np.concatenate([band, picture]), np.full((BAND + picture.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(labelled[:-1], axis=1)


def moving(run: Path) -> list[Image]:
    """Animation of both directions of a demo: source, translation and truth of the unseen clips."""
    where = RunFolder(run)
    directions = (
        ("test_a", "test_a_ab", "test_b", ("day, unseen", "translated to night", "true night, never shown")),
        ("test_b", "test_b_ba", "test_a", ("night, unseen", "translated to day", "true day, never shown")),
    )
    rows = []
    for source, translated, truth, labels in directions:
        videos = (where.footage / source, where.translated / translated, where.footage / truth)
        clips = [frames(video.with_name(f"{video.name}.mp4")) for video in videos]
        rows.append([row(pictures, labels) for pictures in zip(*clips, strict=True)])
    return [np.concatenate(pair) for pair in zip(*rows, strict=True)]


def still(preview: Path) -> Image:
    """The headings and the first row of each direction."""
    picture = np.asarray(cv2.cvtColor(cv2.imread(str(preview)), cv2.COLOR_BGR2RGB), np.uint8)
    band = heading([""], picture.shape[1] // COLUMNS).shape[0]
    halves = np.split(picture, len(DIRECTIONS))
    return enlarged(np.concatenate([half[: band + (len(half) - band) // ROWS] for half in halves]))


def main(source: Path, picture: Path) -> None:
    """Write the image of a run's folder, or of a preview."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_WEBP_QUALITY]
    if source.is_file():
        bgr = cv2.cvtColor(still(source), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(picture), bgr, [*quality, QUALITY["still"]])
        return
    shown = moving(source)
    animation = cv2.Animation()
    animation.frames = [cv2.cvtColor(each, cv2.COLOR_RGB2BGR) for each in shown]
    animation.durations = [round(1000 * (SECONDS[1] - SECONDS[0]) / len(shown))] * len(shown)
    cv2.imwriteanimation(str(picture), animation, [*quality, QUALITY["moving"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
