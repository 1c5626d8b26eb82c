"""All appearances show the same moments, and no colour mapping converts day to night."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from recycle.config import Appearance
from recycle.street.film import Street
from recycle.street.layers import make_layers
from recycle.street.paint import LABELS
from recycle.street.scene import make_scene
from recycle.street.weather import dressed

FILM = Street(seed=0, width=160, height=96, fps=12, seconds=30)
CONDITIONS: tuple[Appearance, ...] = ("day", "sunset", "rain", "snow", "night")
OTHER = Street(seed=1, width=160, height=96, fps=12, seconds=30)


def moments(film: Street) -> list[int]:
    return [start + step for start in film.cuts() for step in (6, 36) if start + step < len(film)]


@cache
def shown(film: Street, appearance: Appearance) -> np.ndarray:
    """(N, H, W, 3) float64 frames of each shot."""
    return np.stack([film.frame(index, appearance) for index in moments(film)]).astype(float)


@pytest.fixture(scope="module")
def day() -> np.ndarray:
    return shown(FILM, "day")


@pytest.fixture(scope="module")
def night() -> np.ndarray:
    return shown(FILM, "night")


@pytest.fixture(scope="module")
def masks() -> dict[str, np.ndarray]:
    labels = shown(FILM, "labels")
    return {name: (labels == colour).all(axis=-1) for name, colour in LABELS.items()}


def inside(mask: np.ndarray) -> np.ndarray:
    """Pixels whose four neighbours are of their class as well."""
    return mask & np.all([np.roll(mask, d, axis) for axis in (1, 2) for d in (-1, 1)], axis=0)


def luma(frames: np.ndarray) -> np.ndarray:
    return np.asarray(frames @ (0.299, 0.587, 0.114))


def test_labels_hold_exactly_the_palette_and_every_class(masks: dict[str, np.ndarray]) -> None:
    assert len(LABELS) >= 8
    assert len(set(LABELS.values())) == len(LABELS)
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in masks.values()), 1)
    for name, mask in masks.items():
        assert mask.mean() > 0.003, name


@pytest.mark.parametrize("appearance", CONDITIONS)
def test_edges_of_the_sky_lie_where_the_labels_say(appearance: Appearance, masks: dict[str, np.ndarray]) -> None:
    light = luma(shown(FILM, appearance))
    step = np.abs(np.diff(light, axis=2))
    outline = masks["sky"][:, :, 1:] ^ masks["sky"][:, :, :-1]

    def strength(shift: int) -> float:
        return float(step[:, :, 4:-4][np.roll(outline, shift, axis=2)[:, :, 4:-4]].mean())

    assert strength(0) > 1.5 * max(strength(-3), strength(3))
    assert strength(0) > max(strength(-1), strength(1))


def test_windows_shine_at_night_and_walls_do_not(
    day: np.ndarray, night: np.ndarray, masks: dict[str, np.ndarray]
) -> None:
    window, wall = inside(masks["window"]), inside(masks["building"])
    by_night = np.median(luma(night)[window]) / np.median(luma(night)[wall])
    by_day = np.median(luma(day)[window]) / np.median(luma(day)[wall])
    assert by_night > 2.5
    assert by_day < 1.5
    assert 0.6 < (luma(night)[window] > 110).mean() < 0.95, "most windows are lit, some are not"
    warm = night[window][luma(night)[window] > 110]
    assert (warm[:, 0] > warm[:, 2]).mean() > 0.6


def test_night_is_dark_but_not_black(day: np.ndarray, night: np.ndarray, masks: dict[str, np.ndarray]) -> None:
    sky, wall = inside(masks["sky"]), inside(masks["building"])
    assert luma(night).mean() < 0.6 * luma(day).mean()
    assert night[sky][:, 2].mean() > 1.4 * night[sky][:, 0].mean(), "the sky of the night is blue"
    assert luma(night)[sky].mean() < 0.3 * luma(day)[sky].mean()
    assert 0.12 < np.median(luma(night)[wall] / luma(day)[wall]) < 0.5
    colours = np.corrcoef(
        (day - day.mean(-1, keepdims=True))[wall].ravel(), (night - night.mean(-1, keepdims=True))[wall].ravel()
    )
    assert colours[0, 1] > 0.4, "a wall's colour can be told at night"


def test_a_closed_blind_by_day_is_a_dark_window_by_night(
    day: np.ndarray, night: np.ndarray, masks: dict[str, np.ndarray]
) -> None:
    """The appearance of windows by day determines which are dark: a linear rule predicts most of them."""
    window = inside(masks["window"])
    around = [np.roll(day, (dy, dx), (1, 2))[window] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    looks = np.concatenate([*around, np.ones((window.sum(), 1))], axis=1)
    lit = luma(night)[window] > 110
    rule = np.linalg.lstsq(looks, lit.astype(float), rcond=None)[0]
    guess = looks @ rule
    assert np.mean(guess[lit][:, None] > np.quantile(guess[~lit], np.linspace(0, 1, 101))) > 0.75


def codes(frames: np.ndarray, bits: int = 5) -> np.ndarray:
    """The colour of each pixel as one number of `bits` bits for each channel."""
    r, g, b = (frames[..., channel].astype(int) >> (8 - bits) for channel in range(3))
    return np.asarray(((r << bits) + g << bits) + b)


def test_the_best_map_of_colours_misses_the_night(
    day: np.ndarray, night: np.ndarray, masks: dict[str, np.ndarray]
) -> None:
    """Even if it is fitted to the tested frames, and more so on another film."""
    size = 1 << 15
    known = codes(day).ravel()
    count = np.bincount(known, minlength=size)
    table = np.stack(
        [np.bincount(known, night[..., c].ravel(), size) / np.maximum(count, 1) for c in range(3)], axis=-1
    )
    error = np.abs(table[codes(day)] - night).mean(axis=-1)
    assert error[masks["window"]].mean() > 30
    table[count == 0] = night.reshape(-1, 3).mean(axis=0)
    elsewhere, truth, labels = (shown(OTHER, appearance) for appearance in ("day", "night", "labels"))
    window = (labels == LABELS["window"]).all(axis=-1)
    assert np.abs(table[codes(elsewhere)] - truth).mean(axis=-1)[window].mean() > 40


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("building", "vehicle"),
        ("building", "pavement"),
        ("sky", "window"),
        ("building", "vegetation"),
        ("building", "person"),
    ],
)
def test_classes_share_colours_by_day(one: str, other: str, day: np.ndarray, masks: dict[str, np.ndarray]) -> None:
    """Much of one class has a colour that also occurs often in the other class."""
    first, second = codes(day, 4)[inside(masks[one])], codes(day, 4)[inside(masks[other])]
    common = np.bincount(first, minlength=1 << 12) >= 10
    assert common[second].mean() > 0.25


def test_motion_is_the_same_in_every_appearance() -> None:
    """Every appearance changes where vehicles and people move between two frames, and much less elsewhere."""
    for start in FILM.cuts():
        labels = [FILM.frame(start + k, "labels").astype(int) for k in (10, 12)]
        moving = np.zeros(labels[0].shape[:2], bool)
        for name in ("vehicle", "person"):
            moving |= (labels[0] == LABELS[name]).all(-1) ^ (labels[1] == LABELS[name]).all(-1)
        assert moving.sum() > 5
        for appearance in (*CONDITIONS, "thermal"):
            frames = [FILM.frame(start + k, appearance).astype(float) for k in (10, 12)]
            change = np.abs(frames[0] - frames[1]).mean(axis=-1)
            assert change[moving].mean() > 1.5 * change[~moving].mean(), (start, appearance)


def warmth(frames: np.ndarray) -> np.ndarray:
    return np.asarray(frames[..., 0] - frames[..., 2])


def paleness(frames: np.ndarray) -> np.ndarray:
    """How far each pixel is from grey: 0 for a grey one."""
    return np.asarray(frames.max(-1) - frames.min(-1))


@pytest.mark.parametrize("scene", range(3))
def test_no_appearance_changes_a_label(scene: int) -> None:
    """Static parts have the same classes and glows in every appearance; moving parts have none."""
    plain = make_scene(5, scene, 160 / 96)
    codes = [layer.pixels[..., 3] for layer in make_layers(plain, 96)]
    for appearance in ("sunset", "rain", "snow"):
        other = make_layers(replace(plain, look=dressed(plain.look, appearance)), 96)
        assert dressed(plain.look, appearance) != plain.look
        for code, layer in zip(codes, other, strict=True):
            np.testing.assert_array_equal(code, layer.pixels[..., 3])


def test_at_sunset_the_sky_and_the_upper_floors_are_warm_and_the_street_is_in_shade(
    day: np.ndarray, masks: dict[str, np.ndarray]
) -> None:
    sunset = shown(FILM, "sunset")
    sky, wall, road = (inside(masks[name]) for name in ("sky", "building", "road"))
    assert warmth(sunset)[sky].mean() > warmth(day)[sky].mean() + 40
    upper, lower = (np.arange(96)[:, None] < 34) & wall, (np.arange(96)[:, None] > 50) & wall
    assert warmth(sunset)[upper].mean() > 2 * warmth(sunset)[lower].mean()
    assert luma(sunset)[road].mean() < 0.75 * luma(day)[road].mean()


def test_in_rain_every_scene_is_grey_and_its_ground_mirrors_what_stands_above(masks: dict[str, np.ndarray]) -> None:
    rain, sunset, snow = (shown(FILM, appearance) for appearance in ("rain", "sunset", "snow"))
    assert paleness(rain)[inside(masks["sky"])].mean() < 25
    assert luma(rain)[masks["sky"]].mean() < luma(snow)[masks["sky"]].mean()
    road = masks["road"][:, 76:84]  # these rows mirror those around 55
    above = rain[:, 52:60][:, ::-1]

    def likeness(frames: np.ndarray) -> float:
        pairs = [
            np.corrcoef(frame[mask][:, c], wall[mask][:, c])[0, 1]
            for frame, wall, mask in zip(frames[:, 76:84], above, road, strict=True)
            for c in (0, 2)
        ]
        return float(np.mean(pairs))

    assert likeness(rain) > likeness(sunset) + 0.2


def test_snow_lies_on_the_ground_on_roofs_and_on_trees(day: np.ndarray, masks: dict[str, np.ndarray]) -> None:
    snow = shown(FILM, "snow")
    for name, least in (("pavement", 190), ("road", 140), ("vegetation", 120)):
        area = inside(masks[name])
        assert luma(snow)[area].mean() > max(least, 1.2 * luma(day)[area].mean()), name
    wall = masks["building"]
    roof = wall & np.roll(masks["sky"], 1, axis=1)
    roof[:, 0] = False
    assert luma(snow)[roof].mean() > luma(snow)[wall].mean() + 30
    assert paleness(snow)[wall].mean() < 0.8 * paleness(day)[wall].mean()


def test_snowflakes_fall(masks: dict[str, np.ndarray]) -> None:
    """Against the sky: the picture of the next moment fits better when it is moved down than when it is moved up."""
    film = Street(seed=0, width=320, height=192, fps=48, seconds=5)
    one, other = (luma(film.frame(index, "snow").astype(float)) for index in (20, 21))
    sky = (film.frame(20, "labels") == LABELS["sky"]).all(-1)
    one, other = (np.where(sky, frame - np.median(frame[sky]), 0) for frame in (one, other))

    def fit(down: int) -> float:
        return float((np.roll(one, down, axis=0) * other)[8:-8].sum())

    assert fit(1) > fit(-1)


def test_the_thermal_picture_is_grey_and_as_warm_as_its_classes(masks: dict[str, np.ndarray]) -> None:
    thermal = shown(FILM, "thermal")
    assert paleness(thermal).max() == 0
    grey = {name: float(np.median(thermal[..., 0][inside(mask)])) for name, mask in masks.items()}
    assert grey["sky"] < grey["window"] < grey["building"] < grey["road"] < grey["person"]
    assert grey["vegetation"] < grey["building"]


def test_paint_does_not_show_in_the_thermal_picture(day: np.ndarray, masks: dict[str, np.ndarray]) -> None:
    """Walls of many colours by day have nearly one grey level, so it does not follow the day's brightness."""
    thermal, wall = shown(FILM, "thermal"), inside(masks["building"])
    assert np.std(thermal[..., 0][wall]) < 0.5 * np.std(luma(day)[wall])
    assert abs(np.corrcoef(thermal[..., 0].ravel(), luma(day).ravel())[0, 1]) < 0.6


def test_the_road_is_warmer_below_engines_and_colder_in_rain(masks: dict[str, np.ndarray]) -> None:
    thermal = shown(FILM, "thermal")[..., 0]
    road = inside(masks["road"])
    below = road & np.roll(masks["vehicle"], 2, axis=1)
    below[:, :2] = False
    assert thermal[below].mean() > thermal[road].mean() + 5
    shots = np.searchsorted(FILM.cuts(), moments(FILM), side="right") - 1
    wet = np.array([make_scene(0, int(shot), 160 / 96).look.rain for shot in shots])
    assert wet.any()
    assert thermal[wet][road[wet]].mean() < 0.85 * thermal[~wet][road[~wet]].mean()


def test_a_rainy_scene_is_dry_at_sunset_and_every_scene_is_wet_in_rain() -> None:
    rainy = next(scene for n in range(40) if (scene := make_scene(0, n, 160 / 96)).look.rain)
    assert not dressed(rainy.look, "sunset").rain
    assert not dressed(rainy.look, "snow").rain
    assert dressed(rainy.look, "rain").rain
    assert dressed(rainy.look, "day") == rainy.look == dressed(rainy.look, "night")
