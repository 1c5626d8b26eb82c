"""Contact sheets: pictures that a person looks at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from recycle.domains import DIRECTIONS
from recycle.errors import OutputError
from recycle.evaluation.metrics import Pixels
from recycle.system.atomic import atomic_path
from tools.reproduction.task import Films, Translate

ROWS = 5
"""Moments on a sheet, evenly spread over all films."""
_GAP = 3
_WIDE = 1200
"""Pixels from which on a sheet is not enlarged."""


def write_sheet(path: Path, translate: Translate, films: Films) -> None:
    """Moments as rows; for each direction source | translated | truth, or where none is known an unseen real frame."""
    columns: list[list[Pixels]] = []
    for source, target in DIRECTIONS:
        shown, made, beside = [], [], []
        real = [frame for film in films[target] for frame in film.frames]
        for film in films[source]:
            shown += list(film.frames)
            made += list(translate(film.frames, target))
            beside += list(film.truth) if film.truth is not None else [None] * len(film.frames)
        chosen = np.linspace(0, len(shown) - 1, ROWS).round().astype(int)
        others = np.linspace(0, len(real) - 1, ROWS).round().astype(int)
        last = [real[o] if (truth := beside[i]) is None else truth for i, o in zip(chosen, others, strict=True)]
        columns += [[shown[i] for i in chosen], [made[i] for i in chosen], last]
    height = max(column[0].shape[0] for column in columns)
    rows = [joined([_padded(column[row], height) for column in columns], axis=1) for row in range(ROWS)]
    save(path, joined(rows, axis=0))


def write_overview(path: Path, sheets: Mapping[str, Path]) -> None:
    """Sheets of several runs, by name, one below the other."""
    read = {name: cv2.imread(str(file)) for name, file in sheets.items()}
    shown = {name: cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for name, image in read.items() if image is not None}
    if not shown:
        return
    width = max(image.shape[1] for image in shown.values())
    parts = []
    for name, image in shown.items():
        caption = np.full((24, width, 3), 255, np.uint8)
        plain = name.encode("ascii", "replace").decode()
        cv2.putText(caption, plain, (4, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        parts += [caption, np.pad(image, ((0, 0), (0, width - image.shape[1]), (0, 0)), constant_values=255)]
    _write(path, np.concatenate(parts))


def joined(images: Sequence[Pixels], *, axis: int) -> Pixels:
    """Images side by side (axis 1) or below each other (axis 0), with white gaps."""
    shape = list(images[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([part for image in images for part in (image, gap)][:-1], axis=axis)


def save(path: Path, sheet: Pixels) -> None:
    """Write a PNG file, small sheets enlarged. Raises OutputError."""
    if sheet.shape[1] < _WIDE:
        sheet = np.asarray(cv2.resize(sheet, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST), np.uint8)
    _write(path, sheet)


def _write(path: Path, sheet: Pixels) -> None:
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
            raise OutputError(f"cannot write {path}; is the disk full?")


def _padded(image: Pixels, height: int) -> Pixels:
    return np.pad(image, ((0, height - image.shape[0]), (0, 0), (0, 0)), constant_values=255)
