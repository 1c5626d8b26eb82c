"""Makes pictures upright by the rotation and mirroring of their display matrix."""

import struct
from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import Type

from recycle.video.frame import Pixels
from recycle.video.sidedata import side_data


@dataclass(frozen=True)
class Turn:
    """A display matrix reduced to quarter turns and flips; the transposition is applied first."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, pixels: Pixels) -> Pixels:
        """Make pixels (H, W, C) upright; the result is contiguous, with H and W exchanged if transposed."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        pixels = pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(pixels)


UPRIGHT = Turn()
"""Changes nothing."""


def turn_of(frame: av.VideoFrame) -> Turn:
    """Reduce a frame's display matrix to the nearest quarter turn and flips.

    FFmpeg stores the matrix as a b u c d v x y w, with (x', y') = (a x + c y, b x + d y).
    """
    data = side_data(frame).get(Type.DISPLAYMATRIX)
    if data is None:  # PyAV returns no matrix beside unknown side data, but still the angle
        quarter = round(frame.rotation / 90) % 4
        return (Turn(), Turn(True, False, True), Turn(False, True, True), Turn(True, True, False))[quarter]
    a, b, _, c, d, *_ = struct.unpack("=9i", data)
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)
