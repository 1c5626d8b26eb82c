"""The sound of a scene: traffic rumble, passing vehicles, steps, birds, rain."""

import math

import numpy as np

from recycle.street.people import step_phase
from recycle.street.scene import LENGTH, Scene, Vehicle
from recycle.street.view import LONGEST, parallax


def scene_audio(scene: Scene, samples: int, rate: int) -> np.ndarray:
    """Return the sound of a scene's first `samples` at `rate` Hz: (samples, 2) float32 in ±0.5."""
    rng = np.random.default_rng([*scene.seed, 9])
    times = np.arange(samples, dtype=np.float64) / rate
    sound = 0.035 * np.stack([_noise(rng, samples, rate, 30, 190) for _ in range(2)], axis=1)
    for vehicle in scene.vehicles:
        _add_vehicle(sound, rng, scene, vehicle, times, rate)
    _add_steps(sound, rng, scene, rate)
    if scene.look.rain:
        sound += 0.03 * np.stack([_noise(rng, samples, rate, 1500, 9000) for _ in range(2)], axis=1)
    elif scene.trees:
        _add_birds(sound, rng, rate)
    fade = np.clip(np.minimum(times, times[::-1] if samples else times) / 0.01, 0, 1)
    return np.asarray(0.48 * np.tanh(sound / 0.48) * fade[:, None], np.float32)


def _noise(rng: np.random.Generator, samples: int, rate: int, low: float, high: float) -> np.ndarray:
    """Return band-limited noise between two frequencies in Hz, with a root mean square of 1."""
    length = 1 << max(8, (samples - 1).bit_length())
    spectrum = np.fft.rfft(rng.standard_normal(length))
    pitch = np.fft.rfftfreq(length, 1 / rate)
    spectrum *= np.exp(-((low / np.maximum(pitch, 1)) ** 2)) * np.exp(-((pitch / high) ** 2))
    wave = np.fft.irfft(spectrum, length)[:samples]
    return np.asarray(wave / max(1e-9, float(np.sqrt(np.mean(wave**2)))))


def _pan(x: np.ndarray) -> np.ndarray:
    """Return the equal-power gains of left and right for positions from −1 (left edge) to 1: (N, 2)."""
    angle = (np.clip(x, -1, 1) + 1) * math.pi / 4
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _across(scene: Scene, x: np.ndarray, y: float, times: np.ndarray) -> np.ndarray:
    """Return the horizontal screen position of world positions `x`: −1 is the left edge, 1 the right."""
    camera = scene.camera.start + scene.camera.speed * times
    return (x - camera) * parallax(y) * 2 / scene.aspect


def _add_vehicle(
    sound: np.ndarray,
    rng: np.random.Generator,
    scene: Scene,
    vehicle: Vehicle,
    times: np.ndarray,
    rate: int,
) -> None:
    """Add the tyres and engine of a vehicle, loudest in front of the camera."""
    across = _across(scene, vehicle.x + vehicle.speed * times, vehicle.y, times)
    near = np.exp(-0.5 * (across / 0.6) ** 2)
    if near.max() < 0.01:
        return
    if vehicle.kind == "bicycle":
        voice, loud = _noise(rng, len(times), rate, 900, 3000), 0.008
    else:
        pitch = {"bus": 48.0, "van": 62.0}.get(vehicle.kind, 76.0) * float(rng.uniform(0.9, 1.1))
        engine = sum(np.sin(2 * math.pi * pitch * k * times) / k for k in (1, 2, 3))
        voice = 0.7 * _noise(rng, len(times), rate, 250, 1100) + 0.4 * engine
        loud = 0.03 + 0.005 * LENGTH[vehicle.kind]
    sound += (loud * parallax(vehicle.y) / 2 * near * voice)[:, None] * _pan(across)


def _add_steps(sound: np.ndarray, rng: np.random.Generator, scene: Scene, rate: int) -> None:
    """Add the steps of people close to the camera, at the moments when their feet touch the ground."""
    click = np.exp(-np.arange(int(0.05 * rate)) / (0.009 * rate))
    for walker in scene.walkers:
        if walker.y < 0.9:
            continue
        turns = [step_phase(walker, t) / math.pi for t in (0.0, LONGEST)]
        for turn in range(math.ceil(turns[0]), math.ceil(turns[1])):
            t = LONGEST * (turn - turns[0]) / (turns[1] - turns[0])
            start = int(t * rate)
            across = _across(scene, np.array([walker.at(t)]), walker.y, np.array([t]))
            if abs(across[0]) > 1.2 or start + len(click) > len(sound):
                continue
            thud = 0.05 * click * rng.standard_normal(len(click)).cumsum() / 12
            sound[start : start + len(click)] += thud[:, None] * _pan(across)


def _add_birds(sound: np.ndarray, rng: np.random.Generator, rate: int) -> None:
    """Add a few singing birds."""
    for _ in range(int(rng.integers(1, 4))):
        t, side, pitch = (
            float(rng.uniform(0, LONGEST)),
            rng.uniform(-0.9, 0.9, 1),
            float(rng.uniform(2600, 4200)),
        )
        for _ in range(int(rng.integers(2, 6))):
            length = float(rng.uniform(0.05, 0.11))
            grid = np.arange(int(length * rate)) / rate
            sweep = 2 * math.pi * (pitch * grid + float(rng.uniform(-4000, 6000)) * grid**2)
            chirp = 0.018 * np.sin(sweep) * np.sin(math.pi * grid / length) ** 2
            start = int(t * rate)
            if start + len(chirp) <= len(sound):
                sound[start : start + len(chirp)] += chirp[:, None] * _pan(side)
            t += length + float(rng.uniform(0.03, 0.12))
