"""A copied training frame is found, and unseen footage is not accused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from recycle.dataset.shots import Shot
from recycle.errors import FootageError
from recycle.evaluation.features import describe_broadly
from recycle.evaluation.memorisation import GALLERY, Gallery, memorisation
from recycle.evaluation.metrics import Pixels
from tests.jobs import counted


def pictures(count: int, seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8).repeat(5, 1).repeat(6, 2)


def shot(frames: Pixels, folder: Path) -> Shot:
    folder.mkdir()
    files = tuple(folder / f"{i:04}.png" for i in range(len(frames)))
    for file, frame in zip(files, frames, strict=True):
        cv2.imwrite(str(file), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return Shot(files, frames.shape[2], frames.shape[1])


@pytest.fixture
def gallery(tmp_path: Path) -> Gallery:
    frames = pictures(12, 0)
    return Gallery.of([shot(frames[:5], tmp_path / "one"), shot(frames[5:], tmp_path / "two")], describe_broadly)


def test_each_training_frame_is_nearest_to_itself(gallery: Gallery) -> None:
    frames = pictures(12, 0)
    distances, numbers = gallery.nearest(describe_broadly(list(frames)))
    assert numbers.tolist() == list(range(12))
    assert distances.max() < 1e-4
    assert all((gallery.picture(i) == frames[i]).all() for i in range(12))


def test_the_distance_is_the_rms_difference_in_grey_levels(gallery: Gallery) -> None:
    near = pictures(12, 0)[3] // 2  # another frame would be farther
    training = pictures(12, 0)[3]
    distance, number = gallery.nearest(describe_broadly([near]))
    small = [cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA).astype(float) for f in (near, training)]
    assert number.item() == 3
    assert distance.item() == pytest.approx(np.sqrt(np.square(small[0] - small[1]).mean()), rel=1e-5)


def test_copies_have_no_distance_and_unseen_frames_the_usual_one(gallery: Gallery) -> None:
    copies, unseen, more = (describe_broadly(list(pictures(12, seed))) for seed in (0, 1, 2))
    assert memorisation(copies, unseen, gallery) == pytest.approx(0, abs=1e-4)
    assert memorisation(unseen, unseen, gallery) == pytest.approx(1)
    assert memorisation(more, unseen, gallery) == pytest.approx(1, abs=0.1)
    half = torch.cat((copies[:6], more[:6]))
    assert memorisation(half, unseen, gallery) == pytest.approx(0.5, abs=0.1)


def test_there_is_no_ratio_where_unseen_frames_are_training_frames(tmp_path: Path) -> None:
    black = np.zeros((3, 40, 40, 3), np.uint8)
    gallery = Gallery.of([shot(black, tmp_path / "black")], describe_broadly)
    assert memorisation(describe_broadly(list(black + 9)), describe_broadly(list(black)), gallery) is None


def test_long_footage_is_taken_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recycle.evaluation.memorisation.GALLERY", 4)
    done: list[int] = []
    frames = pictures(10, 0)
    gallery = Gallery.of([shot(frames, tmp_path / "s")], describe_broadly, job=counted(done))
    assert [index for _, index in gallery.frames] == [0, 3, 6, 9]
    assert done == [1, 2, 3, 4]
    assert GALLERY > 100


def test_an_unreadable_training_frame_is_named(tmp_path: Path) -> None:
    damaged = shot(pictures(2, 0), tmp_path / "s")
    damaged.files[1].write_text("no picture")
    with pytest.raises(FootageError, match=r"0001\.png"):
        Gallery.of([damaged], describe_broadly)
