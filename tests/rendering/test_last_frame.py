"""Duration of the last frame: a recording that ends with a long frame keeps its length."""

import struct
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from recycle.config import TranslateSettings
from recycle.errors import Interrupted
from recycle.rendering.span import Span
from recycle.rendering.work import SEGMENT
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.probe import probe
from tests.jobs import interrupted_at

TENTH = Fraction(1, 10)
FAST = TranslateSettings(preset="ultrafast")


def picture(index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((48, 64, 3), index * 23 % 256, np.uint8)


def record(path: Path, times: Sequence[Fraction], last: Fraction, *, bframes: int = 0, sound: bool = False) -> Path:
    """A video with frames at `times`, the last of which lasts for `last` seconds; the sound goes on to its end."""
    unit = Fraction(1, 12800)
    ends = [*times[1:], times[-1] + last]
    length = {round(t / unit): round((end - t) / unit) for t, end in zip(times, ends, strict=True)}
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=10, options={"bf": str(bframes), "preset": "ultrafast"})
        stream.width, stream.height, stream.codec_context.time_base = 64, 48, unit
        tone: Any = file.add_stream("aac", rate=48000, layout="mono") if sound else None
        packets = []
        for index, pts in enumerate(length):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = pts, unit
            packets += stream.encode(frame)
        final = [*packets, *stream.encode(None)]
        for packet in final:
            packet.duration = length[packet.pts]
        if path.suffix in (".mp4", ".mov"):  # they end with the packet that is decoded last
            final[-1].duration = max(final[-1].duration, sum(length.values()) - (final[-1].dts - final[0].dts))
        for packet in final:
            file.mux(packet)
        for start in range(0, round(ends[-1] * 48000), 1024) if tone is not None else ():
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            samples.pts, samples.sample_rate, samples.time_base = start, 48000, Fraction(1, 48000)
            file.mux(tone.encode(samples))
        if tone is not None:
            file.mux(tone.encode(None))
    return path


def length(path: Path) -> float:
    """Seconds that the picture lasts, by FFmpeg's account of the file."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if "DURATION" not in stream.metadata:
            return float((stream.duration or 0) * (stream.time_base or 0))
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")  # when it ends
        first = min(packet.pts * packet.time_base for packet in file.demux(stream) if packet.pts is not None)
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - float(first)


def translate(source: Path, output: Path, **options: Any) -> Path:
    Translator(None, device="cpu").translate_video(source, output, to="b", **{"settings": FAST, **options})
    return output


AT_REST = [TENTH * index for index in range(12)]


@pytest.mark.parametrize("target", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_recording_that_ends_with_a_long_frame_keeps_its_length(tmp_path: Path, suffix: str, target: str) -> None:
    source = record(tmp_path / f"source{suffix}", AT_REST, Fraction(9), sound=True)
    settings = FAST if target != ".webm" else TranslateSettings(codec="vp9", preset="8")
    output = translate(source, tmp_path / f"out{target}", settings=settings)
    assert length(output) == pytest.approx(10.1, abs=0.002)
    with av.open(str(output)) as file:
        last = max(((p.pts or 0) + (p.duration or 0)) * p.time_base for p in file.demux(audio=0) if p.size)
    assert last == pytest.approx(10.1, abs=0.05)  # nor is the sound cut


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_reordered_frames_and_a_second_translation_change_nothing(tmp_path: Path, suffix: str) -> None:
    source = record(tmp_path / f"source{suffix}", AT_REST, Fraction(9), bframes=2)
    settings = TranslateSettings(preset="medium")  # with frames that are stored in another order
    once = translate(source, tmp_path / "once.mp4", settings=settings)
    twice = translate(once, tmp_path / "twice.mkv", settings=settings)
    thrice = translate(twice, tmp_path / "thrice.mov", settings=settings)
    assert [length(path) for path in (once, twice, thrice)] == pytest.approx([10.1] * 3, abs=0.002)


@pytest.mark.parametrize("last", [Fraction(1, 50), Fraction(3)])
def test_uneven_frames_keep_a_short_or_a_long_end(tmp_path: Path, last: Fraction) -> None:
    times = [Fraction(n, 100) for n in (0, 7, 10, 31, 36, 64, 90)]
    output = translate(record(tmp_path / "source.mp4", times, last), tmp_path / "out.mp4")
    assert length(output) == pytest.approx(float(times[-1] + last), abs=0.001)


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_the_delay_of_the_last_picture_of_an_animation_is_kept(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"source.{kind}"
    images = [Image.fromarray(picture(index)) for index in range(4)]
    images[0].save(source, save_all=True, append_images=images[1:], duration=[100, 100, 100, 3000])
    assert length(translate(source, tmp_path / "out.mp4")) == pytest.approx(3.3, abs=0.001)
    assert not [notice for notice in probe(source).notices if "states a duration" in notice]


FRAGMENTS = ["dash", "dash+global_sidx", "dash+delay_moov", "cmaf+delay_moov", "frag_keyframe+empty_moov"]


@pytest.mark.parametrize("offset", [0, 5])
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("last", [TENTH, Fraction(4)])
@pytest.mark.parametrize("flags", FRAGMENTS)
def test_fragments_keep_the_length_of_the_last_frame(
    tmp_path: Path, flags: str, last: Fraction, bframes: int, offset: int
) -> None:
    whole = record(tmp_path / "whole.mp4", AT_REST, last, bframes=bframes)
    source = tmp_path / "source.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(whole), "-c", "copy", "-movflags", flags]
    subprocess.run([*command, "-output_ts_offset", str(offset), str(source)], check=True, stdin=subprocess.DEVNULL)
    with VideoReader(source) as reader:
        stamps = [frame.pts for frame in reader.read()]
        assert len(stamps) == len(AT_REST)
        assert float((reader.lasting or 0) * reader.info.time_base) == pytest.approx(float(last), abs=0.001)
        assert reader.info.duration == pytest.approx(1.1 + float(last), abs=0.21)


def record_avi(path: Path, codec: str, stated: int) -> Path:
    """Three frames, half a second each, in an AVI whose header states the length of `stated` frames."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=2:d=1.5"]
    subprocess.run([*command, "-c:v", codec, "-pix_fmt", "yuv420p", str(path)], check=True, stdin=subprocess.DEVNULL)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, stated)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["rawvideo", "mpeg4", "libx264"])
@pytest.mark.parametrize(("stated", "expected"), [(10, 5), (4, 2), (3, 1.5), (1, 1.5), (2**30, 1.5)])
def test_an_avi_keeps_the_duration_of_its_last_frame(tmp_path: Path, codec: str, stated: int, expected: float) -> None:
    source = record_avi(tmp_path / "source.avi", codec, stated)
    with VideoReader(source) as reader:
        assert len(list(reader.read())) == 3
        assert (reader.lasting or 0) * reader.info.time_base == expected - 1


def test_the_stated_length_of_a_truncated_avi_is_ignored(tmp_path: Path) -> None:
    data = record_avi(tmp_path / "source.avi", "rawvideo", 10).read_bytes()
    for end in (len(data) - 1, data.rindex(b"idx1"), data.rindex(b"idx1") - 3000):
        cut = tmp_path / "cut.avi"
        cut.write_bytes(data[:end])
        with VideoReader(cut) as reader:
            assert len(list(reader.read())) >= 2
            assert (reader.lasting or 0) * reader.info.time_base == Fraction(1, 2)


def test_a_translation_of_an_avi_keeps_the_hold(tmp_path: Path) -> None:
    source = record_avi(tmp_path / "source.avi", "mpeg4", 10)
    assert length(translate(source, tmp_path / "out.mp4")) == pytest.approx(5, abs=0.001)
    assert not [notice for notice in probe(source).notices if "states a duration" in notice]


def test_a_still_picture_lasts_as_long_as_it_is_shown(tmp_path: Path) -> None:
    source = record(tmp_path / "source.mp4", [Fraction(0)], Fraction(7))
    assert length(translate(source, tmp_path / "out.mp4")) == pytest.approx(7)


def test_a_part_ends_at_its_requested_end(tmp_path: Path) -> None:
    source = record(tmp_path / "source.mp4", AT_REST, Fraction(9))
    for end, expected in ((Fraction(5), 5), (Fraction(1, 2), 0.5), (Fraction(30), 10.1)):
        output = translate(source, tmp_path / f"{end.numerator}.mp4", span=Span(None, end))
        assert length(output) == pytest.approx(expected, abs=0.001)
    tail = translate(source, tmp_path / "tail.mp4", span=Span(Fraction(1), None))
    assert length(tail) == pytest.approx(9.1, abs=0.001)


def test_resumed_work_keeps_the_last_duration(tmp_path: Path) -> None:
    source = record(tmp_path / "source.mp4", [TENTH * index for index in range(SEGMENT + 20)], Fraction(9))

    with pytest.raises(Interrupted):
        translate(source, tmp_path / "out.mp4", job=interrupted_at(SEGMENT + 5))
    expected = float((SEGMENT + 19) * TENTH + 9)
    assert length(translate(source, tmp_path / "out.mp4")) == pytest.approx(expected, abs=0.001)


def patched(path: Path, box: bytes, at: int, value: int) -> None:
    """Write a 32-bit number at a place behind the name of a box."""
    data = bytearray(path.read_bytes())
    where = data.index(box) + 4 + at
    data[where : where + 4] = struct.pack(">I", value)
    path.write_bytes(data)


def test_a_wrong_header_does_not_extend_the_last_frame(tmp_path: Path) -> None:
    honest = record(tmp_path / "source.mp4", AT_REST, TENTH)
    for name, box, at in (("mdhd", b"mdhd", 16), ("mvhd", b"mvhd", 16), ("tkhd", b"tkhd", 20)):
        liar = tmp_path / f"{name}.mp4"
        liar.write_bytes(honest.read_bytes())
        patched(liar, box, at, 2**30)
        assert length(translate(liar, tmp_path / f"out-{name}.mp4")) == pytest.approx(1.2, abs=0.001)
    endless = tmp_path / "stts.mp4"
    endless.write_bytes(record(tmp_path / "long.mp4", AT_REST, Fraction(3)).read_bytes())
    data = endless.read_bytes()
    at = data.index(b"stts") + 12 + 8 + 4 - 4
    patched(endless, b"stts", at - data.index(b"stts"), 2**30)  # the distance of the last frame
    assert length(translate(endless, tmp_path / "out-stts.mp4")) <= 4.2


def test_a_truncated_file_does_not_extend_its_last_frame(tmp_path: Path) -> None:
    """The headers of a truncated file still state the whole length."""
    times = [TENTH * index for index in range(60)]
    for suffix in (".mp4", ".mkv"):
        whole = record(tmp_path / f"whole{suffix}", times, TENTH)
        if suffix == ".mp4":
            whole = translate(whole, tmp_path / "front.mp4")  # with its index at the front
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        output = translate(cut, tmp_path / f"out{suffix}")
        with VideoReader(output) as reader:
            last = [frame.seconds for frame in reader][-1]
        assert last < 5.5
        assert length(output) <= last + 0.25


def test_probe_uses_a_stated_duration_only_if_it_is_plausible(tmp_path: Path) -> None:
    held = record(tmp_path / "held.mp4", AT_REST, Fraction(9))
    assert not [notice for notice in probe(held).notices if "states a duration" in notice]
    liar = record(tmp_path / "liar.mkv", AT_REST, TENTH)
    data = liar.read_bytes()
    at = data.index(b"\x44\x89\x88")  # the duration in the header, as a double
    liar.write_bytes(data[: at + 3] + struct.pack(">d", 500_000.0) + data[at + 11 :])
    assert "the file states a duration of 500.0 s, but its frames last 1.2 s" in probe(liar).notices
    assert length(translate(liar, tmp_path / "out.mp4")) == pytest.approx(1.2, abs=0.001)
