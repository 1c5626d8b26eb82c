"""Cuts are found where they are, and nowhere else."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.video.decode import VideoReader
from recycle.video.frame import Pixels as AnyPixels
from recycle.video.shots import CutDetector, ShotFinder

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]


def scene(hue: int, count: int, *, width: int = 320) -> list[Pixels]:
    """A block of its own colours that moves slowly over a gradient."""
    frames = []
    for index in range(count):
        frame = np.zeros((96, width, 3), np.uint8)
        frame[..., hue] = np.linspace(60, 220, width).astype(np.uint8) // (1, 4, 2)[hue]
        frame[30:60, 20 + index : 60 + index, (hue + 1) % 3] = 200
        frames.append(frame)
    return frames


def online(frames: list[Pixels]) -> list[int]:
    detector = CutDetector()
    return [index for index, pixels in enumerate(frames) if detector.is_cut(pixels)]


def find_cuts(frames: Iterable[AnyPixels], *, threshold: float = 3.0) -> list[int]:
    finder = ShotFinder(threshold=threshold)
    for pixels in frames:
        finder.add(pixels)
    return finder.finish()


def test_cuts_are_found_by_both_detectors() -> None:
    frames = scene(0, 12) + scene(1, 20) + scene(2, 5) + scene(0, 2)
    assert find_cuts(frames) == [0, 12, 32, 37]
    assert online(frames) == [12, 32, 37]


def test_one_shot_has_no_cut() -> None:
    frames = scene(0, 40)
    assert find_cuts(frames) == [0]
    assert online(frames) == []


def test_few_frames() -> None:
    assert find_cuts([]) == []
    assert find_cuts(scene(0, 1)) == [0]
    assert find_cuts(scene(0, 2)) == [0]
    assert online(scene(0, 1)) == []


def test_a_flash_is_no_shot_of_its_own() -> None:
    frames = [*scene(0, 10), np.full((96, 320, 3), 255, np.uint8), *scene(0, 10)]
    assert len(find_cuts(frames)) <= 2


def swift(rng: np.random.Generator, count: int, low: int) -> list[Pixels]:
    """Footage in which every frame differs strongly from the one before."""
    return [
        np.kron(rng.integers(low, low + 100, (12, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(count)
    ]


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_repeated_frames_make_no_cut(times: int) -> None:
    """Film of 24 frames a second at 60, say: it stands still and jumps, but that is motion."""
    rng = np.random.default_rng(times)
    frames = [picture for picture in swift(rng, 20, 0) for _ in range(times)]
    assert find_cuts(frames) == [0]
    alternating = [picture for i, picture in enumerate(swift(rng, 20, 0)) for _ in range(2 + i % 2)]
    assert find_cuts(alternating) == [0]


@pytest.mark.parametrize("times", [2, 3, 4])
def test_cuts_between_repeated_frames_are_found(times: int) -> None:
    frames = [picture for picture in scene(0, 12) + scene(1, 12) for _ in range(times)]
    assert find_cuts(frames) == [0, 12 * times]


@pytest.mark.parametrize("seed", range(8))
def test_a_cut_between_slow_pans_is_found(seed: int) -> None:
    """Soft pictures change little from frame to frame, and yet repeat nothing."""
    rng = np.random.default_rng(seed)

    def pan(count: int) -> list[Pixels]:
        noise = cv2.GaussianBlur(rng.integers(0, 256, (120, 700, 3), np.uint8), (0, 0), float(rng.uniform(4, 14)))
        picture, speed = cv2.normalize(noise, noise.copy(), 0, 255, cv2.NORM_MINMAX), rng.uniform(0.3, 3)
        moves = [np.array([[1, 0, -speed * i], [0, 1, 0]]) for i in range(count)]
        return [np.asarray(cv2.warpAffine(picture, move, (256, 120)), np.uint8) for move in moves]

    assert find_cuts(pan(30) + pan(30)) == [0, 30]


@pytest.mark.parametrize("times", [6, 7, 25])
def test_stills_are_shots(times: int) -> None:
    pictures = swift(np.random.default_rng(0), 4, 0)
    frames = [picture for picture in pictures for _ in range(times)]
    assert find_cuts(frames) == [0, times, 2 * times, 3 * times]


def test_the_threshold_matters() -> None:
    frames = scene(0, 12) + scene(1, 12)
    assert find_cuts(frames, threshold=3.0) == [0, 12]
    assert find_cuts(frames, threshold=256.0) == [0]


@pytest.mark.parametrize("width", [64, 1000])
def test_any_size(width: int) -> None:
    frames = scene(0, 8, width=width) + scene(1, 8, width=width)
    assert find_cuts(frames) == [0, 8]
    assert online(frames) == [8]


def test_detection_leaves_frames_alone() -> None:
    frame = scene(0, 1)[0]
    before = frame.copy()
    CutDetector().is_cut(frame)
    np.testing.assert_array_equal(frame, before)


def test_real_cuts(real_footage: Path) -> None:
    with VideoReader(real_footage / "awkward" / "nasa_13013.mp4") as reader:
        frames = [frame.pixels for frame in reader]
    assert find_cuts(frames) == [0, 127, 202]
    with VideoReader(real_footage / "flower" / "flower.mp4") as reader:
        assert find_cuts(frame.pixels for frame in itertools.islice(reader, 60)) == [0]
    with VideoReader(real_footage / "driving" / "sim_lake" / "track1.mp4") as reader:  # 24 pictures a second, at 60
        assert find_cuts(frame.pixels for frame in reader) == [0]
