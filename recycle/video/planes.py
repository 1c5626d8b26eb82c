"""Frames as the planes in which they are coded, 8-bit 4:2:0, for a device that converts them to RGB itself.

The planes of a frame are one array (H × 3/2, W) of uint8: H rows of luma, then all of Cb, then all of Cr, as in
FFmpeg's format yuv420p. They have half the bytes of RGB.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, cast

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from recycle.video.colour import EXACT, Colour, RgbConverter, colour_of, transfer_of
from recycle.video.frame import Pixels
from recycle.video.turn import UPRIGHT, Turn

_PLANAR, _SEMIPLANAR = ("yuv420p", "yuvj420p"), ("nv12",)
_SIDE = 32
"""Width and height in pixels of a miniature."""
_CENTRE, _STEEP = 128, 8
CENTRED, LEFT = (0.5, 0.5), (0.25, 0.5)
"""Positions x and y of a chroma sample, in units of its sides: amid its four pixels, and between the left two."""
_NAMES = {
    LEFT: "left",
    CENTRED: "center",
    (0.25, 0.25): "topleft",
    (0.5, 0.25): "top",
    (0.25, 0.75): "bottomleft",
    (0.5, 0.75): "bottom",
}
"""FFmpeg's names of these positions."""
_ANY = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
"""swscale refuses some tagged matrices, and which one it is does not matter between YUV formats."""


@dataclass(frozen=True)
class PlaneFormat:
    """What the planes of a video's frames mean."""

    width: int
    height: int
    """Size in pixels, as stored; even."""
    colour: Colour
    chroma: tuple[float, float]
    """Position of a chroma sample; see CENTRED."""
    turn: Turn = UPRIGHT
    """Makes the picture upright."""

    @property
    def bytes_per_frame(self) -> int:
        """Size of the planes of a frame."""
        return self.width * self.height * 3 // 2


ENCODED = Colour(Colorspace.ITU709, matrix_assumed=False, full_range=False, range_assumed=False)
"""The colour of the planes that `recycle.video.encode.VideoEncoder` takes."""


def plane_format(frame: av.VideoFrame, turn: Turn) -> Callable[[], PlaneFormat | None]:
    """A function that returns the format of the planes of a video that begins with `frame`; it keeps no frame.

    It returns None if frames cannot be handed over as planes. They can if they have 8 bits and subsampling 4:2:0, even
    sides and standard dynamic range.
    """
    if not _is_coded_alike(frame) or frame.width % 2 or frame.height % 2:
        return lambda: None
    width, height, colour, miniature = frame.width, frame.height, colour_of(frame), _miniature(frame)
    return cache(lambda: PlaneFormat(width, height, colour, _chroma_position(miniature), turn))


class PlaneReader:
    """Returns the planes of decoded frames; use one for all frames of a reading."""

    def __init__(self, form: PlaneFormat, to_rgb: RgbConverter) -> None:
        self._form, self._to_rgb, self._encode = form, to_rgb, PlaneWriter(form)

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """The planes (H × 3/2, W) of a frame as stored; one of another kind or size than the first is converted.

        PyAV does not tell the position of chroma samples, so a frame that differs in it alone is not converted. Raises
        av.FFmpegError for a pixel format that swscale does not support.
        """
        form, own = self._form, colour_of(frame)
        alike = (frame.width, frame.height) == (form.width, form.height) and _is_coded_alike(frame)
        if not alike or (own.matrix, own.full_range) != (form.colour.matrix, form.colour.full_range):
            return self._encode(self._to_rgb(frame, width=form.width, height=form.height))
        planes: NDArray[Any] = frame.to_ndarray()
        if frame.format.name not in _SEMIPLANAR:
            return planes
        pairs = planes[form.height :].reshape(form.height // 2, form.width // 2, 2)
        planes[form.height :] = np.stack(cv2.split(pairs)).reshape(-1, form.width)
        return planes


class PlaneWriter:
    """Converts RGB to planes as an encoder does, by swscale; use one for all frames of a video."""

    def __init__(self, form: PlaneFormat) -> None:
        self._form, self._scaler, self._sited = form, VideoReformatter(), Sited(form.chroma)

    def __call__(self, pixels: Pixels) -> Pixels:
        """The planes (H × 3/2, W) of RGB pixels, uint8 or uint16 (…, …, 3) of any size, which are resized."""
        form = self._form
        kind = "rgb24" if pixels.dtype == np.uint8 else "rgb48le"
        frame = self._scaler.reformat(
            self._sited(av.VideoFrame.from_ndarray(cast(Any, np.ascontiguousarray(pixels)), format=kind)),
            width=form.width,
            height=form.height,
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=form.colour.matrix,
            dst_color_range=_range_of(form),
            interpolation=EXACT,
        )
        return np.asarray(frame.to_ndarray(), dtype=np.uint8)


class PlaneShrinker:
    """Converts planes to RGB of another size as a decoder does, by swscale; use one for all frames of a video."""

    def __init__(self, form: PlaneFormat, width: int, height: int) -> None:
        """`width` and `height` are those of the upright result."""
        self._form, self._to_rgb, self._sited = form, RgbConverter(), Sited(form.chroma)
        self._size = (height, width) if form.turn.transpose else (width, height)

    def __call__(self, planes: Pixels) -> Pixels:
        """Upright RGB (height, width, 3), uint8, of planes (H × 3/2, W)."""
        frame = av.VideoFrame.from_ndarray(cast(Any, planes), format="yuv420p")
        frame.colorspace, frame.color_range = int(self._form.colour.matrix), int(_range_of(self._form))
        width, height = self._size
        return self._form.turn.apply(self._to_rgb(self._sited(frame), width=width, height=height, shrink=True))


def _range_of(form: PlaneFormat) -> ColorRange:
    return ColorRange.JPEG if form.colour.full_range else ColorRange.MPEG


class Sited:
    """Tags frames of one size and format with a position of chroma samples, to which swscale then converts them.

    Without the tag, swscale centres chroma samples, and where they are taken for left ones, colours are shifted by half
    a pixel.
    """

    def __init__(self, chroma: tuple[float, float]) -> None:
        self._name = _NAMES[chroma]
        self._graph: Graph | None = None

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """A frame with the samples of `frame` and the tag."""
        if self._name == "center":
            return frame
        if self._graph is None:
            self._graph = Graph()
            source = self._graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
            )
            tag = self._graph.add("setparams", f"chroma_location={self._name}")
            self._graph.link_nodes(source, tag, self._graph.add("buffersink")).configure()
        self._graph.vpush(frame)
        return self._graph.vpull()


def _is_coded_alike(frame: av.VideoFrame) -> bool:
    return frame.format.name in (*_PLANAR, *_SEMIPLANAR) and transfer_of(frame) is None


def _miniature(frame: av.VideoFrame) -> av.VideoFrame:
    """A tiny copy of a frame, which keeps the tag of the position of its chroma samples."""
    side = _SIDE if frame.width != _SIDE else 2 * _SIDE  # a frame of the same size would not be copied
    return VideoReformatter().reformat(
        frame, width=side, height=side, format="yuv420p", interpolation=Interpolation.POINT, threads=1, **_ANY
    )


def _chroma_position(miniature: av.VideoFrame) -> tuple[float, float]:
    """Where swscale assumes the chroma samples of a frame. PyAV does not state it, so it is measured with a ramp of
    chroma."""
    return _probed(miniature, 1), _probed(miniature, 0)


def _probed(miniature: av.VideoFrame, axis: int) -> float:
    half = miniature.width // 2
    ramp, grey = _CENTRE + _STEEP * (np.arange(half) - half // 2), np.full(1, _CENTRE)
    for plane, samples in zip(miniature.planes, (grey, np.expand_dims(ramp, 1 - axis), grey), strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = samples
        plane.update(rows.tobytes())
    full = VideoReformatter().reformat(miniature, format="yuv444p", interpolation=EXACT, threads=1, **_ANY)
    seen = np.frombuffer(memoryview(full.planes[1]), np.uint8).reshape(2 * half, -1)
    # The middle of the two pixels half - 1 and half lies at half / 2 chroma sides; a sample there has the value of the
    # ramp at this place less the position of the samples.
    middle = float(seen[half - 1 : half + 1, half].mean() if axis == 0 else seen[half, half - 1 : half + 1].mean())
    return round(4 * ((_CENTRE - middle) / _STEEP)) / 4
