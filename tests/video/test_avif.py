"""AVIF: the animation is the video, not the still picture that the file begins with."""

import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from recycle.config import TranslateSettings
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.probe import probe
from recycle.video.stated import estimate_frames


def grey(index: int, mode: str) -> Image.Image:
    return Image.fromarray(np.full((48, 64, len(mode)), 20 + 20 * index, np.uint8))


def animate(path: Path, mode: str = "RGB", *, frames: int = 10) -> Path:
    first, *others = [grey(index, mode) for index in range(frames)]
    first.save(path, save_all=True, append_images=others, duration=100, speed=10)
    return path


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_animation_is_read_in_full(tmp_path: Path, mode: str) -> None:
    source = animate(tmp_path / "source.avif", mode)
    with VideoReader(source) as reader:
        frames = list(reader)
    assert [float(frame.seconds) for frame in frames] == pytest.approx([index / 10 for index in range(10)])
    assert [frame.pixels.mean() for frame in frames] == pytest.approx([20 + 20 * index for index in range(10)], abs=4)
    assert estimate_frames(source) == 10
    info = probe(source)
    assert info.frames == 10
    assert any("video streams: stream" in notice for notice in info.notices)
    assert "2 video streams: stream 1 is used" in info.notices or mode == "RGBA"


def test_an_animation_is_translated_in_full(tmp_path: Path) -> None:
    source, output = tmp_path / "source.avif", tmp_path / "out.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=1"]
    coder = ["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "40", "-pix_fmt", "yuv420p", str(source)]
    subprocess.run([*command, *coder], check=True, stdin=subprocess.DEVNULL)
    settings = TranslateSettings(preset="ultrafast")
    report = Translator(None, device="cpu").translate_video(source, output, to="b", settings=settings)
    assert report.frames == 25
    assert report.notices == ("stream 0 (video, libdav1d) is left out: only the animation is translated",)


def test_a_still_picture_stays_one(tmp_path: Path) -> None:
    grey(3, "RGB").save(tmp_path / "still.avif")
    with VideoReader(tmp_path / "still.avif") as reader:
        assert len(list(reader)) == 1


def test_elsewhere_the_first_stream_counts(tmp_path: Path) -> None:
    source = tmp_path / "two.mp4"
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", "-f", "lavfi", "-i", "testsrc2=s=32x32:r=25:d=1"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, "-map", "0", "-map", "1", str(source)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    with av.open(str(source)) as file:
        assert [stream.frames for stream in file.streams.video] == [5, 25]
    with VideoReader(source) as reader:
        assert reader.info.width == 64
        assert len(list(reader)) == 5
