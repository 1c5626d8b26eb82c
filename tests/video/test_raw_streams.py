"""Raw streams and folders of images play at the rate that they state or that is given; what is assumed is said."""

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from recycle.config import TranslateSettings
from recycle.errors import FootageError
from recycle.rendering.prepare import check_rate, render_key
from recycle.rendering.span import WHOLE
from recycle.system.priority import usual_priority
from recycle.translation.translator import Translator
from recycle.video.decode import VideoReader
from recycle.video.describe import describe
from recycle.video.kinds import open_source
from recycle.video.probe import probe
from recycle.video.source import Reading

Frames = Callable[..., list[NDArray[np.uint8]]]
Make = Callable[..., Path]
NTSC = Fraction(30000, 1001)
X265 = "log-level=none:crf=4"
SILENT = {"x265-params": f"{X265}:no-vui-timing-info=1"}


def encode(
    path: Path, frames: list[NDArray[np.uint8]], codec: str, rate: Fraction, options: dict[str, str], format: str
) -> Path:
    with av.open(str(path), "w", format=format) as file, usual_priority():  # for SVT-AV1
        stream: Any = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for pixels in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=stream.pix_fmt)))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "format", "options", "rate", "stated"),
    [
        ("h264", "libx264", "h264", {"crf": "4", "bf": "3"}, Fraction(30), True),
        ("264", "libx264", "h264", {"crf": "4", "bf": "0"}, NTSC, True),
        ("hevc", "libx265", "hevc", {"x265-params": X265}, NTSC, True),
        ("hevc", "libx265", "hevc", SILENT, Fraction(30), False),
        ("m2v", "mpeg2video", "mpeg2video", {"q": "2", "bf": "2"}, Fraction(24000, 1001), True),
        ("m4v", "mpeg4", "m4v", {"q": "2", "bf": "2"}, Fraction(15), True),
        ("obu", "libsvtav1", "obu", {"crf": "10", "preset": "10"}, Fraction(30), False),
        ("mjpeg", "mjpeg", "mjpeg", {"q": "2"}, Fraction(30), False),
    ],
)
@pytest.mark.parametrize("given", [None, Fraction(2997, 100), Fraction(12)])
def test_frames_come_in_order_evenly_spaced_at_the_right_rate(
    tmp_path: Path,
    moving_frames: Frames,
    suffix: str,
    codec: str,
    format: str,
    options: dict[str, str],
    rate: Fraction,
    stated: bool,
    given: Fraction | None,
) -> None:
    frames = moving_frames(12, 128, 64)
    path = encode(tmp_path / f"a.{suffix}", frames, codec, rate, options, format)
    right = given or (rate if stated else Fraction(25))
    with open_source(path, Reading(fps=given)) as reader:
        got = list(reader)
        assert reader.info.average_rate == right
        assert reader.rate_assumed is (given is None and not stated)
        assert (reader.repaired, reader.concealed, reader.damaged) == (0, 0, 0)
    assert [frame.seconds for frame in got] == [n / right for n in range(12)]
    for frame, pixels in zip(got, frames, strict=True):
        near = [np.abs(frame.pixels.astype(int) - other).mean() for other in frames]
        assert np.abs(frame.pixels.astype(int) - pixels).mean() == min(near)


def test_pictures_that_repeat_a_field_last_longer(tmp_path: Path, moving_frames: Frames) -> None:
    """Soft telecine: film on DVD, shown at 29.97 frames per second by fields that are repeated."""
    film = encode(tmp_path / "a.m2v", moving_frames(8), "mpeg2video", Fraction(30000, 1001), {"bf": "0"}, "mpeg2video")
    data = bytearray(film.read_bytes())
    extensions = [match.end() for match in re.finditer(rb"\x00\x00\x01\xb5", data)]
    for at in extensions:
        if data[at] >> 4 == 1:  # of a sequence
            data[at + 1] &= ~0x08  # progressive_sequence
    pictures = [at for at in extensions if data[at] >> 4 == 8]
    for number, at in enumerate(pictures):
        data[at + 3] |= 0b10 * (number % 2)  # repeat_first_field
        data[at + 4] |= 0x80  # progressive_frame
    assert len(pictures) == 8
    film.write_bytes(data)
    with VideoReader(film) as reader:
        seconds = [frame.seconds for frame in reader]
    steps = {after - before for before, after in pairwise(seconds)}
    assert steps == {1 / NTSC, Fraction(3, 2) / NTSC}


def test_probe_tells_whether_the_rate_is_stated_or_assumed(tmp_path: Path, moving_frames: Frames) -> None:
    stated = encode(tmp_path / "a.h264", moving_frames(5), "libx264", Fraction(30), {}, "h264")
    assumed = encode(tmp_path / "a.mjpeg", moving_frames(5), "mjpeg", Fraction(30), {}, "mjpeg")
    assert "30 frames/s (stated by the stream)" in describe(probe(stated))
    assert "25 frames/s (assumed)" in describe(probe(assumed))
    assert any("states no frame rate: 25" in notice for notice in probe(assumed, cuts=False).notices)
    assert not any("assumed" in notice for notice in probe(stated).notices if "rate" in notice)


def save_images(folder: Path, frames: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(frames):
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    return folder


def rendered(source: Path, output: Path, fps: object) -> tuple[list[Fraction], tuple[str, ...]]:
    settings = TranslateSettings.model_validate({"fps": fps, "preset": "ultrafast"})
    report = Translator.from_pretrained("identity").translate_video(source, output, to="b", settings=settings)
    with VideoReader(output) as reader:
        return [frame.seconds for frame in reader], report.notices


@pytest.mark.parametrize("fps", ["30000/1001", 29.97, 10, None])
def test_a_translation_has_the_given_rate(tmp_path: Path, moving_frames: Frames, fps: object) -> None:
    images = save_images(tmp_path / "images", moving_frames(5))
    raw = encode(tmp_path / "a.obu", moving_frames(5, 128, 64), "libsvtav1", Fraction(30), {"preset": "10"}, "obu")
    for source in (images, raw):
        seconds, notices = rendered(source, tmp_path / f"{source.name}.mp4", fps)
        assert seconds == [n / Fraction(str(fps or 25)) for n in range(5)]
        assert any("25 frames per second are assumed" in notice for notice in notices) is (fps is None)


def test_files_with_timestamps_keep_them(tmp_path: Path, make_video: Make, moving_frames: Frames) -> None:
    video = make_video(tmp_path / "a.mp4", moving_frames(5))
    with pytest.raises(FootageError, match=r"a\.mp4 has timestamps of its own"):
        check_rate(open_source(video, Reading(fps=Fraction(30))))
    check_rate(open_source(video))
    seconds, notices = rendered(video, tmp_path / "b.mp4", 30)  # one of a folder
    assert seconds == [Fraction(n, 25) for n in range(5)]
    assert any("--fps has no effect" in notice for notice in notices)
    command = [sys.executable, "-c", "from recycle.cli import main; main()", "translate", str(video)]
    command += [str(tmp_path / "c.mp4"), "--model", "identity", "--to", "b", "--fps", "30"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "timestamps of its own" in done.stderr
    assert not (tmp_path / "c.mp4").exists()


def test_the_rate_belongs_to_the_key_of_the_work(tmp_path: Path, moving_frames: Frames) -> None:
    images = save_images(tmp_path / "images", moving_frames(2))
    translator = Translator.from_pretrained("identity")
    keys = []
    for fps in (None, "30", "30000/1001"):
        settings = TranslateSettings.model_validate({"fps": fps})
        keys.append(str(render_key(open_source(images), translator.key("b", settings), settings, WHOLE, compare=False)))
    assert len(set(keys)) == 3


def test_the_film_lasts_as_long_as_ffmpeg_says(tmp_path: Path, moving_frames: Frames) -> None:
    raw = encode(tmp_path / "pi.h264", moving_frames(30), "libx264", Fraction(30), {}, "h264")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-i", str(raw), "-c:v", "libx264", str(tmp_path / "theirs.mp4")]
    subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    rendered(raw, tmp_path / "ours.mp4", None)
    durations = [probe(tmp_path / name).duration_seconds for name in ("ours.mp4", "theirs.mp4")]
    assert durations == [1.0, 1.0]
