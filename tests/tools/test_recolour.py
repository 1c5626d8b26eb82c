"""The yardstick that gives a film the colours of the target domain."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from recycle.dataset.shots import Shot
from recycle.street.film import Street
from tools.reproduction.recolour import colour_transfer

SIZE = (96, 64)


def shot(folder: Path, frames: np.ndarray) -> Shot:
    folder.mkdir()
    files = [folder / f"{n}.png" for n in range(len(frames))]
    for file, frame in zip(files, frames, strict=True):
        cv2.imwrite(str(file), frame[..., ::-1])
    return Shot(files, *SIZE)


def film(look: str) -> np.ndarray:
    street = Street(3, *SIZE, fps=4, seconds=1.0)
    return np.stack([street.frame(n, look) for n in range(len(street))])  # type: ignore[arg-type]


def lab(frames: np.ndarray) -> np.ndarray:
    """By the definition of CIE L*a*b* for sRGB and D65."""
    linear = frames / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    to_xyz = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    x, y, z = np.moveaxis(linear @ np.array(to_xyz).T / (0.950456, 1, 1.088754), -1, 0)
    f = [np.where(v > 0.008856, np.cbrt(v), 7.787 * v + 16 / 116) for v in (x, y, z)]
    return np.stack((116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])), -1)


def test_footage_gets_the_mean_and_the_spread_of_the_others_colours(tmp_path: Path) -> None:
    day, dusk = film("day"), film("sunset")
    translate = colour_transfer({"a": [shot(tmp_path / "a", day)], "b": [shot(tmp_path / "b", dusk)]})
    for frames, target, to in ((day, dusk, "b"), (dusk, day, "a")):
        made = translate(frames, to)  # type: ignore[arg-type]
        assert made.shape == frames.shape
        assert made.dtype == np.uint8
        before, wanted, found = (lab(x).reshape(-1, 3) for x in (frames, target, made))
        expected = (before - before.mean(0)) / before.std(0) * wanted.std(0) + wanted.mean(0)
        inside = (np.abs(lab(made).reshape(-1, 3) - expected) < 1).all(1)  # the others are no colours of a screen
        assert inside.mean() > 0.85
        assert np.abs(found.mean(0) - wanted.mean(0)).max() < 2


def test_equal_pixels_stay_equal_so_that_nothing_flickers(tmp_path: Path) -> None:
    day, night = film("day"), film("night")
    translate = colour_transfer({"a": [shot(tmp_path / "a", day)], "b": [shot(tmp_path / "b", night)]})
    made = translate(day, "b")
    known: dict[bytes, bytes] = {}
    for before, after in zip(day.reshape(-1, 3), made.reshape(-1, 3), strict=True):
        assert known.setdefault(before.tobytes(), after.tobytes()) == after.tobytes()


def test_footage_of_one_colour_gets_the_targets_mean(tmp_path: Path) -> None:
    grey, night = np.full((2, SIZE[1], SIZE[0], 3), 128, np.uint8), film("night")
    translate = colour_transfer({"a": [shot(tmp_path / "a", grey)], "b": [shot(tmp_path / "b", night)]})
    wanted = lab(night).reshape(-1, 3).mean(0)
    assert lab(translate(grey, "b"))[0, 0, 0] == pytest.approx(wanted, abs=1.5)
