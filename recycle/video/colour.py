"""Determines the colour matrix and range of a decoded frame and converts it to RGB."""

from dataclasses import dataclass
from typing import Literal

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from recycle.video.frame import Pixels
from recycle.video.hdr import Gamut, Transfer, to_standard

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
"""swscale flags of every colour conversion. Without them a round trip is darker by more than one grey level."""
_SHRINKING = (EXACT & ~Interpolation.BICUBIC) | Interpolation.BILINEAR
"""swscale flags for shrinking: a triangle filter two output pixels wide, as in torch's antialiased bilinear resize."""

_YUV = ("yuv", "nv", "p0")
"""Prefixes of the names of planar and semi-planar YUV pixel formats."""

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""A frame's AVColorSpace (ITU-T H.273) → the matrix that is passed to swscale."""

_EXPAND_GREY_8 = np.clip(np.rint((np.arange(256.0) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
_EXPAND_GREY_16 = np.clip(np.rint((np.arange(65536.0) - 4112) * (255 / 219)), 0, 65535).astype(np.uint16)
"""Lookup tables from limited to full range, for 8 and 16 bits."""

_GAMUTS: dict[int, Gamut] = {9: "bt2020", 11: "p3", 12: "p3"}
"""A frame's AVColorPrimaries → its gamut, if it is wider than that of BT.709. DCI-P3 (11) has another white than
Display P3 (12); here it becomes the white of BT.709 all the same."""
_HDR: dict[int, Transfer] = {16: "pq", 18: "hlg"}


@dataclass(frozen=True)
class Colour:
    """The interpretation of the samples of a frame."""

    matrix: Colorspace
    matrix_assumed: bool
    """Whether the file does not state the matrix; BT.709 is then assumed from 720 lines, else BT.601."""
    full_range: bool
    range_assumed: bool
    """Whether the file does not state the range; full is then assumed for RGB, grey, palette and yuvj formats, else
    limited."""


def colour_of(frame: av.VideoFrame) -> Colour:
    """The colour of a frame, from its tags (AVColorSpace, AVColorRange), its pixel format and its stored height."""
    matrix, tag = _MATRICES.get(int(frame.colorspace)), int(frame.color_range)
    implied_full = frame.format.name.startswith(("yuvj", "gray", "ya", "rgb", "bgr", "gbr", "argb", "abgr", "pal"))
    tagged = tag in (ColorRange.MPEG, ColorRange.JPEG)
    return Colour(
        matrix=matrix or (Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601),
        matrix_assumed=matrix is None,
        full_range=tag == ColorRange.JPEG if tagged else implied_full,
        range_assumed=not tagged,
    )


def transfer_of(frame: av.VideoFrame) -> Transfer | None:
    """The transfer for `recycle.video.hdr.to_standard`; None if the frame is standard video already.

    Read from the tags of transfer (16: SMPTE ST 2084, 18: HLG) and primaries (`_GAMUTS`).
    """
    if int(frame.color_trc) in _HDR:
        return _HDR[int(frame.color_trc)]
    return "sdr" if int(frame.color_primaries) in _GAMUTS else None


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether a frame has high dynamic range (PQ or HLG)."""
    return transfer_of(frame) in ("pq", "hlg")


class RgbConverter:
    """Converts the decoded frames of one video to RGB; use one instance for all frames, because its setup is slow."""

    def __init__(self, *, depth: Literal[8, 16] = 8, threads: bool = True) -> None:
        """`depth` 8 gives uint8, 16 gives uint16 in [0, 65535]; `threads` lets swscale use several threads."""
        self._scalers: dict[tuple[int, int], VideoReformatter] = {}
        self._depth = depth
        self._threads = 0 if threads else 1

    def __call__(
        self, frame: av.VideoFrame, *, width: int, height: int, shrink: bool = False, rough: bool = False
    ) -> Pixels:
        """Convert a frame of any pixel format and size to full-range RGB (height, width, 3).

        `shrink` avoids aliasing if the result is smaller than the frame; `rough` is faster, with errors of a few grey
        levels. Alpha is dropped. High dynamic range and wide gamut are converted to standard video
        (`recycle.video.hdr`). Raises av.FFmpegError for a pixel format that swscale does not support.
        """
        name, colour = frame.format.name, colour_of(frame)
        transfer = transfer_of(frame)
        wide = self._depth == 16 or transfer is not None
        smaller = shrink and width * height < frame.width * frame.height
        # swscale writes planar RGB up to twice as fast as packed RGB. The values are the same, except for rounding in
        # frames of fewer than ten chroma lines, and except in rough mode, where those of planar RGB are more exact.
        planar = not wide and name.startswith(_YUV)
        scaler = self._scalers.setdefault((width, height), VideoReformatter())
        rgb = scaler.reformat(
            frame,
            width=width,
            height=height,
            format="gbrp" if planar else "rgb48le" if wide else "rgb24",
            src_colorspace=colour.matrix,
            src_color_range=ColorRange.JPEG if colour.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.AREA if rough else _SHRINKING if smaller else EXACT,
            threads=self._threads,
        )
        pixels: Pixels = _packed(rgb) if planar else np.asarray(rgb.to_ndarray(), dtype=np.uint16 if wide else np.uint8)
        if name.startswith(("gray", "ya")) and not colour.full_range:  # swscale treats all grey as full range
            pixels = (_EXPAND_GREY_16 if wide else _EXPAND_GREY_8)[pixels]
        if transfer is not None:
            gamut = _GAMUTS.get(int(frame.color_primaries), "bt2020")
            pixels = to_standard(pixels.astype(np.uint16, copy=False), transfer, gamut)
            if self._depth == 8:
                pixels = ((pixels + np.uint32(128)) // 257).astype(np.uint8)
        return pixels


def _packed(frame: av.VideoFrame) -> Pixels:
    """RGB (H, W, 3) uint8 of a frame in the pixel format gbrp."""
    green, blue, red = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    )
    return np.asarray(cv2.merge((red, green, blue)), dtype=np.uint8)
