"""Pictures as NumPy arrays, on their way into and out of a translator."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recycle.video.frame import Frame

_RATE = Fraction(1, 25)
"""Seconds between pictures that have no times; no translation depends on it."""


def frames_of(pictures: Iterable[NDArray[Any]]) -> Iterator[Frame]:
    """RGB pictures (H, W, 3) of uint8 or uint16, all of one size and dtype → frames, one at a time.

    Raises ValueError, with the number of the picture, for anything else.
    """
    first: tuple[tuple[int, ...], np.dtype[Any]] | None = None
    for number, picture in enumerate(pictures):
        check_picture(picture, f"picture {number}")
        first = first or (picture.shape, picture.dtype)
        if (picture.shape, picture.dtype) != first:
            raise ValueError(
                f"picture {number} is {_described(picture)}, and the first one {first[0]} of {first[1]}; a stream has "
                "pictures of one size and dtype: start another for the others"
            )
        yield Frame(picture, number, _RATE)


def check_picture(picture: NDArray[Any], name: str) -> None:
    """Raise ValueError for an array that is no RGB picture (H, W, 3) of uint8 or uint16."""
    whole = picture.ndim == 3 and picture.shape[-1] == 3 and picture.size > 0
    if not whole or picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{name} is {_described(picture)}; expected RGB (H, W, 3) of uint8 or uint16")


def _described(picture: NDArray[Any]) -> str:
    return f"{picture.shape} of {picture.dtype}"
