"""Writes GIF, animated PNG and animated WebP, one frame at a time, with the exact duration of every frame."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.filter import Graph
from PIL.Image import fromarray

from recycle.video.frame import Pixels
from recycle.video.provenance import Provenance

_LONGEST = 65535
"""Maximum duration of a frame of a GIF or an animated PNG, in their units. A longer one is shown again."""
_QUALITY = 90
"""Quality of an animated WebP, of 100."""


class Shown(NamedTuple):
    """A frame of an animation."""

    pixels: Pixels
    """RGB (H, W, 3), uint8 or uint16."""
    alpha: Pixels | None
    """Opacity (H, W) of the same dtype; None if it is opaque."""


class Times(NamedTuple):
    """When the frames of an animation start, from 0, and when the last one ends."""

    starts: tuple[Fraction, ...]
    """Seconds, strictly increasing."""
    end: Fraction

    def in_units(self, second: int) -> list[int]:
        """All starts and the end in units of 1/`second` s, rounded, and each at least one unit after the last."""
        ticks: list[int] = []
        for time in (*self.starts, self.end):
            ticks.append(max(round(time * second), ticks[-1] + 1 if ticks else 0))
        return ticks

    def exact_in(self, second: int) -> bool:
        """Whether all times are multiples of 1/`second` s."""
        return all((time * second).denominator == 1 for time in (*self.starts, self.end))


def write_animation(
    path: Path, frames: Iterable[Shown], times: Times, *, plays: int, alpha: bool, made: Provenance | None = None
) -> None:
    """Write an animation; the suffix of `path` is .gif, .webp, .apng or .png.

    `plays` is how often it is shown, 0 without end. `alpha`: whether the frames have opacity. A GIF has a palette of
    256 colours for each frame; it is opaque where the opacity is at least one half. GIF and WebP take uint8 only.
    Memory does not grow with the number of frames. `made` is stated in a comment or as XMP. Raises OSError or
    av.FFmpegError if the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".webp":
        _write_webp(path, frames, times, plays=plays, alpha=alpha, xmp=b"" if made is None else made.xmp())
    elif suffix == ".gif":
        options = {"loop": str(-1 if plays == 1 else max(0, plays - 1))}
        _write(path, frames, times, "gif", Fraction(1, 100), options, alpha=alpha)
        if made is not None:
            _comment(path, made.sentence.encode())
    else:
        _write(path, frames, times, "apng", _unit(times), {"plays": str(plays)}, alpha=alpha)
        if made is not None:
            path.write_bytes(made.in_png(path.read_bytes()))


def _comment(path: Path, text: bytes) -> None:
    """Put a comment before the last byte of a GIF (GIF89a, section 24)."""
    blocks = (text[at : at + 255] for at in range(0, len(text), 255))
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0\x3b")


def _unit(times: Times) -> Fraction:
    """The largest unit in which all times are whole; a millisecond if an APNG cannot state it (65535 is its limit)."""
    unit = Fraction(1, 1)
    for time in (*times.starts, times.end):
        denominator = (time / unit).denominator
        unit /= denominator
    return unit if unit.denominator <= 65535 else Fraction(1, 1000)


def _write(
    path: Path,
    frames: Iterable[Shown],
    times: Times,
    form: str,
    unit: Fraction,
    options: dict[str, str],
    *,
    alpha: bool,
) -> None:
    """Write a GIF or an animated PNG with FFmpeg."""
    ticks = times.in_units(int(1 / unit))
    last = (ticks[-1] - ticks[-2] - 1) % _LONGEST + 1
    seconds = last * unit
    options["final_delay"] = f"{seconds.numerator}/{seconds.denominator}" if form == "apng" else str(last)
    with av.open(f"file:{path}", "w", format=form, container_options=options) as container:
        stream: Any = None
        convert: Callable[[av.VideoFrame], av.VideoFrame] = _unchanged
        for (start, end), shown in zip(pairwise(ticks), frames, strict=True):
            frame = _frame(shown)
            if stream is None:
                stream = container.add_stream(form, rate=1 / unit)
                stream.width, stream.height = frame.width, frame.height
                stream.codec_context.time_base = unit
                if form == "gif":
                    stream.pix_fmt, convert = "pal8", _palette(frame, alpha=alpha)
                else:
                    stream.pix_fmt = {"rgb48le": "rgb48be", "rgba64le": "rgba64be"}.get(
                        frame.format.name, frame.format.name
                    )
            frame = convert(frame)
            if frame.format.name != stream.pix_fmt:
                frame = frame.reformat(format=stream.pix_fmt)
            frame.time_base = unit
            for begin in range(start, end, _LONGEST):
                frame.pts, frame.duration = begin, min(_LONGEST, end - begin)
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _unchanged(frame: av.VideoFrame) -> av.VideoFrame:
    return frame


def _frame(shown: Shown) -> av.VideoFrame:
    wide = shown.pixels.dtype != np.uint8
    if shown.alpha is None:
        samples, form = shown.pixels, "rgb48le" if wide else "rgb24"
    else:
        samples, form = np.dstack((shown.pixels, shown.alpha)), "rgba64le" if wide else "rgba"
    array: Any = np.ascontiguousarray(samples)
    return av.VideoFrame.from_ndarray(array, format=form)


def _palette(first: av.VideoFrame, *, alpha: bool) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """A function that reduces each frame to the 256 colours that suit it best, with error diffusion."""
    graph = Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1, 100))
    split = graph.add("split")
    make = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(alpha)}")
    use = graph.add("paletteuse", "new=1:dither=sierra2_4a:alpha_threshold=128")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(make, 1, 0)
    make.link_to(use, 0, 1)
    use.link_to(graph.add("buffersink"))
    graph.configure()
    count = 0

    def reduce(frame: av.VideoFrame) -> av.VideoFrame:
        nonlocal count
        frame.pts, frame.time_base = count, Fraction(1, 100)
        count += 1
        graph.vpush(frame)
        return graph.vpull()

    return reduce


def _write_webp(path: Path, frames: Iterable[Shown], times: Times, *, plays: int, alpha: bool, xmp: bytes) -> None:
    """Write the container of RFC 9649, section 2.7, around still pictures.

    FFmpeg's encoder loses the duration of the last frame, and Pillow's holds all frames in memory.
    """
    ticks = times.in_units(1000)
    with path.open("wb") as file:
        size = (1, 1)
        file.write(bytes(44))
        for (start, end), shown in zip(pairwise(ticks), frames, strict=True):
            size = shown.pixels.shape[1], shown.pixels.shape[0]
            place = bytes(6) + b"".join(_three(side - 1) for side in size)
            unblended = b"\x02"
            file.write(_chunk(b"ANMF", b"".join((place, _three(end - start), unblended, *_pictures(shown)))))
        file.write(_chunk(b"XMP ", xmp) if xmp else b"")
        length = file.tell()
        extended = bytes([2 | (16 if alpha else 0) | (4 if xmp else 0), 0, 0, 0]) + b"".join(
            _three(side - 1) for side in size
        )
        head = b"WEBP" + _chunk(b"VP8X", extended) + _chunk(b"ANIM", bytes(4) + min(plays, 65535).to_bytes(2, "little"))
        file.seek(0)
        file.write(b"RIFF" + (length - 8).to_bytes(4, "little") + head)


def _pictures(shown: Shown) -> Iterator[bytes]:
    """The chunks of a still WebP that hold its picture and its opacity."""
    file = BytesIO()
    samples = shown.pixels if shown.alpha is None else np.dstack((shown.pixels, shown.alpha))
    fromarray(np.ascontiguousarray(samples)).save(file, "WEBP", quality=_QUALITY, method=4, exact=True)
    data, at = file.getvalue(), 12
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        end += end % 2
        if data[at : at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            yield data[at:end]
        at = end


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def _three(number: int) -> bytes:
    return number.to_bytes(3, "little")
