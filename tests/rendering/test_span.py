"""The parts of a video for previews and speed measurements, wherever its clock starts."""

import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest

from recycle.batch.task import Folder, forecast
from recycle.config import TranslateSettings
from recycle.rendering.span import preview_span
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.probe import probe
from recycle.video.stated import estimate_frames

FAST = TranslateSettings(preset="ultrafast")
SUFFIXES = [".mkv", ".webm", ".nut", ".avi", ".asf", ".flv", ".ts", ".m2ts", ".mp4", ".mov", ".ogg", ".dash.mp4"]


def record(path: Path, *, seconds: int, offset: int) -> Path:
    """A video of 10 frames per second without sound whose clock starts at about `offset` seconds."""
    codec = {".webm": "libvpx", ".ogg": "libtheora", ".asf": "mpeg4"}.get(path.suffix, "libx264")
    speed = {"libvpx": ("-deadline", "realtime"), "libx264": ("-preset", "ultrafast")}.get(codec, ())
    source = ("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=10:d={seconds}")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, "-c:v", codec, *speed]
    fragments = ("-movflags", "dash+delay_moov") if ".dash" in path.suffixes else ()
    where = (*fragments, "-pix_fmt", "yuv420p", "-output_ts_offset", str(offset), str(path))
    subprocess.run([*command, *where], check=True, stdin=subprocess.DEVNULL)
    return path


def times(path: Path) -> list[Fraction]:
    with VideoReader(path) as reader:
        return [frame.seconds for frame in reader.read()]


def translate_preview(source: Path, output: Path) -> list[Fraction]:
    span = preview_span(VideoReader(source))
    Translator(None, device="cpu").translate_video(source, output, to="b", settings=FAST, span=span)
    return times(output)


@pytest.mark.parametrize("offset", [0, 60])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_preview_is_of_the_middle_of_the_frames(tmp_path: Path, suffix: str, offset: int) -> None:
    source = record(tmp_path / f"source{suffix}", seconds=12, offset=offset)
    stamps = times(source)
    span = preview_span(VideoReader(source))
    assert span.start is not None
    assert span.end == span.start + 4
    assert span.start + 2 == pytest.approx(float(stamps[0] + stamps[-1]) / 2, abs=0.2)
    shown = translate_preview(source, tmp_path / "out.mp4")
    assert len(shown) == len([stamp for stamp in stamps if span.start <= stamp < span.end]) > 30
    assert shown[0] < Fraction(1, 5)


@pytest.mark.parametrize(("suffix", "offset"), [(".ts", 5), (".ts", 60_000), (".mkv", 60), (".mp4", 7), (".mkv", 0)])
def test_a_preview_of_a_short_video_is_all_of_it(tmp_path: Path, suffix: str, offset: int) -> None:
    shown = translate_preview(record(tmp_path / f"source{suffix}", seconds=3, offset=offset), tmp_path / "out.mkv")
    assert len(shown) == 30
    assert shown[0] == 0


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".nut", ".asf", ".ts", ".mp4", ".dash.mp4", ".flv"])
def test_a_late_clock_does_not_lengthen_a_video(tmp_path: Path, suffix: str) -> None:
    source = record(tmp_path / f"source{suffix}", seconds=12, offset=60)
    info = probe(source, cuts=False)
    assert info.duration_seconds == pytest.approx(12, abs=0.2)
    assert info.start_seconds == pytest.approx(60, abs=1.5)
    assert estimate_frames(source) == pytest.approx(120, abs=2)


@pytest.mark.parametrize(("suffix", "offset"), [(".ts", 5), (".mkv", 60)])
def test_the_speed_is_measured_wherever_the_clock_starts(tmp_path: Path, suffix: str, offset: int) -> None:
    (tmp_path / "in").mkdir()
    record(tmp_path / "in" / f"late{suffix}", seconds=3, offset=offset)
    task = Folder(tmp_path / "in", tmp_path / "out", Translator(None, device="cpu"), "b", FAST)
    last = forecast(task, overwrite=False, retry_failed=False).lines[-1]
    assert "30 frames; time needed: about" in last
