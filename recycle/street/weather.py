"""Sunset, rain and snow: the look of a scene in each, and its light.

The geometry of a scene does not depend on its look, so its labels are the same in any weather.
"""

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from recycle.config import Appearance
from recycle.street.light import Shot, bloom, daylight, paler, shoulder, wet
from recycle.street.paint import GLOWS, LABEL_OF, Colour, Glow, dim, mix
from recycle.street.scene import Look
from recycle.street.view import BASE

_SUN: Colour = (1.2, 0.84, 0.52)
_DUSK: Colour = (0.62, 0.53, 0.6)
_FLARE: Colour = (96, 48, 4)
"""Light reflected by windows that face the low sun."""
_MIST: Colour = (142, 150, 160)
_BEHIND_CLOUDS = (0.0, -9.0)  # outside of every frame


def dressed(look: Look, appearance: Appearance) -> Look:
    """Return the look of a scene in this appearance; day, night and labels do not change it."""
    if appearance == "sunset":
        return replace(
            look,
            sky_top=(84, 92, 152),
            sky_low=(255, 164, 96),
            sun=(1.0, 1.0, 1.0),
            sun_at=(look.sun_at[0], 0.2 + look.sun_at[1]),
            cloud=min(look.cloud, 0.6),
            cloud_tint=(1.0, 0.7, 0.64),
            rain=False,
        )
    if appearance == "rain":
        dry = 1.0 if look.rain else 0.8
        return replace(
            look,
            sky_top=(126, 134, 146),
            sky_low=(168, 174, 182),
            sun=(0.72, 0.76, 0.82),
            sun_at=_BEHIND_CLOUDS,
            cloud=0.95,
            cloud_tint=(0.84, 0.86, 0.89),
            haze=max(look.haze, 0.6),
            rain=True,
            asphalt=dim(look.asphalt, dry),
            slabs=dim(look.slabs, 0.85 * dry),
        )
    if appearance == "snow":
        return replace(
            look,
            sky_top=(186, 193, 204),
            sky_low=(218, 222, 228),
            sun=(0.9, 0.94, 1.0),
            sun_at=_BEHIND_CLOUDS,
            cloud=0.95,
            cloud_tint=(0.88, 0.9, 0.93),
            haze=0.85,
            rain=False,
            leaves=mix(look.leaves, (226, 230, 236), 0.3),
        )
    return look


def sunset(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment with the sun low behind the opposite houses, (H, W, 3) float32; `sky` has the same form.

    The sun lights the upper floors; everything below is in the shade of the opposite roofs.
    """
    lit = _sunlit(shot)[..., None]
    scene = daylight(shot, np.zeros_like(sky), shadow=2.2)
    scene *= np.asarray(_DUSK, np.float32) + lit * (np.asarray(_SUN, np.float32) - np.asarray(_DUSK, np.float32))
    scene += lit * shot.cover("window") * np.asarray(_FLARE, np.float32)
    return shoulder(_shine(shot, scene, _AT_DUSK) + sky * shot.cover("sky"))


def rain(shot: Shot, sky: np.ndarray) -> np.ndarray:
    """Return the moment under a grey sky with mirroring ground, (H, W, 3) float32; `sky` has the same form."""
    behind = shot.cover("sky")
    scene = paler(daylight(shot, np.zeros_like(sky), shadow=0.6), 0.35)
    scene += 0.1 * (np.asarray(_MIST, np.float32) - scene) * (1 - behind)
    return shoulder(wet(_shine(shot, scene, _IN_RAIN) + sky * behind, shot.cover("road", "pavement"), 0.55))


def _sunlit(shot: Shot) -> np.ndarray:
    """Return the proportion of low sunlight that reaches each pixel at the facades: (H, W) float32 in [0, 1]."""
    height, width = shot.size
    zoom, half = shot.view.zoom, shot.view.aspect / 2
    x = ((np.arange(width, dtype=np.float32) + 0.5) / height - half) / zoom + shot.view.x
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5 - shot.view.sway) / zoom + 0.5
    rng = np.random.default_rng([*shot.scene.seed, 14])
    reach = 8.0
    roofs = np.sort(rng.uniform(-reach, reach, 40))
    line = np.interp(x, roofs, rng.uniform(0.36, 0.56, 40))
    return np.asarray(np.clip((line[None, :] - y[:, None]) / 0.02 + 0.5, 0, 1) * (y[:, None] < BASE), np.float32)


def _table(power: Mapping[Glow, float]) -> np.ndarray:
    """Return the light of each code, each glow scaled by its `power` in [0, 1]: (256,) uint32 of 4 bytes."""
    table = np.zeros((256, 4), np.uint8)
    for number, (name, glow) in enumerate(GLOWS.items()):
        for label in LABEL_OF.values():
            table[label + 16 * number, :3] = np.round(dim(glow, power.get(name, 0.0)))
    return table.view(np.uint32)[:, 0]


_AT_DUSK = _table({**dict.fromkeys(GLOWS, 0.5), "cool": 0.0, "drawn": 0.2, "far": 0.3, "head": 0.9, "tail": 0.9})
_IN_RAIN = _table({"shop": 0.3, "amber": 0.2, "bus": 0.3, "head": 0.85, "tail": 0.85})


def _shine(shot: Shot, scene: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the scene with the light of its glowing surfaces added."""
    glow = shot.shrink(table[shot.picture[..., 3]].view(np.uint8).reshape(*shot.picture.shape))[..., :3]
    bright = cv2.max(cv2.max(glow[..., 0], glow[..., 1]), glow[..., 2])[..., None]
    return np.asarray(scene * (1 - np.minimum(0.6, bright / 300)) + glow + 0.5 * bloom(glow, 0.031), np.float32)
