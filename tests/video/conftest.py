"""Generated footage for the tests of reading, writing and extracting video."""

import os
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from recycle.video.fingerprint import fingerprint

Pixels = NDArray[np.uint8]
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP


def moving(count: int, width: int = 64, height: int = 48, *, shift: int = 0) -> list[Pixels]:
    """Smooth colours that drift: (height, width, 3) uint8 RGB, each frame different."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = [
        (128 + 90 * np.sin((x + 2 * i + shift) / 25), 128 + 90 * np.cos((y + i) / 20), 90 + 60 * x / width)
        for i in range(count)
    ]
    return [np.stack(each, -1).round().astype(np.uint8) for each in channels]


def raw_video(path: Path) -> Path:
    """A video of 7 MB without compression: the fingerprint does not read all of it."""
    path.parent.mkdir(exist_ok=True, parents=True)
    return write(path, moving(122, 160, 120), codec="rawvideo", pixel_format="bgr24", tagged=False)


def overwrite_quarter(path: Path, value: int = 0, seconds: float = 7) -> None:
    """Change 1/8 of a `raw_video` in place, where its fingerprint does not read; it is `seconds` newer afterwards."""
    facts, before = path.stat(), fingerprint(path)
    with path.open("r+b") as file:
        file.seek(facts.st_size // 4)
        file.write(bytes([value]) * (facts.st_size // 8))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + int(seconds * 1e9)))
    assert fingerprint(path) == before


def write(
    path: Path,
    frames: Sequence[Pixels],
    *,
    pts: Iterable[int] | None = None,
    time_base: Fraction = Fraction(1, 12800),
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    matrix: Colorspace = Colorspace.ITU709,
    full_range: bool = False,
    tagged: bool = True,
    aspect: Fraction | None = None,
    turn: tuple[int, bool, bool] | None = None,
    audio: bool = False,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames with PyAV alone, independently of the package; `turn` is (degrees ccw, hflip, vflip)."""
    height, width = frames[0].shape[:2]
    step = int(1 / (rate * time_base))
    stamps = list(pts) if pts is not None else [i * step for i in range(len(frames))]
    color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    movie = {"movie_timescale": str(time_base.denominator)} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=movie) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        context = stream.codec_context
        context.time_base = time_base
        if tagged:
            context.colorspace, context.color_range = int(matrix), int(color_range)
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        if audio:
            _write_silence(container)
        for pixels, stamp in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format=pixel_format,
                src_color_range=ColorRange.JPEG,
                dst_colorspace=matrix,
                dst_color_range=color_range,
                interpolation=EXACT,
            )
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _write_silence(container: av.container.OutputContainer) -> None:
    sound = container.add_stream("aac", rate=48000, layout="mono")
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
    frame.sample_rate = 48000
    container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


@pytest.fixture
def moving_frames() -> Callable[..., list[Pixels]]:
    return moving


@pytest.fixture
def make_video() -> Callable[..., Path]:
    return write
