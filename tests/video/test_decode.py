"""Every frame of a video comes out, upright, in its own colours, with its own timestamp."""

import itertools
import shutil
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from av.stream import Disposition
from av.video.reformatter import Colorspace
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recycle.errors import FootageError
from recycle.video.decode import VideoReader
from recycle.video.frame import Clock, Frame, longest_pause
from recycle.video.kinds import open_source
from recycle.video.source import Reading
from recycle.video.stated import estimate_frames

Pixels = NDArray[np.uint8]
Frames = Callable[..., list[Pixels]]
Make = Callable[..., Path]


def read(path: Path, *, square_pixels: bool = False) -> list[Frame]:
    with VideoReader(path, Reading(square_pixels=square_pixels)) as reader:
        return list(reader)


def distance(got: Pixels, wanted: Pixels) -> float:
    return float(np.abs(got.astype(np.float64) - wanted).mean())


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "avi", "ts"])
def test_every_frame_comes_out(tmp_path: Path, make_video: Make, moving_frames: Frames, container: str) -> None:
    frames = moving_frames(40)
    options = {"crf": "8", "bf": "0" if container == "avi" else "3"}
    got = read(make_video(tmp_path / f"a.{container}", frames, time_base=Fraction(1, 25), options=options))
    assert len(got) == 40
    assert max(distance(frame.pixels, pixels) for frame, pixels in zip(got, frames, strict=True)) < 3
    assert {b.seconds - a.seconds for a, b in itertools.pairwise(got)} == {Fraction(1, 25)}


def test_avi_states_wrong_times_for_reordered_frames(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    frames = moving_frames(40)
    got = read(make_video(tmp_path / "a.avi", frames, time_base=Fraction(1, 25), options={"crf": "8", "bf": "3"}))
    assert max(distance(frame.pixels, pixels) for frame, pixels in zip(got, frames, strict=True)) < 3
    assert all(b.pts > a.pts for a, b in itertools.pairwise(got))
    assert abs(got[-1].pts - got[0].pts - 39) <= 3


def test_a_reader_can_be_read_again(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    with VideoReader(make_video(tmp_path / "a.mp4", moving_frames(10))) as reader:
        first = [frame.pts for frame in itertools.islice(reader, 4)]
        again = [frame.pts for frame in reader]
    assert len(again) == 10
    assert again[:4] == first


def test_variable_rate_and_late_start(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    stamps = [1000, 1040, 1075, 1200, 1201, 3000]
    path = make_video(tmp_path / "a.mkv", moving_frames(6), pts=stamps, time_base=Fraction(1, 1000))
    assert [frame.pts for frame in read(path)] == stamps


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_rotation_and_mirroring(
    tmp_path: Path, make_video: Make, moving_frames: Frames, degrees: int, mirrored: bool
) -> None:
    frames = moving_frames(3, 64, 32)
    path = make_video(tmp_path / "a.mp4", frames, turn=(degrees, mirrored, False))
    upright = np.rot90(frames[1], degrees // 90)
    if mirrored:
        upright = upright[:, ::-1]
    with VideoReader(path) as reader:
        got = [frame.pixels for frame in reader][1]
        assert (reader.info.height, reader.info.width) == upright.shape[:2]
    assert got.flags["C_CONTIGUOUS"]
    assert distance(got, upright) < 3


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [
        ("yuv420p", "libx264", "mp4"),
        ("yuv444p", "libx264", "mp4"),
        ("yuv420p10le", "libx265", "mp4"),
        ("yuv422p10le", "ffv1", "mkv"),
        ("bgra", "ffv1", "mkv"),
        ("rgb24", "png", "mov"),
        ("yuva420p", "ffv1", "mkv"),
    ],
)
@pytest.mark.parametrize("full_range", [False, True])
def test_pixel_formats(
    tmp_path: Path,
    make_video: Make,
    moving_frames: Frames,
    pixel_format: str,
    codec: str,
    suffix: str,
    full_range: bool,
) -> None:
    frames = moving_frames(3)
    options = {"crf": "4"} if codec == "libx264" else {"x265-params": "log-level=none:qp=4"}
    path = make_video(
        tmp_path / f"a.{suffix}",
        frames,
        pixel_format=pixel_format,
        codec=codec,
        full_range=full_range,
        time_base=Fraction(1, 1000),
        options=options if codec.startswith("libx") else {"threads": "1"},
    )
    got = read(path)
    assert len(got) == 3
    error = got[1].pixels.astype(np.float64) - frames[1]
    assert np.abs(error.mean((0, 1))).max() < 1.2
    assert np.abs(error).mean() < 3


@pytest.mark.parametrize("full_range", [False, True])
def test_grey_is_not_washed_out(tmp_path: Path, full_range: bool) -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).round().astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    stored = ramp if full_range else (16 + ramp * (219 / 255)).round().astype(np.uint8)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        stream.codec_context.color_range = 2 if full_range else 1
        container.mux(stream.encode(av.VideoFrame.from_ndarray(stored[..., 0].copy(), format="gray")))
        container.mux(stream.encode(None))
    assert np.abs(read(path)[0].pixels.astype(int) - ramp).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(576, Colorspace.ITU601), (720, Colorspace.ITU709)])
def test_untagged_video_is_understood_by_its_height(
    tmp_path: Path, make_video: Make, height: int, matrix: Colorspace
) -> None:
    frame = np.full((height, 64, 3), (220, 40, 60), np.uint8)
    path = make_video(tmp_path / "a.mp4", [frame] * 2, matrix=matrix, tagged=False)
    assert distance(read(path)[0].pixels, frame) < 2


def test_a_tag_wins_over_the_height(tmp_path: Path, make_video: Make) -> None:
    frame = np.full((64, 64, 3), (220, 40, 60), np.uint8)
    path = make_video(tmp_path / "a.mp4", [frame] * 2, matrix=Colorspace.ITU709)
    assert distance(read(path)[0].pixels, frame) < 2


@pytest.mark.parametrize("turned", [False, True])
def test_square_pixels(tmp_path: Path, make_video: Make, moving_frames: Frames, turned: bool) -> None:
    turn = (90, False, False) if turned else None
    path = make_video(tmp_path / "a.mp4", moving_frames(2, 64, 48), aspect=Fraction(4, 3), turn=turn)
    with VideoReader(path) as reader:
        assert reader.info.sample_aspect_ratio == (Fraction(3, 4) if turned else Fraction(4, 3))
    with VideoReader(path, Reading(square_pixels=True)) as reader:
        shape = next(iter(reader)).pixels.shape
        assert reader.info.sample_aspect_ratio == 1
        assert shape == (reader.info.height, reader.info.width, 3)
    # 64×48 with pixels 4:3 wide shows as 85×48; turned, the height of 64 stays and 48 becomes 36
    assert shape == ((64, 36, 3) if turned else (48, 85, 3))


def test_a_change_of_size_in_mid_stream(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    frames = moving_frames(8, 96, 64)
    small = [np.asarray(cv2.resize(f, (48, 32), interpolation=cv2.INTER_AREA), np.uint8) for f in frames[4:]]
    first = make_video(tmp_path / "1.ts", frames[:4])
    second = make_video(tmp_path / "2.ts", small)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    got = read(path)
    assert [frame.pixels.shape for frame in got] == [(64, 96, 3)] * 8
    assert distance(got[6].pixels, frames[6]) < 5
    assert all(b.pts > a.pts for a, b in itertools.pairwise(got))


def test_missing_timestamps_come_from_the_rate(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    make_video(tmp_path / "a.h264", moving_frames(10), time_base=Fraction(1, 25))
    got = read(tmp_path / "a.h264")
    assert len(got) == 10
    assert {b.seconds - a.seconds for a, b in itertools.pairwise(got)} == {Fraction(1, 25)}


def test_damage_costs_its_own_frames_only(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    options = {"crf": "8", "g": "10", "bf": "0"}
    path = make_video(tmp_path / "a.mkv", moving_frames(60, 160, 96), options=options)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    for index in range(middle, middle + 3000, 7):
        data[index] ^= 0xFF
    path.write_bytes(data)
    got = read(path)
    assert 20 <= len(got) <= 60
    assert distance(got[3].pixels, moving_frames(60, 160, 96)[3]) < 3
    assert all(b.pts > a.pts for a, b in itertools.pairwise(got))


def test_undecodable_packets_are_counted_and_the_rest_is_read(
    tmp_path: Path, make_video: Make, moving_frames: Frames
) -> None:
    source = make_video(
        tmp_path / "a.avi", moving_frames(12), codec="mjpeg", pixel_format="yuvj420p", options={"q": "2"}
    )
    path = tmp_path / "b.mkv"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for index, packet in enumerate(p for p in old.demux(video=0) if p.size):
            copy = av.Packet(b"\xff\xd8 no picture" if index == 5 else bytes(packet))
            copy.stream, copy.pts, copy.dts, copy.time_base = stream, packet.pts, packet.dts, packet.time_base
            new.mux(copy)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert [frame.concealed for frame in frames] == [index == 5 for index in range(12)]
        assert np.array_equal(frames[5].pixels, frames[4].pixels)
        assert reader.damaged == 1


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
def test_a_file_cut_in_half_gives_its_first_half(
    tmp_path: Path, make_video: Make, moving_frames: Frames, suffix: str
) -> None:
    path = make_video(tmp_path / f"a.{suffix}", moving_frames(100, 160, 96))
    if suffix == "mp4":  # moov first, as on the web; otherwise nothing can be read
        with (
            av.open(str(path)) as old,
            av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "+faststart"}) as new,
        ):
            stream = new.add_stream_from_template(old.streams.video[0])
            for packet in old.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    new.mux(packet)
        path = tmp_path / "fast.mp4"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    got = read(path)
    assert 20 <= len(got) <= 80
    assert distance(got[10].pixels, moving_frames(100, 160, 96)[10]) < 3


def test_what_is_no_video_is_one_clear_line(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    video = make_video(tmp_path / "good.mp4", moving_frames(5))
    (tmp_path / "text.mp4").write_text("this is a text\n" * 100)
    (tmp_path / "ansi.txt").write_text("this is a text\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "header.mp4").write_bytes(video.read_bytes()[:40])
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    cv2.imwrite(str(tmp_path / "picture.png"), moving_frames(1)[0])
    shutil.copy(tmp_path / "picture.png", tmp_path / "picture.mp4")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    for name, expected in {
        "text.mp4": "not a readable video",
        "ansi.txt": "is text",
        "empty.mp4": "empty",
        "header.mp4": "not a readable video",
        "noise.mkv": "not a readable video",
        "picture.mp4": "a single image",
        "sound.mp4": r"no video stream .*audio",
        "missing.mp4": "No such file",
    }.items():
        with pytest.raises(FootageError, match=expected) as caught:
            VideoReader(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(FootageError, match="Is a directory"):
        VideoReader(tmp_path)


def test_a_video_without_one_whole_frame(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    path = make_video(tmp_path / "a.mkv", moving_frames(5, 160, 96))
    data = bytearray(path.read_bytes())
    for index in range(700, len(data)):
        data[index] = 0
    path.write_bytes(data)
    with pytest.raises(FootageError, match=r"no frame can be decoded|not a readable"):
        VideoReader(path)


@pytest.mark.parametrize("video", [True, False])
def test_a_cover_picture_is_not_the_video(tmp_path: Path, moving_frames: Frames, video: bool) -> None:
    path = tmp_path / "a.mp4"
    cover = cv2.imencode(".jpg", np.full((200, 200, 3), 9, np.uint8))[1].tobytes()
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 200, 200, "yuvj420p"
        picture.disposition = Disposition.attached_pic
        stream: Any = container.add_stream("libx264" if video else "aac", rate=25 if video else 48000)
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, Fraction(1, 25)
        if video:
            stream.width, stream.height = 64, 48
            container.mux(packet)
            for pixels in moving_frames(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        else:
            container.mux(packet)
            sound = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp")
            sound.sample_rate = 48000
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with av.open(str(path)) as old:
        assert any(s.disposition & Disposition.attached_pic for s in old.streams.video)
    if video:
        assert [frame.pixels.shape for frame in read(path)] == [(48, 64, 3)] * 5
    else:
        with pytest.raises(FootageError, match="no video stream"):
            VideoReader(path)


def test_reading_ahead_is_bounded(tmp_path: Path, make_video: Make) -> None:
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (96, 160, 3), dtype=np.uint8) for _ in range(120)]
    path = make_video(tmp_path / "a.mkv", frames, options={"crf": "20", "preset": "ultrafast"})
    with VideoReader(path) as reader:
        iterator = iter(reader)
        next(iterator)
        numbers = [f.name for f in Path("/proc/self/fd").iterdir() if f.exists() and f.resolve() == path]
        position = int(Path(f"/proc/self/fdinfo/{numbers[0]}").read_text().split()[1])
    assert position < path.stat().st_size / 2


def test_estimates(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    assert estimate_frames(make_video(tmp_path / "a.mp4", moving_frames(30))) == 30
    assert abs((estimate_frames(make_video(tmp_path / "a.mkv", moving_frames(30))) or 0) - 30) <= 1
    (tmp_path / "b.mp4").write_bytes(b"")
    assert estimate_frames(tmp_path / "b.mp4") == 0


def repaired(stamps: Iterable[int | None], *, step: int, second: int) -> list[int]:
    clock = Clock(second)
    return [clock(stamp, step=step) for stamp in stamps]


@given(st.lists(st.none() | st.integers(-(10**6), 10**6), max_size=50), st.integers(1, 4000))
def test_repaired_timestamps_increase(stamps: list[int | None], step: int) -> None:
    for second in (step * 25, 1, 0):  # of one unit or less: what is a long pause is a small number
        assert all(
            0 < b - a <= max(longest_pause(second), step)
            for a, b in itertools.pairwise(repaired(stamps, step=step, second=second))
        )


@given(st.sets(st.integers(-(10**6), 10**6)))
def test_good_timestamps_stay(stamps: set[int]) -> None:
    ordered = sorted(stamps)
    assert repaired(ordered, step=40, second=1000) == ordered


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([None, None, None], [0, 40, 80]),
        ([100, None, 180], [100, 140, 180]),
        ([0, 40, 40, 120], [0, 40, 41, 120]),
        ([0, 80, 40, 120], [0, 80, 81, 120]),
        ([5000, 5040, 0, 40, 80], [5000, 5040, 5080, 5120, 5160]),  # two recordings joined
        ([5000, 5040, 0, 5120], [5000, 5040, 5080, 5120]),  # one wild stamp
        ([5000, 0, 40, 0, 40], [5000, 5040, 5080, 5081, 5082]),
        ([0, 40, 134_000_040, 134_000_080], [0, 40, 134_000_040, 134_000_080]),  # a pause of 37 hours
        ([0, 40, 135_000_041, 135_000_081], [0, 40, 80, 120]),  # longer: joined recordings again
        ([0, 40, 10**9, 80, 120, 160], [0, 40, 80, 81, 120, 160]),  # one wild stamp ahead
    ],
)
def test_repairs(stamps: list[int | None], expected: list[int]) -> None:
    assert repaired(stamps, step=40, second=1000) == expected


AWKWARD = {
    "awesome movie.mov": (123, 640, 480),
    "bear-vp9-odd-dimensions.webm": (30, 161, 121),
    "bt709_full_range.mp4": (30, 1280, 720),
    "fire2.mp4": (25, 1280, 720),
    "h265_10bits.mp4": (30, 200, 200),
    "nasa_13013.mp4": (325, 320, 180),
    "pigs_in_a_polka.gif": (30, 314, 273),
    "rotated_video.mp4": (44, 480, 640),
    "sample.3gp": (74, 176, 144),
    "sample.avi": (96, 960, 400),
    "sample_fragmented.mp4": (30, 1080, 720),
    "sample_with_srt.mkv": (30, 1080, 720),
    "sideways movie.mov": (25, 480, 640),
    "te[s]t_ video ' _ .flv": (10, 320, 240),
    "video.webm": (44, 640, 480),
    "video_with_failing_audio.mp4": (280, 640, 360),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_real_awkward_files(real_footage: Path, name: str) -> None:
    count, width, height = AWKWARD[name]
    with open_source(real_footage / "awkward" / name) as reader:
        last, seen = None, 0
        for frame in reader:
            assert frame.pixels.shape == (height, width, 3)
            assert last is None or frame.pts > last
            last, seen = frame.pts, seen + 1
        assert (seen, reader.damaged) == (count, 0)


@pytest.mark.parametrize("name", ["broken.mp4", "video_without_video_stream.mp4"])
def test_real_files_that_are_no_video(real_footage: Path, name: str) -> None:
    with pytest.raises(FootageError, match=name):
        VideoReader(real_footage / "awkward" / name)


def test_a_real_turned_film_stands_upright(real_footage: Path) -> None:
    """The man's dark hair is above his bright face; stored, he lies on his side."""
    face = read(real_footage / "awkward" / "sideways movie.mov")[7].pixels.astype(np.float64)
    hair, chin = face[90:150, 140:320].mean(), face[300:360, 140:320].mean()
    assert chin > 1.5 * hair


def test_hardware_is_used_only_where_it_gives_the_same(tmp_path: Path, moving_frames: Any, make_video: Any) -> None:
    source = make_video(tmp_path / "source.mp4", moving_frames(6, 320, 240))
    with VideoReader(source) as software, VideoReader(source, Reading(hardware=True)) as either:
        assert either.hardware in (False, torch.cuda.is_available())
        for a, b in zip(software, either, strict=True):
            assert a.pts == b.pts
            assert np.abs(a.pixels.astype(int) - b.pixels).mean() <= 1


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("rough", [False, True])
def test_a_lazy_frame_is_upright_at_any_size(tmp_path: Path, make_video: Make, degrees: int, rough: bool) -> None:
    y, x = np.mgrid[:96, :128]
    frame = np.stack([x * 1.9, y * 2.6, 128 + 90 * np.sin(x / 20) * np.cos(y / 15)], axis=2).astype(np.uint8)
    path = make_video(tmp_path / "a.mp4", [frame] * 3, options={"crf": "4"}, turn=(degrees, False, False))
    with VideoReader(path) as reader:
        lazy = next(reader.read())
        whole = lazy.pixels()
        assert whole.shape[:2] == (reader.info.height, reader.info.width)
        assert np.array_equal(lazy.develop().pixels, whole)
        for width, height in ((whole.shape[1] // 2, whole.shape[0] // 2), (37, 53)):
            small = lazy.pixels((width, height), rough=rough)
            assert small.shape == (height, width, 3)
            expected = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
            inner = (slice(3, -3), slice(3, -3))
            assert np.abs(small[inner].astype(int) - expected[inner].astype(int)).mean() < (4 if rough else 2)
