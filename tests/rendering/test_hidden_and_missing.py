"""Sound and subtitles that a cut hides, that pause, that start before the part, or that end without a time."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.rendering.span import Span
from recycle.translation.translator import Translator

FAST = TranslateSettings(preset="ultrafast")
RATE = 48_000


def ffmpeg(*words: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def film(path: Path, seconds: int, sound: str, *codecs: str) -> Path:
    """A video whose sound is 1 kHz where the expression `sound` is 1."""
    picture = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r=25:d={seconds}")
    tone = ("-f", "lavfi", "-i", f"aevalsrc='0.7*sin(2*PI*1000*t)*({sound})':s={RATE}:d={seconds}")
    ffmpeg(*picture, *tone, "-g", "250", *codecs, path)
    return path


def translate(source: Path, output: Path, span: Span | None = None) -> Path:
    settings = TranslateSettings(codec="vp9", preset="8") if output.suffix == ".webm" else FAST
    Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings, span=span or Span())
    return output


def heard(path: Path) -> NDArray[np.float32]:
    """Mono sound at its times, from the first frame of the video on; silent where there is none."""
    with av.open(str(path)) as file:
        start = next(file.decode(video=0)).time or 0.0
    with av.open(str(path)) as file:
        whole = np.zeros(10 * RATE, np.float32)
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in file.decode(audio=0):
            at = round(((frame.time or 0.0) - start) * RATE)
            for part in resampler.resample(frame):
                samples = part.to_ndarray()[0]
                samples = samples[max(0, -at) :]
                whole[max(0, at) : max(0, at) + len(samples)] = samples
    return whole


def beeps(path: Path) -> list[tuple[float, float]]:
    """Start and end, in seconds, of every stretch of sound."""
    loud = np.flatnonzero(np.abs(heard(path)) > 0.1)
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > RATE // 50) + 1)
    return [(part[0] / RATE, part[-1] / RATE) for part in parts if len(part)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
def test_sound_that_a_cut_hides_stays_hidden(tmp_path: Path, suffix: str) -> None:
    """A cut without re-encoding keeps the packets since the last key frame, and an edit list hides them."""
    base = film(tmp_path / "base.mp4", 4, "lt(t,1.2)", "-c:v", "libx264", "-c:a", "aac")
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", "1.5", "-i", base, "-c", "copy", cut)
    output = translate(cut, tmp_path / f"out{suffix}")
    assert not beeps(cut)
    assert not beeps(output)
    with av.open(str(cut)) as before, av.open(str(output)) as after:
        assert len(list(after.decode(video=0))) == len(list(before.decode(video=0)))
    with av.open(str(output)) as file:
        assert (next(file.decode(video=0)).time or 0) < 0.05


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("pcm_s16le", ".mkv"), ("pcm_s16le", ".mp4"), *((f"pcm_{kind}", ".mov") for kind in ("s24le", "f32le", "u8"))],
)
def test_pcm_sound_stays_in_time_after_a_pause(tmp_path: Path, codec: str, suffix: str) -> None:
    whole = film(tmp_path / "whole.mkv", 4, "between(t,0.2,0.4)+between(t,3.2,3.4)", "-c:v", "libx264", "-c:a", codec)
    source = tmp_path / "pause.mkv"
    with av.open(str(whole)) as before, av.open(str(source), "w") as after:
        targets = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        for packet in before.demux():
            silent = packet.stream.type == "audio" and 1 <= (packet.pts or 0) * packet.time_base < 2
            if packet.size and not silent:
                packet.stream = targets[packet.stream.index]
                after.mux(packet)
    found = beeps(translate(source, tmp_path / f"out{suffix}"))
    assert [start for start, _ in found] == pytest.approx([0.2, 3.2], abs=0.005)
    assert [end for _, end in found] == pytest.approx([0.4, 3.4], abs=0.005)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_last_frame_of_sound_is_kept_where_the_decoder_states_no_time(tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / "film.wmv", 2, "gt(t,1.9)", "-c:v", "wmv2", "-c:a", "wmav2")
    expected = tmp_path / f"ffmpeg{suffix}"
    ffmpeg("-i", source, "-c:v", "libx264", "-c:a", "aac", expected)
    (start, end), (own_start, own_end) = beeps(expected)[-1], beeps(translate(source, tmp_path / f"out{suffix}"))[-1]
    assert own_end - own_start == pytest.approx(end - start, abs=0.005)


@pytest.mark.parametrize(
    ("before", "after", "begin"),
    [  # times finer than those of Matroska too
        *(("mkv", "mkv", begin) for begin in ("1", "1.0004", "1.0006")),
        *(("mkv", "mp4", "1"), ("mp4", "mp4", "1.0004"), ("mp4", "mkv", "1")),
    ],
)
def test_a_subtitle_that_is_on_screen_at_the_start_of_a_part_is_kept(
    tmp_path: Path, before: str, after: str, begin: str
) -> None:
    (tmp_path / "words.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,900\nover\n\n2\n00:00:00,950 --> 00:00:01,500\nhere\n\n"
        "3\n00:00:01,600 --> 00:00:01,900\nnext\n"
    )
    source = tmp_path / f"source.{before}"
    words = ("-c:s", "mov_text" if before == "mp4" else "srt")
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=3", "-i", tmp_path / "words.srt")
    ffmpeg(*picture, "-c:v", "libx264", *words, source)
    output = translate(source, tmp_path / f"out.{after}", Span(Fraction(begin)))
    shown: list[tuple[object, ...]] = []
    with av.open(str(output)) as file:
        for packet in file.demux(file.streams.subtitles[0]):
            text = bytes(packet).removeprefix(b"\0\4")
            if text in (b"over", b"here", b"next"):
                start = (packet.pts or 0) * packet.time_base
                shown.append((text, float(start), float(start + (packet.duration or 0) * packet.time_base)))
    late = 0.04 if begin != "1" else 0  # a part begins with its first frame
    times = [[0, 0.5 - late], [0.6 - late, 0.9 - late]]
    assert [list(each[1:]) for each in shown] == [pytest.approx(each, abs=0.002) for each in times]
    assert [text for text, *_ in shown] == [b"here", b"next"]
