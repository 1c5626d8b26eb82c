"""The picture puts each translated frame above the training frame that it is nearest to."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from recycle.dataset.shots import Shot
from recycle.evaluation.features import describe_broadly
from recycle.evaluation.memorisation import Gallery
from recycle.evaluation.metrics import Pixels
from recycle.evaluation.neighbours import COLUMNS, write_neighbours

GREYS = [10, 60, 110, 160, 210, 250]


def folder(path: Path, greys: list[int], size: tuple[int, int] = (40, 60)) -> Path:
    path.mkdir()
    for i, grey in enumerate(greys):
        cv2.imwrite(str(path / f"{i:03}.png"), np.full((*size, 3), grey, np.uint8))
    return path


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    trained = folder(tmp_path / "trained", GREYS[::-1], (60, 80))
    return Gallery.of([Shot(tuple(sorted(trained.iterdir())), 80, 60)], describe_broadly)


def columns(picture: Path) -> tuple[Pixels, Pixels]:
    image = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    pixels = np.asarray(image, dtype=np.uint8)
    middles = (np.arange(COLUMNS) + 0.5) * pixels.shape[1] / COLUMNS
    return pixels[60, middles.astype(int)], pixels[180, middles.astype(int)]


def test_nearest_training_frames_are_below(gallery: Gallery, tmp_path: Path) -> None:
    translated = folder(tmp_path / "translated", [grey + 5 for grey in GREYS])
    write_neighbours(tmp_path / "nearest.png", [translated], gallery, max_frames=200)
    above, below = columns(tmp_path / "nearest.png")
    assert above.tolist() == [grey + 5 for grey in GREYS]
    assert below.tolist() == GREYS


def test_frames_are_taken_evenly_from_all_videos_up_to_the_limit(gallery: Gallery, tmp_path: Path) -> None:
    first = folder(tmp_path / "first", [20 * i for i in range(10)])
    second = folder(tmp_path / "second", [200] * 3)
    write_neighbours(tmp_path / "nearest.png", [first, second], gallery, max_frames=5)
    above, _ = columns(tmp_path / "nearest.png")
    assert above.tolist() == [0, 40, 80, 200, 200, 200]
