"""The objects of a street scene and their motion, as determined by the seed; nothing is drawn here."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from recycle.street.paint import Colour, mix
from recycle.street.view import LONGEST, METRE, Camera

COLOURS: tuple[Colour, ...] = (
    (176, 88, 68), (222, 206, 172), (204, 156, 92), (150, 152, 156), (106, 126, 152),
    (122, 150, 104), (212, 156, 150), (232, 230, 224), (146, 112, 90), (92, 100, 112),
)  # fmt: skip
"""Shared by walls, vehicles and coats, so that colour alone does not identify an object."""

Kind = Literal["car", "hatch", "van", "bus", "bicycle"]
LENGTH: dict[Kind, float] = {"car": 4.3, "hatch": 3.7, "van": 5.0, "bus": 8.8, "bicycle": 1.8}
"""Length of each kind of vehicle in metres."""


@dataclass(frozen=True)
class Look:
    """Light, weather and season of a scene."""

    sky_top: Colour
    sky_low: Colour
    sun: Colour
    """Tint of daylight, around 1."""
    sun_at: tuple[float, float]
    """Screen position of the sun by day and of the moon by night."""
    cloud: float
    haze: float
    rain: bool
    wind: float
    leaves: Colour
    asphalt: Colour
    slabs: Colour
    cloud_tint: Colour = (1.0, 1.0, 1.0)
    """Tint of the clouds by day."""


@dataclass(frozen=True)
class Vehicle:
    """A vehicle on the lane at screen height `y`; it drives in the direction of the sign of `speed`."""

    kind: Kind
    colour: Colour
    x: float
    y: float
    speed: float
    rider: Colour

    def at(self, t: float) -> float:
        """Return its world position at `t` seconds."""
        return self.x + self.speed * t


@dataclass(frozen=True)
class Walker:
    """A pedestrian on the pavement at screen height `y`."""

    x: float
    y: float
    speed: float
    height: float
    phase: float
    coat: Colour
    legs: Colour
    skin: Colour
    hair: Colour
    umbrella: Colour | None
    bag: bool

    def at(self, t: float) -> float:
        """Return its world position at `t` seconds."""
        return self.x + self.speed * t


@dataclass(frozen=True)
class Scene:
    """One scene of the street; `seed` initialises the random choices of its painters."""

    seed: tuple[int, int]
    aspect: float
    look: Look
    camera: Camera
    lamps: tuple[float, ...]
    trees: tuple[float, ...]
    vehicles: tuple[Vehicle, ...]
    """Vehicles, the farthest from the camera first."""
    walkers: tuple[Walker, ...]

    def span(self, depth: float, margin: float = 0.1) -> tuple[float, float]:
        """Return the leftmost and rightmost visible position of a layer, in the layer's coordinates.

        `depth` is the motion of the layer relative to the camera.
        """
        reach = abs(self.camera.start) * depth + self.aspect / 2 + margin
        return -reach, reach


@lru_cache(maxsize=8)
def make_scene(seed: int, index: int, aspect: float) -> Scene:
    """Return scene number `index` of the street with this seed and aspect ratio."""
    rng = np.random.default_rng([seed, index, 1])
    look = _look(rng, aspect)
    speed = float(rng.choice([-1, 1]) * rng.uniform(0.03, 0.1)) if rng.random() < 0.8 else 0.0
    near = 1.03 + (float(rng.uniform(0.05, 0.25)) if rng.random() < 0.4 else 0.0)
    zooms = (near, near + float(rng.uniform(0.0, 0.04) if speed else 0.1))
    zoom = zooms if rng.random() < 0.5 else (zooms[1], zooms[0])
    camera = Camera(-0.5 * speed * LONGEST, speed, zoom, float(rng.uniform(0, 6)))
    empty = Scene((seed, index), aspect, look, camera, (), (), (), ())
    lamps, trees = _kerb(rng, empty)
    lanes = ((0.735, 1), (0.795, 1), (0.895, -1))
    way = int(rng.choice([-1, 1]))
    vehicles = [v for y, side in lanes for v in _lane(rng, empty, y, side * way)]
    return Scene((seed, index), aspect, look, camera, lamps, trees, tuple(vehicles), _walkers(rng, empty))


def pick(rng: np.random.Generator, colours: tuple[Colour, ...] = COLOURS) -> Colour:
    """Return one of `colours`."""
    return colours[int(rng.integers(len(colours)))]


def _look(rng: np.random.Generator, aspect: float) -> Look:
    rain = bool(rng.random() < 0.2)
    haze = float(rng.uniform(0.5, 0.8)) if rng.random() < 0.2 else float(rng.uniform(0.1, 0.4))
    evening = rng.random() < 0.25
    top, low = ((96, 142, 200), (238, 206, 178)) if evening else ((78, 138, 214), (198, 222, 240))
    grey = 0.75 if rain else 0.35 * haze
    leaves = pick(rng, ((86, 128, 62), (98, 140, 74), (122, 150, 104), (196, 132, 60), (70, 112, 66)))
    road = float(rng.uniform(84, 112)) * (0.8 if rain else 1)
    slab = float(rng.uniform(150, 180)) * (0.85 if rain else 1)
    return Look(
        sky_top=mix(top, (150, 160, 172), grey),
        sky_low=mix(low, (196, 200, 206), grey),
        sun=(0.86, 0.88, 0.92) if rain else (1.08, 1.0, 0.88) if evening else (1.04, 1.02, 0.97),
        sun_at=(float(rng.uniform(0.15, 0.85)) * aspect, float(rng.uniform(0.06, 0.16))),
        cloud=0.9 if rain else float(rng.uniform(0.15, 0.7)),
        haze=haze,
        rain=rain,
        wind=float(rng.uniform(-0.025, 0.025)),
        leaves=leaves,
        asphalt=(road * 0.96, road, road * 1.1),
        slabs=(slab, slab * 0.96, slab * 0.88),
    )


def _kerb(rng: np.random.Generator, scene: Scene) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the world positions of lamps and trees along the far kerb."""
    left, right = scene.span(1.0, 0.5)
    x = left + float(rng.uniform(0, 0.3))
    leafy = rng.uniform(0.3, 0.9)
    lamps: list[float] = []
    trees: list[float] = []
    while x < right:
        lamps.append(x)
        pitch = float(rng.uniform(0.55, 0.8))
        if rng.random() < leafy:
            trees.append(x + pitch * float(rng.uniform(0.4, 0.6)))
        x += pitch
    return tuple(lamps), tuple(trees)


def _lane(rng: np.random.Generator, scene: Scene, y: float, way: int) -> list[Vehicle]:
    """Return the vehicles of a lane, which have one speed and constant gaps."""
    bicycles = y < 0.75
    speed = way * float(rng.uniform(0.12, 0.16) if bicycles else rng.uniform(0.2, 0.32))
    reach = abs(speed) * LONGEST
    left, right = scene.span(1.0, 0.4)
    x = left - (reach if way > 0 else 0) + float(rng.uniform(0, 0.6))
    end = right + (reach if way < 0 else 0)
    kinds: tuple[Kind, ...] = ("car", "hatch", "car", "van", "hatch", "car", "hatch", "van", "car", "bus")
    vehicles = []
    while x < end:
        kind: Kind = "bicycle" if bicycles else kinds[int(rng.integers(len(kinds)))]
        half = LENGTH[kind] * METRE / 2
        vehicles.append(Vehicle(kind, pick(rng), x + half, y, speed, pick(rng)))
        x += 2 * half + float(rng.uniform(0.9, 2.2) if bicycles else rng.uniform(0.12, 0.75))
    return vehicles


def _walkers(rng: np.random.Generator, scene: Scene) -> tuple[Walker, ...]:
    """Return the pedestrians: first those on the far pavement, then those close to the camera."""
    walkers = []
    for y, pitch in ((0.688, 0.4), (0.972, 0.75)):
        left, right = scene.span(1.0, 0.6)
        x = left + float(rng.uniform(0, pitch))
        while x < right:
            walkers.append(_walker(rng, x, y + float(rng.uniform(-0.012, 0.012)), scene.look.rain))
            x += pitch * float(rng.uniform(0.5, 1.6))
    return tuple(sorted(walkers, key=lambda walker: walker.y))


def _walker(rng: np.random.Generator, x: float, y: float, rain: bool) -> Walker:
    skins: tuple[Colour, ...] = ((236, 196, 166), (206, 156, 118), (150, 104, 74), (106, 74, 54))
    hairs: tuple[Colour, ...] = ((52, 38, 30), (122, 84, 48), (196, 160, 96), (120, 120, 122))
    trousers: tuple[Colour, ...] = ((52, 58, 78), (70, 66, 62), (120, 110, 96), (40, 42, 48))
    return Walker(
        x=x,
        y=y,
        speed=float(rng.choice([-1, 1]) * rng.uniform(0.045, 0.075)),
        height=float(rng.uniform(1.65, 1.95)),
        phase=float(rng.uniform(0, 6.28)),
        coat=pick(rng),
        legs=pick(rng, trousers),
        skin=pick(rng, skins),
        hair=pick(rng, hairs),
        umbrella=pick(rng) if rain and rng.random() < 0.75 else None,
        bag=bool(rng.random() < 0.35),
    )
