"""Finds images whose names end in a number, and formats lists of names for messages."""

import re
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
_NAMED = 5
"""Maximum number of names in a list; the others are counted."""


def listed(names: list[str]) -> str:
    """Format names for a message: the first few, and the number of others."""
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def numbered_images(folder: Path) -> list[Path]:
    """Images in a folder whose names end in a number, in numeric order; hidden files are ignored. Raises OSError."""
    files = [path for path in folder.iterdir() if _is_numbered_image(path)]
    return sorted(files, key=lambda path: natural_key(path.name))


def natural_key(name: str) -> list[str | int]:
    """Sort key that ignores case and compares numbers by value: `frame 10` comes after `frame 9`."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def _is_numbered_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and re.search(r"\d$", path.stem) is not None
        and path.is_file()
    )
