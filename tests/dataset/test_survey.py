"""The survey compares both domains before training, from videos, images and extracted frames."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import Appearance, ExtractSettings
from recycle.dataset.extract import extract
from recycle.dataset.shots import Shot, find_shots
from recycle.dataset.survey import Side, Survey, survey, survey_shots
from recycle.networks.features import FeatureNetwork, open_network
from recycle.street.film import Street
from tests.video.conftest import write

Pixels = NDArray[np.uint8]
PLAIN = Side(160, 96, 12, 720)


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
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos of streets, of several seeds."""
    folder = tmp_path_factory.mktemp("films")
    looks: tuple[tuple[str, Appearance, int], ...] = (
        ("day", "day", 1), ("other day", "day", 4), ("night", "night", 7), ("labels", "labels", 10),
        ("thermal", "thermal", 13),
    )  # fmt: skip
    for name, look, seed in looks:
        frames = [frame for one in range(seed, seed + 3) for frame in film(one, look, 12)]
        write(folder / f"{name}.mp4", frames)
    return {file.stem: file for file in folder.iterdir()}


def test_the_gap_grows_from_the_same_to_night_to_labels(films: dict[str, Path], eyes: FeatureNetwork) -> None:
    day = [films["day"]]
    same, night, labels = (survey(day, [films[b]], eyes=eyes) for b in ("other day", "night", "labels"))
    assert 0 <= same.gap < 0.15 < night.gap < labels.gap <= 1
    assert same.aligned > labels.aligned
    assert [found.b.labels for found in (same, night, labels)] == [False, False, True]
    assert labels.b.street_labels
    assert not labels.a.labels
    assert not any((night.a.grey, night.a.still, night.b.grey, night.b.still))
    assert (night.b.frames, night.b.width, night.b.height, night.b.fps) == (36, 160, 96, 25)
    assert night == survey(day, [films["night"]], eyes=eyes)


def test_extracted_frames_give_the_same_survey_as_the_video(
    films: dict[str, Path], tmp_path: Path, eyes: FeatureNetwork
) -> None:
    for name in ("day", "labels"):
        extract([films[name]], tmp_path / name, ExtractSettings(), workers=1)
    before = survey([films["day"]], [films["labels"]], eyes=eyes)
    after = survey([tmp_path / "day"], [tmp_path / "labels"], eyes=eyes)
    assert after == survey_shots(find_shots(tmp_path / "day"), find_shots(tmp_path / "labels"), eyes=eyes)
    assert after.gap == pytest.approx(before.gap, abs=0.05)
    assert after.aligned == pytest.approx(before.aligned, abs=0.05)
    assert after.a.extracted
    assert not before.a.extracted
    assert replace(after.b, extracted=False) == replace(before.b, fps=after.b.fps, duplicates=after.b.duplicates)


def test_a_layout_turned_upside_down_is_not_aligned(tmp_path: Path, eyes: FeatureNetwork) -> None:
    frames = film(1, "day", 24)
    own, turned = kept(tmp_path / "a", frames), kept(tmp_path / "b", [frame[::-1].copy() for frame in frames])
    assert survey_shots(own, own, eyes=eyes).aligned == pytest.approx(1, abs=1e-4)
    assert survey_shots(own, turned, eyes=eyes).aligned < 0.3


def test_a_still_camera_grey_pictures_and_repeated_frames_are_seen(tmp_path: Path, eyes: FeatureNetwork) -> None:
    room, frames = film(1, "day", 1)[0], []
    for number in range(30):  # something small moves before a scene that does not
        frame = room.copy()
        cv2.circle(frame, (20 + 4 * number, 60), 8, (200, 30, 30), -1)
        frames.append(frame)
    grey = [np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for frame in film(2, "day", 15)]
    slow = [frame for frame in grey for _ in range(3)]
    found = survey_shots(kept(tmp_path / "a", frames), kept(tmp_path / "b", slow), eyes=eyes)
    assert (found.a.still, found.b.still) == (True, False)
    assert (found.a.grey, found.b.grey) == (False, True)
    assert found.a.duplicates == 0
    assert found.b.duplicates > 0.5
    assert not found.labelled
    words = "\n".join(found.in_words())
    assert "the camera of domain a is fixed" in words
    assert "domain b has no colours" in words
    assert "frames of domain b repeat the previous one" in words


def test_thermal_images_are_told_from_a_film_without_colours(films: dict[str, Path], eyes: FeatureNetwork) -> None:
    day = [films["day"]]
    thermal = survey(day, [films["thermal"]], eyes=eyes)
    assert thermal.other_sensor
    assert not thermal.photographs
    assert not thermal.labelled
    assert "domain b may be of another kind of sensor, such as a thermal camera" in "\n".join(thermal.in_words())
    grey = films["other day"].with_name("grey.mp4")
    random = np.random.default_rng(0)  # grain; without it, the painted street has as few greys as label maps
    lightness = [cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) + random.normal(0, 4, f.shape[:2]) for f in film(4, "day", 36)]
    write(grey, [np.repeat(f.clip(0, 255).astype(np.uint8)[..., None], 3, 2) for f in lightness])
    for a, b in ((day, [grey]), ([grey], day)):
        found = survey(a, b, eyes=eyes)
        assert found.a.grey != found.b.grey
        assert found.photographs
        assert found.grey_gap is not None
        assert found.grey_gap < 0.4 < found.gap
    assert survey(day, [films["night"]], eyes=eyes).grey_gap is None


def test_a_folder_of_images_is_surveyed_as_it_lies(tmp_path: Path, eyes: FeatureNetwork) -> None:
    kept(tmp_path / "a", film(1, "day", 12))
    kept(tmp_path / "b", film(2, "labels", 12))
    found = survey([tmp_path / "a"], [tmp_path / "b"], eyes=eyes)
    assert (found.a.frames, found.a.labels, found.b.labels) == (12, False, True)


def test_masks_of_real_footage_are_label_maps_and_the_footage_is_not(real_footage: Path, eyes: FeatureNetwork) -> None:
    frames, masks = (real_footage / "masks" / "camel" / kind for kind in ("frames", "masks"))
    found = survey([frames], [masks], eyes=eyes)
    assert (found.a.labels, found.b.labels, found.b.street_labels) == (False, True, False)
    assert (found.a.grey, found.b.grey, found.a.still, found.b.still) == (False, True, False, False)
    assert found.gap > 0.9
    assert not found.unrelated  # masks have a layout in common with what they are of


def test_single_frames_can_be_surveyed(tmp_path: Path, eyes: FeatureNetwork) -> None:
    one = kept(tmp_path / "a", film(1, "day", 1))
    found = survey_shots(one, one, eyes=eyes)
    assert (found.gap, found.a.still, found.a.duplicates) == (0, False, 0)
    words = found.in_words()
    assert words[0] == "how far apart the domains are cannot be measured: domain a has a single frame"
    assert "gap" not in words[0]


def test_black_bars_are_seen_and_named_before_the_footage_is_extracted(tmp_path: Path, eyes: FeatureNetwork) -> None:
    frames = film(1, "day", 2)
    boxed = [np.pad(frame[12:-12], ((12, 12), (0, 0), (0, 0))) for frame in frames]
    found = survey_shots(kept(tmp_path / "a", boxed), kept(tmp_path / "b", frames), eyes=eyes)
    assert found.a.bars == pytest.approx((0.25, 0), abs=0.02)
    assert found.b.bars == (0, 0)
    assert "black bars" not in str(found.in_words())
    (line,) = (line for line in replace(found, a=replace(found.a, extracted=False)).in_words() if "black bars" in line)
    assert line.startswith("domain a has black bars, which count in the gap")


def test_messages_match_the_numbers() -> None:
    near, far = (Survey(PLAIN, PLAIN, gap=gap, aligned=aligned) for gap, aligned in ((0.19, 0.67), (0.85, 0.02)))
    assert near.in_words() == [
        "the domains are a little apart (gap 0.19; 1 is unrelated footage) and very similar in layout (aligned 0.67)"
    ]
    assert far.in_words()[0].startswith(
        "the domains are very far apart (gap 0.85; 1 is unrelated footage) and not similar"
    )
    assert far.in_words()[1].startswith("footage this different may have no true counterparts")
    masks = replace(PLAIN, labels=True, grey=True)
    assert Survey(PLAIN, masks, gap=0.95, aligned=0.02).in_words()[1:] == [
        "domain b holds label maps: few colours with sharp edges",
        "domain b has no colours; translating it must invent them",
    ]
    assert Survey(masks, masks, gap=0.1, aligned=0.6).in_words()[2] == "domain a has no colours"
    black = replace(PLAIN, empty=True, grey=True, still=True)
    assert Survey(black, PLAIN, gap=0.9, aligned=0.3).in_words()[1:] == [
        "each frame of domain a that was looked at shows one colour alone: check the footage (levels go from 0 to 255)"
    ]


@pytest.mark.parametrize(
    ("a", "b", "unrelated"),
    [
        ("signers/orange", "driving/highway", True),
        ("driving/sim_lake", "driving/highway", False),
        ("masks/cows/frames", "masks/camel/frames", False),
    ],
)
def test_real_footage_of_other_things_in_other_places_is_unrelated(
    a: str, b: str, unrelated: bool, real_footage: Path, eyes: FeatureNetwork
) -> None:
    assert survey([real_footage / a], [real_footage / b], eyes=eyes).unrelated is unrelated
