"""Keeps some of the source in its translation: its colours, a share of its light, or the part outside a mask.

Levels are taken as sRGB (IEC 61966-2-1), as most screens show them. Light adds up in linear light and not in levels:
a mean of levels is darker than the mean of two lights.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recycle.video.frame import Pixels

Light = NDArray[np.float32]
"""Linear light in [0, 1]."""

_XYZ = np.array(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)))
"""Linear sRGB to CIE XYZ (IEC 61966-2-1)."""
_OF_WHITE = (_XYZ / _XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
"""Linear sRGB to XYZ relative to white, so that grey g has X = Y = Z = g."""
_TO_RGB = np.linalg.inv(_OF_WHITE.astype(np.float64)).astype(np.float32)
_KNEE = 6 / 29


def blend(source: Pixels, translated: Pixels, share: float | NDArray[np.float32]) -> Pixels:
    """Mix two pictures in linear light: (1 − w) x + w y for a source x, its translation y and their `share` w.

    Both pictures are (…, 3), uint8 or uint16, like the result. `share` is in [0, 1]: one number, or one for each pixel.
    Where it is 0 the result is the source, and where it is 1 the translation, bit for bit.
    """
    weights = np.broadcast_to(np.asarray(share, np.float32), source.shape[:-1])
    out = np.where(weights[..., None] >= 1, translated, source)
    between = (weights > 0) & (weights < 1)
    w = weights[between][:, None]
    out[between] = _to_levels((1 - w) * _to_light(source[between]) + w * _to_light(translated[between]), source.dtype)
    return out


def keep_colour(source: Pixels, translated: Pixels) -> Pixels:
    """The colour of the source at the lightness of its translation: a*, b* of one and L* of the other (CIELAB, D65).

    Both pictures are (…, 3), uint8 or uint16, like the result. Not every lightness exists in every colour: where the
    result would leave the range of RGB, its saturation is reduced until it fits. This keeps the lightness (ClipColor of
    W3C, "Compositing and Blending Level 1", section 10.2, in linear light). Source of CIELAB: CIE 15:2004, section 8.2.
    """
    own = _root(_to_light(source) @ _OF_WHITE.T)
    lightness = _root(_to_light(translated) @ _OF_WHITE[1])
    xyz = _cube(own + (lightness - own[..., 1])[..., None])  # a* and b* are differences of roots: they stay
    return _to_levels(_clip_colour(xyz @ _TO_RGB.T, xyz[..., 1:2]), source.dtype)


def _clip_colour(rgb: Light, luminance: Light) -> Light:
    """Move colours (…, 3) out of range towards the grey of their `luminance` (…, 1) until they are in [0, 1]."""
    low, high = rgb.min(axis=-1, keepdims=True), rgb.max(axis=-1, keepdims=True)
    fits = np.ones_like(low)
    np.divide(luminance, luminance - low, out=fits, where=low < 0)
    above = np.ones_like(high)
    np.divide(1 - luminance, high - luminance, out=above, where=high > 1)
    return np.asarray(luminance + np.minimum(fits, above) * (rgb - luminance))


def _root(light: Light) -> Light:
    """f(t) of CIELAB."""
    return np.where(light > _KNEE**3, np.cbrt(light), light / np.float32(3 * _KNEE**2) + np.float32(4 / 29))


def _cube(root: Light) -> Light:
    """The inverse of `_root`."""
    return np.where(root > _KNEE, root**3, np.float32(3 * _KNEE**2) * (root - np.float32(4 / 29)))


def _to_light(pixels: Pixels) -> Light:
    return _light_of(np.iinfo(pixels.dtype).max)[pixels]


@lru_cache(maxsize=2)
def _light_of(highest: int) -> Light:
    """The light of every level from 0 to `highest`."""
    v = np.arange(highest + 1) / highest
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _to_levels(light: Light, dtype: "np.dtype[np.unsignedinteger]") -> Pixels:
    light = np.clip(light, 0, 1)
    v = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, np.float32(1 / 2.4)) - 0.055)
    return np.asarray(np.rint(np.clip(v, 0, 1) * np.iinfo(dtype).max), dtype=dtype)
