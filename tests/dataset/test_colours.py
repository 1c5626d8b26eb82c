"""Label maps and grey films are recognised by their pixels, as PNG and in lossy video."""

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import Appearance
from recycle.dataset.colours import are_empty, are_label_maps, are_of_the_street, have_no_colours
from recycle.dataset.glance import glance
from recycle.street.film import Street

Pixels = NDArray[np.uint8]


def film(look: Appearance, height: int = 96) -> list[Pixels]:
    """12 frames of six streets."""
    width = height * 5 // 3 // 2 * 2
    return [frame for seed in range(1, 7) for frame in Street(seed, width, height, 2, 1).frames(look)]


def lossy(frames: list[Pixels], folder: Path) -> list[Pixels]:
    """What is left after H.264 with much loss."""
    with av.open(str(folder / "lossy.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=12, options={"crf": "28"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(folder / "lossy.mp4")) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def without_colours(frames: list[Pixels]) -> list[Pixels]:
    return [np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, 2) for frame in frames]


@pytest.mark.parametrize("height", [48, 96])
def test_the_streets_labels_are_recognised_small_and_in_lossy_video(height: int, tmp_path: Path) -> None:
    drawn = film("labels", height)
    for frames in (drawn, lossy(drawn, tmp_path)):
        assert are_label_maps(frames)
        assert are_of_the_street(frames)
        assert not have_no_colours(frames)


@pytest.mark.parametrize("look", ["day", "rain", "snow", "night", "thermal"])
def test_no_other_appearance_of_the_street_is_a_label_map(look: Appearance, tmp_path: Path) -> None:
    """The thermal appearance has large flat areas and few colours, but is not a label map."""
    lit = film(look)
    for frames in (lit, lossy(lit, tmp_path)):
        assert not are_label_maps(frames)
        assert have_no_colours(frames) is (look == "thermal")


def test_masks_are_label_maps_but_not_the_streets(tmp_path: Path) -> None:
    masks = [np.zeros((40, 60, 3), np.uint8) for _ in range(5)]
    for index, mask in enumerate(masks):
        mask[10:30, 5 * index : 5 * index + 20] = 255
    for frames in (masks, lossy(masks, tmp_path)):
        assert are_label_maps(frames)
        assert not are_of_the_street(frames)
        assert have_no_colours(frames)


def test_darkness_and_noise_are_not_label_maps() -> None:
    dark = [frame // 6 for frame in film("night")]
    assert not are_label_maps(dark)
    assert not have_no_colours(dark)
    assert not are_label_maps([np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)])


def boxed(frame: Pixels) -> Pixels:
    return np.pad(frame[14:-14], ((14, 14), (0, 0), (0, 0)))


def cut_out(frame: Pixels, colour: int) -> Pixels:
    """The middle of a frame before a background of one colour."""
    out = np.full_like(frame, colour)
    out[20:80, 40:120] = frame[20:80, 40:120]
    return out


def test_bars_leaders_and_plain_backgrounds_do_not_make_a_film_a_label_map(tmp_path: Path) -> None:
    day = film("day")
    with_bars, leader = [boxed(frame) for frame in day], [np.zeros_like(frame) for frame in day[:6]]
    on_white, on_black = ([cut_out(frame, colour) for frame in day] for colour in (255, 0))
    for frames in (with_bars, [*leader, *day], on_white, on_black):
        assert not are_label_maps(frames)
        assert not are_label_maps(lossy(frames, tmp_path))
    drawn = film("labels")
    assert are_label_maps([boxed(frame) for frame in drawn])
    assert are_label_maps([*leader, *drawn])


def test_lines_on_a_background_are_label_maps() -> None:
    skeletons = []
    for step in range(6):
        skeletons.append(np.zeros((96, 160, 3), np.uint8))
        for limb in range(5):
            colour = (255, 50 * limb, 200 - 40 * limb)
            cv2.line(skeletons[-1], (20 + 25 * limb, 10 + step), (80, 90 - 5 * limb), colour, 3)
    assert are_label_maps(skeletons)


def test_a_film_of_one_colour_is_empty_and_no_label_map() -> None:
    for colour in (0, 128, 255):
        frames = [np.full((48, 64, 3), colour, np.uint8)] * 3
        assert are_empty(frames)
        assert not are_label_maps(frames)
    assert not are_empty([*frames, *film("night")[:1]])


def test_a_few_frames_with_colours_do_not_make_a_film_colourful() -> None:
    colours = film("day")
    assert have_no_colours([*colours[:4], *without_colours(colours)[4:]])
    assert not have_no_colours([*colours[:8], *without_colours(colours)[8:]])


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("signers/orange", False),
        ("driving/highway", False),
        ("driving/sim_mountain", False),
        ("flower/flower.mp4", False),
        ("masks/camel/frames", False),
        ("masks/camel/masks", True),
        ("masks/cows/masks", True),
    ],
)
def test_real_footage_is_classified_with_and_without_its_colours(
    name: str, labels: bool, real_footage: Path, tmp_path: Path
) -> None:
    frames = [glimpse.middle for glimpse in glance([real_footage / name]).glimpses]
    shape = min(frame.shape for frame in frames)
    frames = [frame[: shape[0] // 2 * 2, : shape[1] // 2 * 2].copy() for frame in frames[::3]]
    for each in (frames, without_colours(frames), lossy(without_colours(frames), tmp_path)):
        assert are_label_maps(each) is labels
    assert have_no_colours(frames) is labels
    assert have_no_colours(lossy(without_colours(frames), tmp_path))
