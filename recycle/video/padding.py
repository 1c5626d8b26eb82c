"""How many pixels a picture of odd size needs in a format with subsampled chroma."""

from collections.abc import Sequence

import av


def padding(pixel_format: str, width: int, height: int) -> tuple[int, int]:
    """Numbers of columns and rows (0 or 1) that an odd size needs for the subsampled chroma of the pixel format.

    (0, 0) for a name that is not a pixel format: encoders refuse it with a message.
    """
    try:
        chroma = next((c for c in av.VideoFormat(pixel_format, 64, 64).components if c.is_chroma), None)
    except ValueError:
        return (0, 0)
    if chroma is None:
        return (0, 0)
    return (width % 2 if chroma.width < 64 else 0, height % 2 if chroma.height < 64 else 0)


def is_padded(size: Sequence[int], other: Sequence[int]) -> bool:
    """Whether the sides `other`, in pixels, are those of `size`, or those of `size` made even by an encoder."""
    return all(0 <= after - before <= 1 for before, after in zip(size, other, strict=True))
