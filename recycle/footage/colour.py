"""Which colour matrix and range a decoded frame has, and its conversion to RGB."""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
"""Flags of every colour conversion. Without them swscale darkens a round trip by more than a grey level."""

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""FFmpeg's AVColorSpace (ITU-T H.273) of a frame → the matrix that swscale is told."""

_EXPAND_GREY = np.clip(np.rint((np.arange(256.0) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Limited range to full range."""


@dataclass(frozen=True)
class Colour:
    """How the samples of a frame are to be understood."""

    matrix: Colorspace
    matrix_assumed: bool
    """The file does not say: BT.709 from 720 lines, else BT.601."""
    full_range: bool
    range_assumed: bool
    """The file does not say: limited, but full for RGB, grey and the yuvj formats."""


def colour_of(*, matrix_tag: int, range_tag: int, pixel_format: str, lines: int) -> Colour:
    """Colour of a picture from its tags (AVColorSpace, AVColorRange), pixel format and stored height."""
    matrix = _MATRICES.get(matrix_tag)
    implied_full = pixel_format.startswith(("yuvj", "gray", "ya", "rgb", "bgr", "gbr", "argb", "abgr", "pal"))
    tagged = range_tag in (ColorRange.MPEG, ColorRange.JPEG)
    return Colour(
        matrix=matrix or (Colorspace.ITU709 if lines >= 720 else Colorspace.ITU601),
        matrix_assumed=matrix is None,
        full_range=range_tag == ColorRange.JPEG if tagged else implied_full,
        range_assumed=not tagged,
    )


class RgbConverter:
    """Converts the decoded frames of one video to 8-bit RGB; keep it for all frames, setting up is costly."""

    def __init__(self, *, threads: bool = True) -> None:
        self._scaler = VideoReformatter()
        self._threads = 0 if threads else 1

    def __call__(self, frame: av.VideoFrame, *, width: int, height: int) -> NDArray[np.uint8]:
        """RGB (height, width, 3) of a frame of any pixel format and size.

        Alpha is dropped. High dynamic range is not tone-mapped. Raises av.FFmpegError for a pixel format that
        swscale does not know.
        """
        name = frame.format.name
        colour = colour_of(
            matrix_tag=int(frame.colorspace),
            range_tag=int(frame.color_range),
            pixel_format=name,
            lines=frame.height,
        )
        rgb = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            src_colorspace=colour.matrix,
            src_color_range=ColorRange.JPEG if colour.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=EXACT,
            threads=self._threads,
        )
        pixels: NDArray[np.uint8] = rgb.to_ndarray().astype(np.uint8, copy=False)
        if name.startswith(("gray", "ya")) and not colour.full_range:  # swscale takes all grey for full range
            pixels = cv2.LUT(pixels, _EXPAND_GREY)
        return pixels
