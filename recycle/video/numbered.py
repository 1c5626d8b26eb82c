"""Finds images whose names end in a number or match a pattern, and formats lists of names for messages."""

import os
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


def is_pattern(path: Path) -> bool:
    """Whether a name is a pattern of numbered images, such as `frame_%05d.png`, and not that of an existing file."""
    return is_pattern_name(path.name) and not os.path.lexists(path)


def is_pattern_name(name: str) -> bool:
    """Whether a name is that of a pattern, whether or not there is such a file."""
    return _pattern(name) is not None


def pattern_name(pattern: str, number: int) -> str:
    """The name of the image with this number, from the name of a pattern: `frame_%05d.png`, 7 → `frame_00007.png`."""
    found = _pattern(pattern)
    assert found is not None, "is_pattern is true"
    head, width, tail = found
    return f"{head}{number:0{width}d}{tail}"


def images_at(path: Path) -> list[Path] | None:
    """The images of a folder or a pattern, in numeric order; None if `path` is neither. Raises OSError.

    A pattern matches numbers with at least as many digits as it has places, as `%05d` in C.
    """
    if path.is_dir():
        return numbered_images(path)
    if not is_pattern(path):
        return None
    head, width, tail = _pattern(path.name) or ("", 0, "")
    number = re.compile(rf"{re.escape(head)}(\d{{{max(1, width)},18}}){re.escape(tail)}", re.ASCII)
    found = {file: match for file in path.parent.iterdir() if (match := number.fullmatch(file.name)) and file.is_file()}
    return sorted(found, key=lambda file: (int(found[file][1]), file.name))


def natural_key(name: str) -> list[str | int]:
    """Sort key that ignores case and compares numbers by value: `frame 10` comes after `frame 9`."""
    return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", name)]


def _pattern(name: str) -> tuple[str, int, str] | None:
    """The text before the number, its least number of digits, and the text after it; None if `name` is no pattern.

    As in C, `%%` stands for a percent sign. One that starts no number may stand alone.
    """
    numbers = [found for found in re.finditer(r"%%|%(?:0(\d))?d", name) if found[0] != "%%"]
    if len(numbers) != 1 or Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        return None
    head, tail = (text.replace("%%", "%") for text in (name[: numbers[0].start()], name[numbers[0].end() :]))
    return head, int(numbers[0][1] or 0), tail


def _is_numbered_image(path: Path) -> bool:
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and re.search(r"\d$", path.stem) is not None
        and path.is_file()
    )
