"""A glance at footage tells its size, rate, length and kind, and whether both sides share a layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import ExtractSettings
from recycle.errors import FootageError
from recycle.footage.encode import write_video
from recycle.footage.extract import extract
from recycle.footage.glance import SHORT, glance, is_extracted
from recycle.footage.street import Street


def room(seed: int, walls: int, floor: tuple[int, int, int], count: int = 12) -> NDArray[np.uint8]:
    """Frames of a room, (count, 96, 128, 3): furniture that follows from `walls`, and a person somewhere before it."""
    furniture, random = np.random.default_rng(walls), np.random.default_rng(seed)
    still = np.zeros((96, 128, 3), np.uint8) + np.array(floor, np.uint8)
    for _ in range(6):
        x, y, width, height, *colour = (int(number) for number in furniture.integers(8, 90, 7))
        cv2.rectangle(still, (x, y), (x + width // 2, y + height // 2), tuple(2 * c for c in colour), -1)
    frames = []
    for _ in range(count):
        frame = still.copy()
        cv2.circle(frame, tuple(int(n) for n in random.integers(20, 80, 2)), 12, floor[::-1], -1)
        frames.append(np.clip(frame + random.normal(0, 6, frame.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    pictures = {
        "one": room(0, 1, (30, 90, 160)),
        "same room": room(1, 1, (200, 120, 60)),
    }
    for name, frames in pictures.items():
        write_video(folder / f"{name}.mp4", frames, fps=12)
    Street(6, 160, 96, 1, 10).write(folder / "labels.mp4", "labels")
    return {path.stem: path for path in folder.iterdir()}


def test_photographed_footage_is_seen_as_it_is(films: dict[str, Path]) -> None:
    facts = glance([films["one"]], [films["same room"]])
    for side in (facts.a, facts.b):
        assert (side.width, side.height, side.fps, side.frames) == (128, 96, 12, 12)
        assert not any((side.labels, side.street_labels, side.grey, side.extracted))


def test_label_maps_in_lossy_video_are_known_by_their_few_colours(films: dict[str, Path]) -> None:
    facts = glance([films["labels"]], [films["one"]])
    assert facts.a.labels
    assert facts.a.street_labels
    assert not facts.b.labels


def test_masks_are_label_maps_but_not_the_streets(tmp_path: Path) -> None:
    for index in range(5):
        mask = np.zeros((40, 60, 3), np.uint8)
        mask[10:30, 5 * index : 5 * index + 20] = 255
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), mask)
    side = glance([tmp_path], [tmp_path]).a
    assert side.labels
    assert side.grey
    assert not side.street_labels
    assert side.frames == 5


def test_the_smallest_source_gives_the_size_and_all_are_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, (height, width), count in (("big", (64, 96), 10), ("small", (48, 32), 6)):
        write_video(tmp_path / f"{name}.mp4", random.integers(0, 255, (count, height, width, 3), np.uint8), fps=10)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    side = glance([tmp_path], [tmp_path / "big.mp4"]).a
    assert (side.width, side.height, side.fps) == (32, 48, 10)
    assert side.frames == 16  # of three sources, two of which can be read: ⅔ of 3 × 8


def test_a_long_video_is_seen_to_its_end(tmp_path: Path) -> None:
    """Its first frames have colour, the others none."""
    colour, grey = np.zeros((2, 32, 32, 3), np.uint8)
    colour[:16, :, 0] = grey[:16] = 200
    count = 3 * SHORT
    write_video(tmp_path / "long.mp4", ((grey if index > 20 else colour) for index in range(count)), fps=25)
    side = glance([tmp_path / "long.mp4"], [tmp_path / "long.mp4"]).a
    assert side.frames == count
    assert side.grey


def test_extracted_frames_are_taken_as_they_are(films: dict[str, Path], tmp_path: Path) -> None:
    extract([films["one"]], tmp_path / "a", ExtractSettings(short_side=48), workers=1)
    assert is_extracted(tmp_path / "a")
    assert not is_extracted(films["one"].parent)
    facts = glance([tmp_path / "a"], [films["same room"]])
    assert facts.a.extracted
    assert (facts.a.width, facts.a.height, facts.a.frames) == (64, 48, 12)
    assert facts.a.fps == pytest.approx(12, rel=0.01)


def test_footage_that_cannot_be_read_is_said(tmp_path: Path, films: dict[str, Path]) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(FootageError, match=r"broken\.mp4"):
        glance([films["one"]], [tmp_path / "broken.mp4"])
    with pytest.raises(FootageError, match="there is no file or folder"):
        glance([tmp_path / "absent"], [films["one"]])


def test_real_footage_is_no_label_map_and_its_masks_are(real_footage: Path) -> None:
    facts = glance([real_footage / "signers/orange"], [real_footage / "masks/camel/masks"])
    assert not facts.a.labels
    assert facts.b.labels
