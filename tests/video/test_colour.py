"""Frames of every kind become the RGB that FFmpeg makes of them."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.video.colour import EXACT, RgbConverter

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "yuv440p",
    "yuv410p",
    "yuva420p",
    "nv12",
    "yuv420p10le",
    "p010le",
]


@pytest.mark.parametrize("name", [*FORMATS, "yuyv422", "rgb24", "gbrp", "gray", "ya8", "rgba"])
@settings(max_examples=20)
@given(
    size=st.tuples(st.integers(2, 150), st.integers(40, 90)),
    goal=st.one_of(st.none(), st.tuples(st.integers(1, 150), st.integers(1, 90))),
    seed=st.integers(0, 99),
)
def test_rgb_is_what_swscale_writes_as_packed_pixels(
    name: str, size: tuple[int, int], goal: tuple[int, int] | None, seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    frame = VideoReformatter().reformat(av.VideoFrame.from_ndarray(noise, format="rgb24"), format=name)
    width, height = goal or size
    full = name in ("yuvj420p", "rgb24", "gbrp", "gray", "ya8", "rgba")
    expected = VideoReformatter().reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
        threads=1,
    )
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    pixels = RgbConverter(threads=False)(frame, width=width, height=height)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, expected.to_ndarray())


@pytest.mark.parametrize("name", FORMATS)
def test_rough_shrinking_changes_smooth_pictures_by_less_than_a_grey_level_on_average(name: str) -> None:
    across, down = np.meshgrid(np.linspace(0, 1, 320), np.linspace(0, 1, 180))
    picture = np.rint(np.stack([across, down, 1 - across * down], axis=2) * 200 + 25).astype(np.uint8)
    frame = VideoReformatter().reformat(av.VideoFrame.from_ndarray(picture, format="rgb24"), format=name)
    exact, rough = (
        RgbConverter(threads=False)(frame, width=64, height=36, shrink=True, rough=rough).astype(int)
        for rough in (False, True)
    )
    assert np.abs(rough - exact).mean() < 1
