"""Reads the colours of label maps: those of the procedural street or of a palette file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from recycle.errors import ConfigError
from recycle.safe_text import brief, printable
from recycle.street.paint import LABELS

Palette = Mapping[str, tuple[int, int, int]]
"""Label → its colour (R, G, B), each from 0 to 255."""

LARGEST_FILE = 1 << 16
"""Maximum size of a palette file in bytes."""
MOST_LABELS, LONGEST_LABEL = 256, 100
"""Maximum number of labels, and maximum length of a label in characters."""
_LINE = re.compile(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*)")


def open_palette(palette: Literal["street"] | Path) -> Palette:
    """The labels of the street, or of a text file that has a line `R G B name` for each label.

    CamVid (Brostow et al. 2009) contains such a file, label_colors.txt. Empty lines and lines that begin with # are
    skipped. Raises ConfigError, whose single line names the file and the line, for any other content, a number above
    255, a repeated label or colour, fewer than 2 labels, or more than MOST_LABELS labels.
    """
    return dict(LABELS) if palette == "street" else _read(palette)


def _read(file: Path) -> Palette:
    labels: dict[str, tuple[int, int, int]] = {}
    lines: dict[str | tuple[int, int, int], int] = {}
    for number, text in _lines(file):
        where = f"{file}, line {number}"
        name, colour = _parsed(text, where)
        for what, each in (("label", name), ("colour", colour)):
            if each in lines:
                shown = name if what == "label" else " ".join(map(str, colour))
                raise ConfigError(
                    f"{where}: the {what} {shown} already occurs in line {lines[each]}; change one of them"
                )
            lines[each] = number
        labels[name] = colour
        if len(labels) > MOST_LABELS:
            raise ConfigError(f"{where}: a palette has at most {MOST_LABELS} labels; remove some")
    if len(labels) < 2:
        raise ConfigError(
            f"{file} is not a palette: it has {len(labels)} labels and needs at least 2; write a line for each, such "
            "as '128 64 128 road'"
        )
    return labels


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line that is neither empty nor a comment."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the palette {file}: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{file} is not a palette: it is larger than {LARGEST_FILE >> 10} KiB")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not a palette: it is not text in UTF-8") from error
    for number, line in enumerate(lines, 1):
        if (text := line.strip()) and not text.startswith("#"):
            yield number, text


def _parsed(text: str, where: str) -> tuple[str, tuple[int, int, int]]:
    match = _LINE.fullmatch(text)
    name = match[4] if match else ""
    if match is None or len(name) > LONGEST_LABEL or printable(name) != name:
        raise ConfigError(
            f"{where}: expected a colour and a label of at most {LONGEST_LABEL} letters, such as "
            f"'128 64 128 road', got {brief(text)}"
        )
    red, green, blue = (int(match[n]) for n in (1, 2, 3))
    if max(red, green, blue) > 255:
        raise ConfigError(f"{where}: R, G and B must be numbers from 0 to 255, got {red} {green} {blue}")
    return name, (red, green, blue)
