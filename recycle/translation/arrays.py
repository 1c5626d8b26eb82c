"""Converts and checks the NumPy arrays that a translator takes."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recycle.video.frame import Frame

_RATE = Fraction(1, 25)
"""Time base in seconds of pictures without timestamps. No translation depends on it."""


def frames_of(pictures: Iterable[NDArray[Any]]) -> Iterator[Frame]:
    """Convert RGB pictures (H, W, 3) of uint8 or uint16 to frames, one at a time; the pts of a frame is its number.

    Raises ValueError, with the number of the picture, for another shape or dtype, and for a picture whose size or dtype
    differs from the first one's.
    """
    first: tuple[tuple[int, ...], np.dtype[Any]] | None = None
    for number, picture in enumerate(pictures):
        check_picture(picture, f"frame {number}")
        first = first or (picture.shape, picture.dtype)
        if (picture.shape, picture.dtype) != first:
            raise ValueError(
                f"frame {number} is {_described(picture)}, but the first one is {first[0]} of {first[1]}; start "
                "another stream for frames of another size or dtype"
            )
        yield Frame(picture, number, _RATE)


def check_picture(picture: NDArray[Any], name: str) -> None:
    """Raise ValueError unless `picture` is RGB (H, W, 3), uint8 or uint16. `name` is its name in the message."""
    whole = picture.ndim == 3 and picture.shape[-1] == 3 and picture.size > 0
    if not whole or picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{name} is {_described(picture)}; expected RGB (H, W, 3) of uint8 or uint16")


def _described(picture: NDArray[Any]) -> str:
    return f"{picture.shape} of {picture.dtype}"


def check_clip(clip: Tensor) -> None:
    """Raise ValueError unless `clip` is (3, H, W), (T, 3, H, W) or (B, T, 3, H, W) of floats, and not empty."""
    if clip.ndim not in (3, 4, 5) or clip.shape[-3] != 3 or not clip.is_floating_point() or not clip.numel():
        raise ValueError(
            "expected a clip (3, H, W), (T, 3, H, W) or (B, T, 3, H, W) of floats, got "
            f"{tuple(clip.shape)} of {clip.dtype}"
        )
