"""Draws headings above the columns of an image. Text scales with the width of a column, so it is always legible."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

ARROW = "→ "
"""Prefix of a text that is drawn as lines, because the fonts of some OpenCV versions contain only ASCII."""
EM = 128
"""Width of a column in pixels to which the lengths below refer."""
LINE, MARGIN, ARROW_LENGTH = 19, 4, 17
"""Height of a line, margin at its left and right, and length of the arrow, in pixels."""
SIZES = (0.5, 0.46, 0.42)
"""Font scales, largest first; the first at which all texts fit is used."""
GROUND, INK = (0, 0, 0), (235, 235, 235)
"""Colours of background and text, RGB."""
FONT = cv2.FONT_HERSHEY_SIMPLEX


def heading(texts: Sequence[str], width: int) -> Image:
    """Draw texts side by side, each in a column of `width` pixels: uint8 RGB (H, len(texts) · width, 3), H even.

    All texts have the same size: the largest of SIZES at which the longest one fits. If none fits, each text is broken
    at its last space. If the lines still do not fit, the text is reduced until they do.
    """
    broken = [[text] if _is_one_word(text) else text.rsplit(" ", 1) for text in texts]
    tries = [(lines, size) for lines in ([[text] for text in texts], broken) for size in SIZES]
    lines, size = next((one for one in tries if _widest(*one, width) <= width), tries[-1])
    while _widest(lines, size, width) > width:  # margins do not shrink, and OpenCV rounds sizes: no formula is exact
        size *= 0.95
    height = 2 * round(LINE * max(map(len, lines)) * width / EM / 2)
    return np.concatenate([_cell(own, size, (height, width)) for own in lines], axis=1)


def _is_one_word(text: str) -> bool:
    return " " not in text.removeprefix(ARROW)


def _cell(lines: Sequence[str], size: float, shape: tuple[int, int]) -> Image:
    height, width = shape
    cell, unit = np.full((height, width, 3), GROUND, np.uint8), width / EM
    for number, line in enumerate(reversed(lines)):
        x, y = round(MARGIN * unit), height - round((number + 0.35) * LINE * unit)
        if line.startswith(ARROW):
            middle, tip = y - round(9 * size * unit), x + round((ARROW_LENGTH - 6) * unit)
            cv2.arrowedLine(cell, (x, middle), (tip, middle), INK, _thickness(width), cv2.LINE_AA, tipLength=0.4)
            x += round(ARROW_LENGTH * unit)
        text = line.removeprefix(ARROW)
        cv2.putText(cell, text, (x, y), FONT, size * unit, INK, _thickness(width), cv2.LINE_AA)
    return cell


def _widest(texts: Sequence[Sequence[str]], size: float, width: int) -> int:
    """Width in pixels of the longest line."""
    unit = width / EM
    widths = []
    for line in (line for lines in texts for line in lines):
        (pixels, _), _ = cv2.getTextSize(line.removeprefix(ARROW), FONT, size * unit, _thickness(width))
        widths.append(pixels + round((2 * MARGIN + ARROW_LENGTH * line.startswith(ARROW)) * unit))
    return max(widths)


def _thickness(width: int) -> int:
    return max(1, round(width / EM))
