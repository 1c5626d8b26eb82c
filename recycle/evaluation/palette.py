"""The colours of label maps: those of the procedural street, or of a file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from recycle.errors import ConfigError
from recycle.safe_text import brief, printable
from recycle.street.film import LABELS

Palette = Mapping[str, tuple[int, int, int]]
"""Label → its colour, R, G and B from 0 to 255."""

LARGEST_FILE = 1 << 16
"""Bytes."""
MOST_LABELS, LONGEST_LABEL = 256, 100
_LINE = re.compile(r"(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})\s+(\S.*)")


def open_palette(palette: Literal["street"] | Path) -> Palette:
    """The labels of the street, or those of a text file with a line `R G B name` for each.

    Such a file comes with CamVid (Brostow et al. 2009) as label_colors.txt. Empty lines and lines that begin with # are
    skipped. Raises ConfigError, in one line that names the file and the line, for anything else, for a number above 255
    or a label or colour that comes twice; and for fewer than 2 or more than MOST_LABELS labels.
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
                raise ConfigError(f"{where}: the {what} {shown} is that of line {lines[each]}; change one of them")
            lines[each] = number
        labels[name] = colour
        if len(labels) > MOST_LABELS:
            raise ConfigError(f"{where}: a palette has at most {MOST_LABELS} labels; leave some out")
    if len(labels) < 2:
        raise ConfigError(
            f"{file} is no palette: it has {len(labels)} labels and needs at least 2; write a line for each, such as "
            "'128 64 128 road'"
        )
    return labels


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the lines that hold something."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the palette {file}: {error.strerror}") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{file} is no palette: it has more than {LARGEST_FILE >> 10} KiB")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is no palette: it is not text in UTF-8") from error
    for number, line in enumerate(lines, 1):
        if (text := line.strip()) and not text.startswith("#"):
            yield number, text


def _parsed(text: str, where: str) -> tuple[str, tuple[int, int, int]]:
    match = _LINE.fullmatch(text)
    name = match[4] if match else ""
    if match is None or len(name) > LONGEST_LABEL or printable(name) != name:
        raise ConfigError(
            f"{where}: a colour and a label of at most {LONGEST_LABEL} letters are expected, such as "
            f"'128 64 128 road', got {brief(text)}"
        )
    red, green, blue = (int(match[n]) for n in (1, 2, 3))
    if max(red, green, blue) > 255:
        raise ConfigError(f"{where}: R, G and B are numbers from 0 to 255, got {red} {green} {blue}")
    return name, (red, green, blue)
