"""A probe states the facts and everything that needs care."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.video.describe import describe
from recycle.video.encode import write_video
from recycle.video.probe import VideoInfo, probe

Frames = Callable[..., list[NDArray[np.uint8]]]
Make = Callable[..., Path]


def notice(info: VideoInfo, part: str) -> bool:
    return any(part in line for line in info.notices)


def test_a_plain_video_needs_no_care(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    path = make_video(tmp_path / "a.mp4", moving_frames(25), audio=True)
    info = probe(path)
    assert (info.width, info.height, info.rate, info.frames) == (64, 48, 25.0, 25)
    assert (info.rotation, info.sample_aspect_ratio, info.variable_rate) == (0, "1", False)
    assert (info.pixel_format, info.bit_depth, info.interlaced) == ("yuv420p", 8, False)
    assert info.duration_seconds == pytest.approx(1.0)
    assert info.size == path.stat().st_size
    assert sorted((s.type, s.codec) for s in info.streams) == [("audio", "aac"), ("video", "h264")]
    assert (info.colour.matrix, info.colour.range, info.colour.matrix_assumed) == ("bt709", "limited", False)
    assert info.cuts == ()
    assert info.notices == ()


def test_it_is_json(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    info = probe(make_video(tmp_path / "a.mp4", moving_frames(3)))
    assert VideoInfo.model_validate(json.loads(info.model_dump_json())) == info


def test_everything_awkward_is_noticed(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    path = make_video(
        tmp_path / "a.mp4",
        moving_frames(12, 66, 50),
        pts=[500 + i * 40 + (i % 3) * 15 for i in range(12)],
        time_base=Fraction(1, 1000),
        pixel_format="yuv420p10le",
        codec="libx265",
        aspect=Fraction(4, 3),
        turn=(90, False, False),
        tagged=False,
        options={"x265-params": "log-level=none"},
    )
    info = probe(path)
    assert (info.width, info.height, info.rotation, info.bit_depth) == (50, 66, 90, 10)
    assert info.variable_rate
    assert info.start_seconds == pytest.approx(0.5)
    for part in (
        "rotated upright",
        "not square (3/4)",
        "varies",
        "starts at 0.5",
        "10-bit",
        "bt601 is assumed",
    ):
        assert notice(info, part), part
    assert notice(info, "no audio")


def test_full_range_and_odd_sizes(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    frames = moving_frames(3, 65, 48)
    path = make_video(tmp_path / "a.mkv", frames, codec="ffv1", full_range=True, time_base=Fraction(1, 1000))
    info = probe(path)
    assert info.colour.range == "full"
    assert notice(info, "full-range")
    assert notice(info, "odd size 65×48")


def test_interlaced(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    options = {"x264-params": "tff=1", "crf": "20"}
    info = probe(make_video(tmp_path / "a.mp4", moving_frames(5, 64, 64), options=options))
    assert info.interlaced
    assert notice(info, "interlaced")


def test_high_dynamic_range(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    options = {"x264-params": "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"}
    info = probe(make_video(tmp_path / "a.mp4", moving_frames(3), options=options, tagged=False))
    assert (info.colour.transfer, info.colour.primaries, info.colour.matrix) == ("pq", "bt2020", "bt2020")
    assert notice(info, "high dynamic range")


@pytest.mark.parametrize("cuts", [True, False])
def test_cuts_are_times(tmp_path: Path, make_video: Make, moving_frames: Frames, cuts: bool) -> None:
    frames = [f // 4 for f in moving_frames(10)] + [np.full_like(f, 255) - f // 4 for f in moving_frames(10)]
    info = probe(make_video(tmp_path / "a.mp4", frames), cuts=cuts)
    assert info.cuts == ((0.4,) if cuts else None)
    assert info.frames == (20 if cuts else None)


@pytest.mark.parametrize("cuts", [True, False])
def test_matroska_rounding_is_no_variable_rate(
    tmp_path: Path, make_video: Make, moving_frames: Frames, cuts: bool
) -> None:
    stamps = [round(i * 1001 / 30) for i in range(40)]
    path = make_video(tmp_path / "a.mkv", moving_frames(40), pts=stamps, time_base=Fraction(1, 1000))
    assert not probe(path, cuts=cuts).variable_rate
    stamps[20:] = [stamp + 50 for stamp in stamps[20:]]
    path = make_video(tmp_path / "b.mkv", moving_frames(40), pts=stamps, time_base=Fraction(1, 1000))
    assert probe(path, cuts=cuts).variable_rate


def test_damage_and_what_is_no_video(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    path = make_video(tmp_path / "a.mp4", moving_frames(5))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FootageError, match=r"a\.mp4"):
        probe(path)


def test_real_files(real_footage: Path) -> None:
    awkward = real_footage / "awkward"
    info = probe(awkward / "nasa_13013.mp4")
    assert info.cuts == (5.08, 8.08)
    assert notice(info, "2 video streams")
    assert len(info.streams) == 6
    info = probe(awkward / "sideways movie.mov", cuts=False)
    assert (info.rotation, info.width, info.height) == (-90, 480, 640)
    info = probe(awkward / "sample_with_srt.mkv")
    assert info.rate == pytest.approx(30, rel=0.01)  # the file claims 1000
    assert probe(awkward / "bt709_full_range.mp4", cuts=False).colour.range == "full"
    assert probe(awkward / "h265_10bits.mp4", cuts=False).bit_depth == 10


def test_a_folder_of_images_is_probed_like_a_video(tmp_path: Path, moving_frames: Frames) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, pixels in enumerate([*moving_frames(6), *(255 - frame for frame in moving_frames(6))]):
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    (folder / "3.png").write_bytes(b"broken")
    info = probe(folder)
    assert (info.width, info.height, info.rate, info.rate_is, info.frames) == (64, 48, 25.0, "assumed", 11)
    assert (info.container, info.streams, info.pixel_format) == ("folder of images", (), "rgb24")
    assert info.size == sum(file.stat().st_size for file in folder.iterdir())
    assert info.cuts == (0.24,)
    assert info.notices == (
        "images have no frame rate: 25 frames/s are assumed, unless translated with --fps",
        "1 image (3.png) cannot be read: the nearest intact image is shown",
    )
    assert VideoInfo.model_validate_json(info.model_dump_json()) == info
    assert probe(folder, cuts=False).frames is None
    assert "folder of images" in describe(info)


@pytest.mark.parametrize(("size", "text"), [(999, "1.0 KiB"), (2**20 - 600, "1023.4 KiB"), (2**20, "1.00 MiB")])
def test_small_files_have_a_size_and_an_undetermined_language_is_left_out(
    size: int, text: str, moving_frames: Frames, tmp_path: Path
) -> None:
    write_video(tmp_path / "x.mp4", moving_frames(2), fps=12)
    info = probe(tmp_path / "x.mp4", cuts=False)
    assert [stream.language for stream in info.streams] == ["und"]
    lines = describe(info.model_copy(update={"size": size})).splitlines()
    assert f", {text}, " in lines[1]
    assert "und" not in " ".join(lines).split()[1:]
    assert "  stream    0: video, h264, default" in lines
