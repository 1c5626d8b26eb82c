"""The formats in which pictures are written: single images, numbered images, and animations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recycle.video.numbered import is_pattern_name
from recycle.video.sniff import IMAGE, WEBP, sniff


@dataclass(frozen=True)
class PictureFormat:
    """What a format can hold."""

    alpha: Literal["none", "mask", "full"]
    """Transparency: none at all, on or off for each pixel, or in all degrees."""
    bits: Literal[8, 16]
    """Most bits per sample."""
    unit: int = 0
    """Units per second of an animation's times; 0: any rational time."""


STILLS = {
    ".png": PictureFormat("full", 16),
    ".tif": PictureFormat("full", 16),
    ".tiff": PictureFormat("full", 16),
    ".webp": PictureFormat("full", 8),
    ".jpg": PictureFormat("none", 8),
    ".jpeg": PictureFormat("none", 8),
    ".bmp": PictureFormat("none", 8),
}
"""Formats of single and numbered images, by suffix."""

ANIMATIONS = {
    ".gif": PictureFormat("mask", 8, 100),
    ".apng": PictureFormat("full", 16),
    ".png": PictureFormat("full", 16),
    ".webp": PictureFormat("full", 8, 1000),
}
"""Formats of animations, by suffix."""

_PNG = b"\x89PNG"


def holds_pictures(output: Path) -> bool:
    """Whether an output of this name is an image, an animation or a pattern of images, and not a video."""
    return output.suffix.lower() in (STILLS | ANIMATIONS)


def is_animation(output: Path) -> bool:
    """Whether an output of this name can only be an animation."""
    return output.suffix.lower() in ANIMATIONS.keys() - STILLS.keys()


def is_picture(source: Path) -> bool:
    """Whether a file is an image or an animation that recycle can write in its own format."""
    suffix = source.suffix.lower()
    try:
        if not source.is_file():
            return False
        return suffix in (".gif", ".apng") or (suffix in STILLS and (sniff(source) in (IMAGE, WEBP) or _is_png(source)))
    except OSError:
        return False


def _is_png(source: Path) -> bool:
    """Whether a file begins like a PNG; `sniff` takes an animated one for a video."""
    with source.open("rb") as file:
        return file.read(len(_PNG)) == _PNG


def is_sequence(output: Path, source: Path) -> bool:
    """Whether an output of this name is a pattern of images.

    It is not if it is named after a file, `source`, whose own name looks like a pattern, as 50%discount.jpg does.
    """
    named_after = is_pattern_name(source.name) and output.name.startswith(source.stem) and source.is_file()
    return is_pattern_name(output.name) and not named_after


def format_of(output: Path, source: Path, *, still: bool) -> PictureFormat | None:
    """The format of an output; None if its suffix is not that of a picture. `still`: whether the source is one image.

    A `.png` or `.webp` is an animation unless the source is one image or the name is a pattern.
    """
    table = STILLS if is_sequence(output, source) or (still and not is_animation(output)) else ANIMATIONS
    return table.get(output.suffix.lower())
