"""Converts high dynamic range and wide gamut to standard video: BT.709 primaries, 203 cd/m² white, gamma 2.4."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Transfer = Literal["pq", "hlg", "sdr"]
Gamut = Literal["bt2020", "p3"]
"""Primaries of a source: ITU-R BT.2020, or P3 with the white D65 (Display P3)."""

SDR_WHITE = 203.0
"""Luminance of reference white in cd/m² (ITU-R BT.2408)."""
PEAK = 1000.0
"""Luminance in cd/m² that is mapped to white; most HDR video is mastered for it. Brighter light is clipped."""

_TO_BT709: dict[Gamut, Float] = {
    "bt2020": np.array(
        [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
    ),
    "p3": np.array([[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09828]], dtype=np.float32),
}
"""Matrices for linear light: ITU-R BT.2087; and from the primaries of SMPTE EG 432-1 and ITU-R BT.709."""
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)


def to_standard(rgb: NDArray[np.uint16], transfer: Transfer, gamut: Gamut = "bt2020") -> NDArray[np.uint16]:
    """Convert RGB (H, W, 3) of a wide gamut, full-range uint16, to BT.709 RGB of the same shape and dtype.

    `transfer` is the transfer function of the input: 'pq' is SMPTE ST 2084, 'hlg' is ITU-R BT.2100 for a display of
    1000 cd/m², 'sdr' is gamma 2.4 and converts only the gamut. 'pq' and 'hlg' are tone-mapped with the curve of ITU-R
    BT.2390, section 5.4. The curve is applied to the largest of R, G and B, which preserves hues. Colours outside
    BT.709 are clipped.
    """
    light: Float = _eotf(transfer)[rgb]
    if transfer == "hlg":  # scene light → display light (OOTF with gamma 1.2 at 1000 cd/m²)
        light *= PEAK * np.maximum(light @ _BT2020_LUMA, 1e-6)[..., None] ** np.float32(0.2)
    if transfer != "sdr":
        largest = light.max(axis=-1, keepdims=True)
        light *= _tone_curve(largest) / np.maximum(largest, 1e-6)
    light = np.clip(light @ _TO_BT709[gamut].T / SDR_WHITE, 0, 1)
    return (light ** np.float32(1 / 2.4) * 65535 + 0.5).astype(np.uint16)


@cache
def _eotf(transfer: Transfer) -> Float:
    """Linear light of each of the 65536 levels: cd/m², or for 'hlg' scene light in [0, 1]."""
    level = np.arange(65536, dtype=np.float64) / 65535
    if transfer == "pq":
        return _pq_to_light(level).astype(np.float32)
    if transfer == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12).astype(np.float32)
    return (SDR_WHITE * level**2.4).astype(np.float32)


def _tone_curve(light: Float) -> Float:
    """Map cd/m² in [0, PEAK] to [0, SDR_WHITE]: dark and middle tones stay, highlights are compressed (BT.2390)."""
    return np.interp(light, *_tone_points()).astype(np.float32)


@cache
def _tone_points() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the tone curve: input and output in cd/m²."""
    top = float(_light_to_pq(np.array(PEAK)))
    white = float(_light_to_pq(np.array(SDR_WHITE))) / top
    knee = 1.5 * white - 0.5
    steps = np.linspace(0, 1, 4096)
    t = np.clip((steps - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    mapped = _pq_to_light(np.where(steps < knee, steps, spline) * top)
    return _pq_to_light(steps * top), mapped


_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def _pq_to_light(level: NDArray[np.float64]) -> NDArray[np.float64]:
    root = level ** (1 / _M2)
    light: NDArray[np.float64] = 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return light


def _light_to_pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    power = (light / 10000) ** _M1
    level: NDArray[np.float64] = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return level
