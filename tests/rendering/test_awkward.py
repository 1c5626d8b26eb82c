"""Real files that other tools handled wrongly; for each, the expected output of the identity."""

import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.errors import FootageError
from recycle.rendering.render import RenderReport
from recycle.rendering.span import Span
from recycle.translation.translator import Translator
from recycle.video.colour import EXACT
from recycle.video.decode import VideoReader

WHOLE_FILE = Span()
TWO_SECONDS = Span(end=Fraction(2))
SLACK = 0.06
"""Seconds by which an output may be longer or shorter: few sources say how long their last frame is shown."""


@dataclass(frozen=True)
class Expected:
    """A source, and its expected output as FFmpeg reports it."""

    name: str
    frames: int
    size: tuple[int, int]
    """Width and height, upright."""
    streams: tuple[tuple[str, str, str | None], ...]
    """Type, codec and language of each."""
    seconds: float
    """When the last stream ends."""
    psnr: float
    """At least, in dB, over all frames."""
    suffix: str = ".mp4"
    turn: int = 0
    """Quarter turns, counter-clockwise, that bring the stored picture upright."""
    span: Span = WHOLE_FILE
    notices: tuple[str, ...] = ()
    shift: float = 0.7
    """Grey levels by which the mean of a channel may differ."""


CASES = [
    Expected(  # a variable rate; sound first, and of a lesser length after an edit
        "awesome movie.mov",
        frames=123,
        size=(640, 480),
        streams=(("video", "h264", "und"), ("audio", "aac", "und")),
        seconds=7.563,
        psnr=47.6,
    ),
    Expected(
        "bear-vp9-odd-dimensions.webm",
        frames=30,
        size=(162, 122),
        streams=(("video", "h264", "und"),),
        seconds=1.001,
        psnr=40.5,
        notices=("161×121 becomes 162×122, its last column or row repeated: yuv420p requires even sizes",),
    ),
    Expected(  # full range; a test card: hard edges between the purest colours, too sharp for 4:2:0: see LIMITS
        "bt709_full_range.mp4",
        frames=30,
        size=(1280, 720),
        streams=(("video", "h264", "und"),),
        seconds=1,
        psnr=38.4,
    ),
    Expected(  # on its head; a variable rate
        "fire2.mp4",
        frames=25,
        size=(1280, 720),
        streams=(("video", "h264", "eng"), ("audio", "aac", "eng")),
        seconds=2.416,
        psnr=44.7,
        turn=2,
    ),
    Expected(  # a test card: hard edges between the purest colours, too sharp for 4:2:0: see LIMITS
        "h265_10bits.mp4",
        frames=30,
        size=(200, 200),
        streams=(("video", "h264", "und"),),
        seconds=1,
        psnr=31.9,
        notices=("the source has 10 bits per sample: the output has 8; --depth 10 keeps more",),
    ),
    Expected(  # 325 frames, two videos with sound and subtitles each; packets of sound last 0.128 s
        "nasa_13013.mp4",
        frames=50,
        size=(320, 180),
        streams=(
            ("video", "h264", "eng"),
            ("audio", "aac", "eng"),
            ("subtitle", "mov_text", "eng"),
            ("audio", "aac", "eng"),
            ("subtitle", "mov_text", "eng"),
        ),
        seconds=2.048,
        psnr=50.8,
        span=TWO_SECONDS,
        notices=("stream 3 (video, h264) is left out: only the first video stream is translated",),
    ),
    Expected(
        "pigs_in_a_polka.gif",
        frames=30,
        size=(314, 274),
        streams=(("video", "h264", "und"),),
        seconds=3,
        psnr=44.5,
        notices=(
            "the source is transparent in parts: the output shows the colours beneath",
            "314×273 becomes 314×274, its last column or row repeated: yuv420p requires even sizes",
        ),
    ),
    Expected(  # lies on its side; begins at 0.226 s; nearly black, and green by one level: see LIMITS
        "rotated_video.mp4",
        frames=44,
        size=(480, 640),
        streams=(("video", "h264", "und"), ("audio", "aac", "und")),
        seconds=5.228,
        psnr=43.8,
        turn=3,
        shift=1,
    ),
    Expected(  # a packet of sound has five frames, of which only the first has a time; the sound lasts 5 s
        "sample.3gp",
        frames=74,
        size=(176, 144),
        streams=(("video", "h264", "eng"), ("audio", "aac", "eng")),
        seconds=5.0,
        psnr=48.6,
        notices=("stream 0 (audio, amrnb) is converted to aac: mp4 cannot hold it as it is",),
    ),
    Expected(  # of 98 packets two are empty: the first frame lasts three times as long
        "sample.avi",
        frames=96,
        size=(960, 400),
        streams=(("video", "h264", "und"), ("audio", "mp3", "und")),
        seconds=4.087,
        psnr=49.9,
    ),
    Expected(  # begins at 0.067 s
        "sample_fragmented.mp4",
        frames=30,
        size=(1080, 720),
        streams=(("video", "h264", "und"), ("audio", "aac", "und")),
        seconds=1.068,
        psnr=48.0,
    ),
    Expected(  # mp4 would hold the subtitles as mov_text only; the file claims 1000 frames per second
        "sample_with_srt.mkv",
        frames=30,
        size=(1080, 720),
        streams=(("video", "h264", None), ("audio", "ac3", None), ("subtitle", "subrip", "eng")),
        seconds=1.234,
        psnr=47.1,
        suffix=".mkv",
    ),
    Expected(  # lies on its side
        "sideways movie.mov",
        frames=25,
        size=(480, 640),
        streams=(("video", "h264", "und"), ("audio", "aac", "und")),
        seconds=1.017,
        psnr=40.5,
        turn=3,
        notices=(
            "labels that mp4 cannot hold are left out: tag model, tag make, tag com.apple.quicktime.make, tag "
            "com.apple.quicktime.creationdate, tag com.apple.quicktime.location.ISO6709 and 2 more of the file",
        ),
    ),
    Expected(  # five frames per second, and a claim of 24; begins at 0.042 s
        "te[s]t_ video ' _ .flv",
        frames=10,
        size=(320, 240),
        streams=(("video", "h264", "und"),),
        seconds=1.876,
        psnr=43.8,
    ),
    Expected(  # begins at 0.227 s; nearly black, and green by one level: see LIMITS
        "video.webm",
        frames=44,
        size=(640, 480),
        streams=(("video", "h264", "und"), ("audio", "opus", "und")),
        seconds=5.229,
        psnr=44.7,
        shift=1,
    ),
    Expected(  # 280 frames
        "video_with_failing_audio.mp4",
        frames=50,
        size=(640, 360),
        streams=(("video", "h264", "und"), ("audio", "mp3", "und")),
        seconds=2.012,
        psnr=50.7,
        span=TWO_SECONDS,
    ),
]

FAILURES = {
    "broken.mp4": "{} is not a readable video file, or its header is incomplete",
    "video_without_video_stream.mp4": "{} has no video stream that can be decoded (it holds: audio)",
}

LIMITS = [
    ("bt709_full_range.mp4", TranslateSettings(pixel_format="yuv444p"), 42.5),
    ("h265_10bits.mp4", TranslateSettings(pixel_format="yuv444p"), 40.2),
    ("rotated_video.mp4", TranslateSettings(depth=10), 55),
    ("video.webm", TranslateSettings(depth=10), 55),
]
"""What the usual 8-bit 4:2:0 cannot keep, formats with more chroma or more levels do: settings and PSNR."""


@pytest.fixture
def awkward(real_footage: Path) -> Path:
    """The folder of the files; tests are skipped without it."""
    if not (real_footage / "awkward").is_dir():
        pytest.skip("the awkward files are not on this machine")
    return real_footage / "awkward"


def translate(source: Path, output: Path, span: Span, settings: TranslateSettings) -> RenderReport:
    return Translator(None, device="cpu").translate_video(source, output, to="b", span=span, settings=settings)


def moment(shown: "av.VideoFrame | Packet[Any]") -> Fraction:
    assert shown.pts is not None
    assert shown.time_base is not None
    return shown.pts * shown.time_base


def times(path: Path) -> list[Fraction]:
    """When FFmpeg's decoder shows each frame, in seconds."""
    with av.open(f"file:{path}") as file:
        return [moment(frame) for frame in file.decode(video=0)]


def other_packets(path: Path, before: Fraction | None) -> list[tuple[str, list[Fraction], list[bytes]]]:
    """Codec, and time and bytes of each packet before a time, of each stream that is not video."""
    with av.open(f"file:{path}") as file:
        others = [s for s in file.streams if s.type != "video"]
        found: dict[int, tuple[str, list[Fraction], list[bytes]]] = {}
        for stream in others:
            found[stream.index] = (stream.codec_context.codec.canonical_name, [], [])
        for packet in file.demux(others) if others else ():
            if packet.size and (before is None or moment(packet) < before):
                found[packet.stream.index][1].append(moment(packet))
                found[packet.stream.index][2].append(bytes(packet))
    return list(found.values())


def stated_seconds(path: Path) -> float:
    """Length by the header of the file, from which players take it (ISO/IEC 14496-12, 8.2.2)."""
    if path.suffix == ".mp4":
        data = path.read_bytes()
        units, length = struct.unpack_from(">II", data, data.index(b"mvhd") + 16)
        return float(length / units)
    with av.open(f"file:{path}") as file:
        return (file.duration or 0) / 1_000_000


def rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """A frame of an output, understood as BT.709 of limited range."""
    converted = frame.reformat(
        format="rgb24",
        src_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=EXACT,
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)


def difference(source: Path, output: Path) -> tuple[float, NDArray[np.float64]]:
    """PSNR in dB, and by how much the mean of each channel rises; the output may be a part from the start."""
    errors: list[float] = []
    shifts: list[tuple[float, ...]] = []
    with VideoReader(source) as reader, av.open(f"file:{output}") as file:
        for before, after in zip(reader, file.decode(video=0), strict=False):
            height, width, _ = before.pixels.shape
            change = np.subtract(rgb(after)[:height, :width], before.pixels, dtype=np.float32)
            errors.append(cv2.norm(change, cv2.NORM_L2SQR) / change.size)
            shifts.append(cv2.mean(change)[:3])
    return float(10 * np.log10(255**2 / np.mean(errors))), np.mean(shifts, axis=0)


def test_every_file_has_an_expectation(awkward: Path) -> None:
    assert sorted(path.name for path in awkward.iterdir()) == sorted([*(case.name for case in CASES), *FAILURES])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_real_file_keeps_its_content(awkward: Path, tmp_path: Path, case: Expected) -> None:
    source, output = awkward / case.name, tmp_path / f"out{case.suffix}"
    report = translate(source, output, case.span, TranslateSettings())
    assert (report.frames, report.concealed, report.notices) == (case.frames, 0, case.notices)
    assert [path.name for path in tmp_path.iterdir()] == [output.name]

    shown = times(output)
    assert len(shown) == case.frames
    assert shown == [time for time in times(source) if case.span.end is None or time < case.span.end]
    assert stated_seconds(output) == pytest.approx(case.seconds, abs=SLACK)

    with av.open(f"file:{output}") as file:
        streams = [(s.type, s.codec_context.codec.canonical_name, s.metadata.get("language")) for s in file.streams]
        assert tuple(streams) == case.streams
        video = file.streams.video[0]
        picture = next(file.decode(video))
        assert (video.width, video.height) == (picture.width, picture.height) == case.size
        assert (picture.rotation, picture.format.name, picture.interlaced_frame) == (0, "yuv420p", False)
        assert video.sample_aspect_ratio == 1
        context = video.codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert tags == (Colorspace.ITU709, 1, 1, ColorRange.MPEG)

    before, after = other_packets(source, case.span.end), other_packets(output, None)
    for (codec, moments, data), (kept_codec, kept_moments, kept_data) in zip(before, after, strict=True):
        if codec == kept_codec:  # else it is converted, and a notice tells
            assert kept_data == data
            gaps = [abs(a - b) for a, b in zip(moments, kept_moments, strict=True)]
            assert max(gaps) <= Fraction(1, 10000)  # mp4 counts sound in samples
        elif kept_codec in ("aac", "opus"):
            steps, kept_steps = (max(b - a for a, b in pairwise(each)) for each in (moments, kept_moments))
            assert kept_steps <= steps + Fraction(1, 20), "the sound has a hole"

    psnr, shift = difference(source, output)
    assert psnr >= case.psnr
    assert np.abs(shift).max() < case.shift
    with av.open(f"file:{source}") as file:
        stored = next(file.decode(video=0)).to_ndarray(format="rgb24")
    upright = np.rot90(stored, case.turn).astype(np.int32)
    height, width, _ = upright.shape
    shown_first = rgb(picture)[:height, :width]
    ways = (upright, upright[::-1], upright[:, ::-1], upright[::-1, ::-1])
    assert int(np.argmin([np.abs(shown_first - way).mean() for way in ways])) == 0


@pytest.mark.parametrize(("name", "settings", "least"), LIMITS, ids=[name for name, _, _ in LIMITS])
def test_a_better_format_keeps_more_of_the_picture(
    awkward: Path, tmp_path: Path, name: str, settings: TranslateSettings, least: float
) -> None:
    translate(awkward / name, tmp_path / "out.mp4", Span(end=Fraction(1, 2)), settings)
    psnr, shift = difference(awkward / name, tmp_path / "out.mp4")
    assert psnr >= least
    assert np.abs(shift).max() < 0.5


@pytest.mark.parametrize("name", FAILURES)
def test_a_file_without_video_is_an_error(awkward: Path, tmp_path: Path, name: str) -> None:
    source = awkward / name
    with pytest.raises(FootageError) as refusal:
        translate(source, tmp_path / "out.mp4", WHOLE_FILE, TranslateSettings())
    assert type(refusal.value) is FootageError
    assert str(refusal.value) == FAILURES[name].format(source)
    assert list(tmp_path.iterdir()) == []
