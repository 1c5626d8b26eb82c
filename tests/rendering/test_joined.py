"""Concatenated recordings, as from digital television and cameras: timestamps jump, streams start and end."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from recycle.config import TranslateSettings
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from tests.translation.conftest import MakeVideo

FRAMES = 50
STAMPS = range(0, FRAMES * 512, 512)


def transport_stream(source: Path, *, after: int, heard: float = 1000) -> bytes:
    """The packets of `source`, `after` seconds later, as an MPEG transport stream; silent after `heard` seconds."""
    target = source.with_suffix(".ts")
    with av.open(str(source)) as file, av.open(str(target), "w") as output:
        streams = {stream.index: output.add_stream_from_template(stream) for stream in file.streams}
        for packet in file.demux():
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            if packet.stream.type == "video" or packet.pts * packet.time_base < heard:
                packet.pts += round(after / packet.time_base)
                packet.dts += round(after / packet.time_base)
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return target.read_bytes()


def sound_alone(stream: bytes) -> bytes:
    """A transport stream without the packets of its picture (ISO/IEC 13818-1, 2.4.3.2: the packet's PID)."""
    packets = [stream[place : place + 188] for place in range(0, len(stream), 188)]
    return b"".join(packet for packet in packets if (packet[1] & 0x1F, packet[2]) != (1, 0))


def times(path: Path, kind: str) -> list[Fraction]:
    with av.open(str(path)) as file:
        packets = file.demux(*(s for s in file.streams if s.type == kind and s.index <= 1))
        return sorted(p.pts * p.time_base for p in packets if p.size and p.pts is not None)


@pytest.mark.parametrize("hours", [-2, 7])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_second_recording_follows_with_its_sound(
    make_video: MakeVideo, tmp_path: Path, hours: int, suffix: str
) -> None:
    video = make_video(stamps=STAMPS)
    start = max(0, -hours) * 3600
    parts = [transport_stream(video, after=start + shift * 3600) for shift in (0, hours)]
    source, output = tmp_path / "joined.ts", tmp_path / f"out{suffix}"
    source.write_bytes(b"".join(parts))
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.frames == 2 * FRAMES
    with VideoReader(output) as reader:
        shown = [frame.seconds for frame in reader]
    assert np.diff([float(time) for time in shown]) == pytest.approx(0.04, abs=0.002)
    assert any("ahead by hours" in notice for notice in report.notices)
    heard = np.array([float(time) for time in times(output, "audio")])
    assert len(heard) >= 2 * (FRAMES * 1920 // 1024)
    distances = np.sort(np.diff(heard))
    assert distances[2:] == pytest.approx(1024 / 48000, abs=0.002)
    assert distances.min() >= 0  # at the joint the first recording's sound is 27 ms longer than its picture
    assert heard[-1] == pytest.approx(float(shown[-1]), abs=0.15)


def test_sound_stays_beside_its_picture_through_many_joints(make_video: MakeVideo, tmp_path: Path) -> None:
    part = transport_stream(make_video(stamps=STAMPS), after=0, heard=1)
    source, output = tmp_path / "joined.ts", tmp_path / "out.mp4"
    source.write_bytes(part * 5)
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.frames == 5 * FRAMES
    heard = np.array([float(time) for time in times(output, "audio")])
    late = (heard + 0.05) % 2
    assert (late < 1.1).all()
    counts = np.histogram(heard + 0.05, np.arange(0, 12, 2))[0]
    assert counts.min() >= 47
    assert counts.sum() == 5 * 48


LONG = range(0, 20 * FRAMES * 512, 512)
"""More than FFmpeg reads when it opens a file."""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_sound_that_starts_late_is_kept(make_video: MakeVideo, tmp_path: Path, suffix: str) -> None:
    silent = transport_stream(make_video("silent.mp4", stamps=LONG, audio=False), after=0)
    spoken = transport_stream(make_video("spoken.mp4", stamps=STAMPS), after=40)
    source, output = tmp_path / "joined.ts", tmp_path / f"out{suffix}"
    source.write_bytes(silent + spoken)
    settings = TranslateSettings(codec="vp9" if suffix == ".webm" else "h264")
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    assert report.frames == 21 * FRAMES
    for number in range(2):
        with av.open(str(output)) as file:
            assert len(file.streams.audio) == 2
            frames = list(file.decode(audio=number))
        assert frames[0].time == pytest.approx(40, abs=0.05)
        assert sum(frame.samples for frame in frames) / 48000 == pytest.approx(2, abs=0.1)
        middle = np.concatenate([frame.to_ndarray()[0] for frame in frames])[24000:72000]
        assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(220 * (number + 1), abs=2)


def test_streams_in_the_middle_do_not_end_the_video(make_video: MakeVideo, tmp_path: Path) -> None:
    silent = transport_stream(make_video("silent.mp4", stamps=LONG, audio=False), after=0)
    spoken = transport_stream(make_video("spoken.mp4", stamps=STAMPS), after=40)
    again = transport_stream(make_video("again.mp4", stamps=LONG, audio=False), after=42)
    source, output = tmp_path / "joined.ts", tmp_path / "out.mp4"
    source.write_bytes(silent + spoken + again)
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.frames == 41 * FRAMES


@pytest.mark.parametrize("hours", [-2, 7])
def test_sound_of_a_recording_without_a_picture_is_kept(make_video: MakeVideo, tmp_path: Path, hours: int) -> None:
    video = make_video(stamps=STAMPS)
    start = max(0, -hours) * 3600
    seen, heard = (transport_stream(video, after=start + shift * 3600) for shift in (0, hours))
    source, output = tmp_path / "joined.ts", tmp_path / "out.mp4"
    source.write_bytes(seen + sound_alone(heard))
    report = Translator(None, device="cpu").translate_video(source, output, to="b")
    assert report.frames == FRAMES
    sound = np.array([float(time) for time in times(output, "audio")])
    assert len(sound) >= 2 * (FRAMES * 1920 // 1024)
    assert np.diff(sound[::2]) == pytest.approx(1024 / 48000, abs=0.03)
    assert sound[-1] - sound[0] == pytest.approx(4, abs=0.15)
