"""How the sides relate is seen before training: in real frames, extracted and read as training reads them."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recycle.training.survey import Survey, look_at_sides

from recycle.config import Appearance, ExtractSettings
from recycle.footage.clips import Shot, find_shots
from recycle.footage.extract import extract
from recycle.footage.street import Street
from recycle.networks.features import FeatureNetwork, open_network
from tests.footage.conftest import write

Pixels = NDArray[np.uint8]
FOOTAGE = Path(__file__).parents[3] / "shared" / "footage" / "masks"


@pytest.fixture(scope="module")
def eyes() -> FeatureNetwork:
    return open_network("lite0")


def kept(folder: Path, frames: Iterable[Pixels]) -> list[Shot]:
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:04d}.png"), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    height, width = frame.shape[:2]
    return [Shot(tuple(sorted(folder.iterdir())), width, height)]


def film(seed: int, look: Appearance, frames: int = 30) -> list[Pixels]:
    return list(Street(seed, 160, 96, 10, frames / 10).frames(look))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shot]]:
    """Streets, of several seeds, that are extracted from videos as they are for training."""
    folder = tmp_path_factory.mktemp("films")
    found = {}
    films: tuple[tuple[str, Appearance, int], ...] = (
        ("day", "day", 1), ("other day", "day", 4), ("night", "night", 7), ("labels", "labels", 10)
    )  # fmt: skip
    for name, look, seed in films:
        frames = [frame for one in range(seed, seed + 3) for frame in film(one, look)]
        write(folder / f"{name}.mp4", frames)
        extract([folder / f"{name}.mp4"], folder / name, ExtractSettings(), workers=1)
        found[name] = find_shots(folder / name)
    return found


def test_the_gap_grows_from_the_same_to_night_to_labels(sides: dict[str, list[Shot]], eyes: FeatureNetwork) -> None:
    same, night, labels = (look_at_sides(sides["day"], sides[b], eyes=eyes) for b in ("other day", "night", "labels"))
    assert 0 <= same.gap < 0.15 < night.gap < labels.gap <= 1
    assert same.aligned > labels.aligned
    assert (same.labels, night.labels, labels.labels) == (None, None, "b")
    assert look_at_sides(sides["labels"], sides["day"], eyes=eyes).labels == "a"
    assert night.grey == night.still == (False, False)
    assert all(0 < motion < 0.1 for motion in night.motion)
    assert night.frames == (90, 90)
    assert night.size == ((96, 160), (96, 160))
    assert night == look_at_sides(sides["day"], sides["night"], eyes=eyes)


def test_a_layout_turned_upside_down_is_not_aligned(tmp_path: Path, eyes: FeatureNetwork) -> None:
    frames = film(1, "day", 24)
    own, turned = kept(tmp_path / "a", frames), kept(tmp_path / "b", [frame[::-1].copy() for frame in frames])
    assert look_at_sides(own, own, eyes=eyes).aligned == pytest.approx(1, abs=1e-4)
    assert look_at_sides(own, turned, eyes=eyes).aligned < 0.3


def test_a_still_camera_grey_pictures_and_repeated_frames_are_seen(tmp_path: Path, eyes: FeatureNetwork) -> None:
    room, frames = film(1, "day", 1)[0], []
    for number in range(30):  # something small moves before a scene that does not
        frame = room.copy()
        cv2.circle(frame, (20 + 4 * number, 60), 8, (200, 30, 30), -1)
        frames.append(frame)
    grey = [np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for frame in film(2, "day", 15)]
    slow = [frame for frame in grey for _ in range(3)]
    found = look_at_sides(kept(tmp_path / "a", frames), kept(tmp_path / "b", slow), eyes=eyes)
    assert found.still == (True, False)
    assert found.grey == (False, True)
    assert found.duplicates[0] == 0
    assert found.duplicates[1] > 0.5
    assert found.labels is None
    words = "\n".join(found.in_words())
    assert "the camera of domain a stands still" in words
    assert "domain b has no colours" in words
    assert "frames of domain b repeat the one before" in words


def test_masks_of_real_footage_are_label_maps_and_the_footage_is_not(eyes: FeatureNetwork) -> None:
    if not FOOTAGE.is_dir():
        pytest.skip("the footage is absent")
    masks, frames = (
        [Shot(tuple(sorted((FOOTAGE / "camel" / kind).iterdir())), 427, 240)] for kind in ("masks", "frames")
    )
    found = look_at_sides(frames, masks, eyes=eyes)
    assert (found.labels, found.grey, found.still) == ("b", (False, True), (False, False))
    assert found.gap > 0.9


def test_darkness_is_no_label_map(tmp_path: Path, eyes: FeatureNetwork) -> None:
    dark = [frame // 6 for frame in film(1, "night", 20)]
    assert look_at_sides(kept(tmp_path / "a", dark), kept(tmp_path / "b", film(2, "day", 20)), eyes=eyes).labels is None


def test_single_frames_are_no_obstacle(tmp_path: Path, eyes: FeatureNetwork) -> None:
    one = kept(tmp_path / "a", film(1, "day", 1))
    found = look_at_sides(one, one, eyes=eyes)
    assert (found.gap, found.variety, found.motion, found.still) == (0, (0, 0), (0, 0), (False, False))


def test_words_follow_the_numbers() -> None:
    plain: dict[str, object] = {
        "variety": (0.1, 0.1), "labels": None, "grey": (False, False), "still": (False, False),
        "motion": (0.01, 0.01), "duplicates": (0.0, 0.0), "frames": (9, 9), "size": ((9, 9), (9, 9)),
    }  # fmt: skip
    near, far = (Survey(gap=gap, aligned=al, **plain) for gap, al in ((0.19, 0.67), (0.85, 0.02)))  # type: ignore[arg-type]
    assert near.in_words() == [
        "the sides are a little apart (gap 0.19; 1 is unrelated footage) and much alike in layout (aligned 0.67)"
    ]
    assert far.in_words()[0].startswith("the sides are very far apart (gap 0.85; 1 is unrelated footage) and not alike")
    assert far.in_words()[1].startswith("footage so different may have no true counterparts")
