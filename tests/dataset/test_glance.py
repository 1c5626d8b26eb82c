"""A glance at footage gives its size, rate and length, and samples a few evenly spread frames."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from recycle.config import ExtractSettings
from recycle.dataset.extract import extract
from recycle.dataset.glance import CROP, FRAMES, LINES, SHORT, WIDEST, glance
from recycle.dataset.manifest import is_extracted
from recycle.errors import FootageError
from recycle.video.encode import write_video
from tests.video.conftest import moving, write


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("films") / "film.mp4"
    write_video(file, moving(12, 128, 96), fps=12)
    return file


def test_a_film_is_described_correctly(film: Path) -> None:
    seen = glance([film])
    assert (seen.width, seen.height, seen.fps, seen.frames, seen.extracted) == (128, 96, 12, 12, False)
    assert len(seen.glimpses) == 12
    assert [glimpse.after is None for glimpse in seen.glimpses] == [False] * 11 + [True]
    for before, after in pairwise(seen.glimpses):
        assert before.after is not None
        np.testing.assert_array_equal(before.after, after.whole)


def test_samples_of_large_frames_are_small(tmp_path: Path) -> None:
    """The middle keeps its own pixels, the whole is smaller, and a very wide frame is not kept at its full width."""
    frame = np.zeros((700, 4000, 3), np.uint8)
    frame[250:450, 1900:2100] = (10, 200, 30)
    cv2.imwrite(str(tmp_path / "000.png"), frame)
    (glimpse,) = glance([tmp_path]).glimpses
    assert glimpse.middle.shape == (CROP, CROP, 3)
    np.testing.assert_array_equal(glimpse.middle[CROP // 2, CROP // 2], (30, 200, 10))
    np.testing.assert_array_equal(glimpse.middle[0, 0], 0)
    assert glimpse.whole.shape == (LINES, WIDEST * LINES, 3)
    assert glimpse.after is None


def test_a_folder_of_images_is_sampled_to_its_end(tmp_path: Path) -> None:
    for index in range(100):
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), np.full((20, 30, 3), 2 * index, np.uint8))
    seen = glance([tmp_path])
    assert seen.frames == 100
    assert len(seen.glimpses) == FRAMES
    levels = [int(glimpse.whole.mean()) // 2 for glimpse in seen.glimpses]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 99)
    assert all(int(g.after.mean()) == int(g.whole.mean()) + 2 for g in seen.glimpses[:-1] if g.after is not None)


def test_the_smallest_source_gives_the_size_and_all_are_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, (height, width), count in (("big", (64, 96), 10), ("small", (48, 32), 6)):
        write_video(tmp_path / f"{name}.mp4", random.integers(0, 255, (count, height, width, 3), np.uint8), fps=10)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    side = glance([tmp_path])
    assert (side.width, side.height, side.fps) == (32, 48, 10)
    assert side.frames == 16  # of three sources, two of which can be read: ⅔ of 3 × 8


def test_a_long_video_is_sampled_to_its_end_without_decoding_all(tmp_path: Path) -> None:
    """Its first frames are bright, the others dark."""
    count = 3 * SHORT
    light, dark = np.full((32, 32, 3), 200, np.uint8), np.zeros((32, 32, 3), np.uint8)
    write_video(tmp_path / "long.mp4", ((dark if index > 20 else light) for index in range(count)), fps=25)
    seen = glance([tmp_path / "long.mp4"])
    assert seen.frames == count
    assert 1 < len(seen.glimpses) <= FRAMES
    assert [glimpse.whole.mean() > 100 for glimpse in seen.glimpses] == [True] + [False] * (len(seen.glimpses) - 1)
    assert all(glimpse.after is not None for glimpse in seen.glimpses)


def test_a_short_matroska_file_gives_no_more_frames_than_others(tmp_path: Path) -> None:
    """Its container does not state the number of frames."""
    write(tmp_path / "film.mkv", moving(200))
    seen = glance([tmp_path / "film.mkv"])
    assert seen.frames == pytest.approx(200, abs=2)
    assert FRAMES <= len(seen.glimpses) <= FRAMES + 2


def test_extracted_frames_are_taken_as_they_are(film: Path, tmp_path: Path) -> None:
    extract([film], tmp_path / "a", ExtractSettings(short_side=48), workers=1)
    assert is_extracted(tmp_path / "a")
    assert not is_extracted(film.parent)
    seen = glance([tmp_path / "a"])
    assert seen.extracted
    assert (seen.width, seen.height, seen.frames) == (64, 48, 12)
    assert seen.fps == pytest.approx(12, rel=0.01)
    assert len(seen.glimpses) == 12


def test_frames_of_an_extraction_that_was_killed_do_not_count_as_extracted(film: Path, tmp_path: Path) -> None:
    extract([film], tmp_path / "a", ExtractSettings(), workers=1)
    (folder,) = (tmp_path / "a").iterdir()
    folder.rename(folder.with_name(f".{folder.name}.123.partial"))
    assert not is_extracted(tmp_path / "a")


def test_unreadable_footage_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    with pytest.raises(FootageError, match=r"broken\.mp4"):
        glance([tmp_path / "broken.mp4"])
    with pytest.raises(FootageError, match="there is no file or folder"):
        glance([tmp_path / "absent"])


def test_footage_that_becomes_unreadable_after_some_frames_is_an_error(tmp_path: Path) -> None:
    """The headers of a picture on its side pass, because a camera may have turned it."""
    for index in range(6):
        upright = np.full((20, 30, 3), 9, np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), upright.transpose(1, 0, 2) if index == 5 else upright)
    with pytest.raises(FootageError, match=r"must have the same size.*5\.png"):
        glance([tmp_path])
