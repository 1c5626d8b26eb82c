"""Frames are handed over as the planes in which they are coded."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from recycle.video.colour import EXACT, RgbConverter
from recycle.video.decode import VideoReader
from recycle.video.frame import Pixels
from recycle.video.planes import PlaneFormat, PlaneReader, Sited, plane_format
from recycle.video.source import Reading
from recycle.video.turn import UPRIGHT, Turn
from tests.video.conftest import moving, write

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
POSITIONS = {
    "left": (0.25, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.25, 0.25),
    "top": (0.5, 0.25),
    "bottomleft": (0.25, 0.75),
    "bottom": (0.5, 0.75),
}


def coded(pixels: Pixels, name: str = "yuv420p", *, place: str = "") -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = VideoReformatter().reformat(rgb, format=name, dst_colorspace=Colorspace.ITU709, interpolation=EXACT)
    if place:
        graph = Graph()
        begin = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
        nodes = begin, graph.add("setparams", f"chroma_location={place}"), graph.add("buffersink")
        graph.link_nodes(*nodes).configure()
        graph.vpush(frame)
        frame = graph.vpull()
    frame.colorspace, frame.color_range = int(Colorspace.ITU709), int(ColorRange.MPEG)
    return frame


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def form_of(frame: av.VideoFrame) -> PlaneFormat:
    form = plane_format(frame, UPRIGHT)()
    assert form is not None
    return form


@pytest.mark.parametrize(("place", "expected"), POSITIONS.items())
@pytest.mark.parametrize("side", [16, 32, 64])
def test_the_position_of_chroma_is_that_of_the_tag(place: str, expected: tuple[float, float], side: int) -> None:
    frame = coded(noise(side, side), place=place)
    before = frame.to_ndarray()
    assert form_of(frame).chroma == expected
    np.testing.assert_array_equal(frame.to_ndarray(), before)


@pytest.mark.parametrize(
    ("suffix", "codec", "expected"), [("mp4", "libx264", POSITIONS["left"]), ("webm", "libvpx-vp9", (0.5, 0.5))]
)
def test_a_files_chroma_is_where_players_assume_it(
    tmp_path: Path, suffix: str, codec: str, expected: tuple[float, float]
) -> None:
    path = write(tmp_path / f"film.{suffix}", moving(2), codec=codec, time_base=Fraction(1, 1000))
    with VideoReader(path) as reader:
        assert reader.planes is not None
        assert reader.planes.chroma == expected


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "nv12"])
def test_planes_are_the_samples_of_the_frame(name: str) -> None:
    frame = coded(noise(36, 64), name)
    planes = PlaneReader(form_of(frame), RgbConverter())(frame)
    assert planes.shape == (54, 64)
    expected = frame.reformat(format="yuv420p").to_ndarray() if name == "nv12" else frame.to_ndarray()
    np.testing.assert_array_equal(planes, expected)


@pytest.mark.parametrize("matrix", [3, 8, 10, 14])
def test_a_film_whose_matrix_swscale_refuses_is_read(tmp_path: Path, matrix: int) -> None:
    """Such as YCgCo (8) and BT.2020 with constant luminance (10), of ITU-T H.273."""
    plain, tagged = write(tmp_path / "plain.mp4", moving(2), tagged=False), tmp_path / "tagged.mp4"
    retag = ["-c", "copy", "-bsf:v", f"h264_metadata=matrix_coefficients={matrix}"]
    subprocess.run([FFMPEG, "-v", "error", "-i", plain, *retag, tagged], check=True)
    with VideoReader(tagged) as reader, VideoReader(plain) as untagged:
        assert reader.planes is not None
        assert untagged.planes is not None
        assert reader.planes.chroma == untagged.planes.chroma
        assert [frame.pixels.shape for frame in reader] == [(48, 64, 3)] * 2
        given = zip(reader.read(), untagged.read(), strict=True)
        assert all(np.array_equal(one.hand_over().pixels, other.hand_over().pixels) for one, other in given)


def test_a_tag_that_says_what_was_assumed_changes_nothing() -> None:
    untagged, tagged = coded(noise(36, 64)), coded(noise(36, 64))
    untagged.colorspace, untagged.color_range = 2, 0  # BT.601 and limited range are assumed
    tagged.colorspace, tagged.color_range = int(Colorspace.ITU601), int(ColorRange.MPEG)
    np.testing.assert_array_equal(PlaneReader(form_of(untagged), RgbConverter())(tagged), tagged.to_ndarray())


@pytest.mark.parametrize("place", POSITIONS)
def test_a_converted_frame_has_its_chroma_where_that_of_the_first_is(place: str) -> None:
    wave = 128 + 100 * np.sin(np.arange(64) / 2)
    picture = np.stack([np.add.outer(wave[:36], wave) / 2, np.full((36, 64), 100), np.full((36, 64), 90)], 2)
    rgb = picture.astype(np.uint8)
    made = PlaneReader(form_of(coded(rgb, place=place)), RgbConverter())(coded(rgb, "yuv444p"))

    def expected(chroma: tuple[float, float]) -> NDArray[np.int64]:
        tagged = Sited(chroma)(av.VideoFrame.from_ndarray(rgb, format="rgb24"))
        frame = VideoReformatter().reformat(
            tagged,
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )
        return np.asarray(frame.to_ndarray()[36:], np.int64)

    errors = {name: np.abs(made[36:] - expected(chroma)).mean() for name, chroma in POSITIONS.items()}
    assert min(errors, key=lambda name: errors[name]) == place
    assert errors[place] < 0.8 * sorted(errors.values())[1], errors


def test_a_frame_of_another_kind_is_converted_to_the_first_ones(tmp_path: Path) -> None:
    picture = moving(1)[0]
    first = coded(picture)
    reader = PlaneReader(form_of(first), RgbConverter())
    height, width = picture.shape[:2]
    for other in (
        coded(picture, "yuv444p"),
        coded(picture, "yuv420p10le"),
        VideoReformatter().reformat(coded(picture, "yuv444p"), width=2 * width, height=2 * height),
    ):
        planes = reader(other)
        assert planes.shape == (height * 3 // 2, width)
        assert np.abs(planes.astype(int) - reader(first)).mean() < 1
    wrong = coded(picture)
    wrong.colorspace = int(Colorspace.BT2020)  # the same samples with another meaning
    assert np.abs(reader(wrong).astype(int) - reader(first)).mean() > 1.5


def test_what_has_no_such_planes_is_read_as_rgb(tmp_path: Path) -> None:
    for name, pixel_format, size in (("deep", "yuv420p10le", (48, 64)), ("full", "yuv444p", (48, 64))):
        path = write(tmp_path / f"{name}.mp4", [noise(*size)] * 2, pixel_format=pixel_format)
        with VideoReader(path) as reader:
            assert reader.planes is None
    odd = write(tmp_path / "odd.mkv", [noise(49, 63)] * 2, codec="ffv1", pixel_format="yuv420p", options={})
    with VideoReader(odd) as reader:
        assert reader.planes is None
    plain = write(tmp_path / "plain.mp4", [noise(48, 64)] * 2)
    with VideoReader(plain) as reader, VideoReader(plain, Reading(depth=16)) as deep:
        assert reader.planes is not None
        assert deep.planes is None
        reader.want(depth=16, alpha=False)
        assert reader.planes is None


def test_frames_of_a_turned_film_are_handed_over_as_stored(tmp_path: Path) -> None:
    path = write(tmp_path / "turned.mp4", [noise(48, 64)] * 2, turn=(90, False, False))
    with VideoReader(path) as reader:
        assert (reader.info.width, reader.info.height) == (48, 64)
        form = reader.planes
        assert form is not None
        assert (form.width, form.height, form.turn) == (64, 48, Turn(transpose=True, flip_y=True))
        frames = [frame.hand_over() for frame in reader.read()]
    assert [frame.pixels.shape for frame in frames] == [(72, 64)] * 2
