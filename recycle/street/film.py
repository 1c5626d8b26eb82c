"""The procedural street as footage: the same scenes and motion in several appearances."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from recycle.config import Appearance
from recycle.events import Count, Job
from recycle.street import light, weather
from recycle.street.audio import scene_audio
from recycle.street.layers import Layer, make_layers
from recycle.street.light import Shot
from recycle.street.paint import LABEL_OF, LABELS, Canvas
from recycle.street.people import draw_walker
from recycle.street.scene import Scene, make_scene
from recycle.street.sky import Sky, add_rain, finish, make_sky
from recycle.street.snow import add_snow, snow
from recycle.street.thermal import thermal
from recycle.street.vehicles import draw_vehicle
from recycle.street.view import KERB_LINE, View
from recycle.video.encode import AUDIO_RATE, write_video

_SHOT_SECONDS = (4.0, 6.0)
_LIGHTS: Mapping[Appearance, Callable[[Shot, np.ndarray], np.ndarray]] = {
    "day": light.day,
    "sunset": weather.sunset,
    "rain": weather.rain,
    "snow": snow,
    "night": light.night,
    "thermal": thermal,
}
_NOISE: Mapping[Appearance, int] = {"night": 12, "thermal": 13}
"""Number of the random noise of an appearance, if it differs from that of the day."""
_LABEL_COLOURS = np.zeros((16, 3), np.uint8)
for _name, _number in LABEL_OF.items():
    _LABEL_COLOURS[_number] = LABELS[_name]


@dataclass(frozen=True)
class Street:
    """A film of a street: shots of 4 to 6 seconds, each of a different scene, all determined by the seed.

    `day`, `sunset`, `rain`, `snow` and `night` are (H, W, 3) uint8 RGB of the same moments in different light and
    weather; `thermal` is grey by temperature (see thermal.py); `labels` shows the class of each pixel in exactly the
    colours of LABELS. By day and by night some scenes are rainy; in `rain` all are, in `sunset` and `snow` none.
    Films of two seeds have no scene in common. The same seed at another size or rate shows the same scenes.

    `width` and `height` are in pixels, at least 16; `fps` is the number of frames per second; `seconds` is the length,
    at least one frame.
    """

    seed: int
    width: int
    height: int
    fps: int
    seconds: float

    def __len__(self) -> int:
        return max(1, round(self.seconds * self.fps))

    def frame(self, index: int, appearance: Appearance) -> np.ndarray:
        """Return frame `index` in [0, len) as (H, W, 3) uint8 RGB.

        It depends only on the street, the index and the appearance. Raises IndexError outside that range.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of a street of {len(self)} frames; expected 0 to {len(self) - 1}")
        starts = self.cuts()
        shot = int(np.searchsorted(starts, index, side="right")) - 1
        scene = self._scene(shot)
        dressed = replace(scene, look=weather.dressed(scene.look, appearance))
        stage = _make_stage(dressed, self.width, self.height)
        return stage.frame((index - starts[shot]) / self.fps, index, appearance)

    def frames(self, appearance: Appearance) -> Iterator[np.ndarray]:
        """Yield every frame in order, as `frame` returns it."""
        return (self.frame(index, appearance) for index in range(len(self)))

    def cuts(self) -> tuple[int, ...]:
        """Return the first frame of every shot, 0 first."""
        return _cuts(self.seed, len(self), self.fps)

    def audio(self, rate: int = AUDIO_RATE) -> np.ndarray:
        """Return the sound of the whole film, the same for every appearance: (samples, 2) float32 in ±0.5."""
        edges = [*self.cuts(), len(self)]
        parts = []
        for shot, (start, end) in enumerate(pairwise(edges)):
            first, last = (round(edge * rate / self.fps) for edge in (start, end))
            parts.append(scene_audio(self._scene(shot), last - first, rate))
        return np.concatenate(parts)

    def write(self, path: Path, appearance: Appearance, *, audio: bool = True, job: Job | None = None) -> None:
        """Write the film as a video file (H.264, with AAC sound if `audio`).

        Raises OutputError if the file cannot be written; Interrupted if the job is cancelled, which leaves no file.
        """
        count = (job or Job()).counting(f"filming {path.name} ({appearance})", total=len(self))
        write_video(
            path,
            _reported(self.frames(appearance), count),
            fps=self.fps,
            audio=self.audio() if audio else None,
        )

    def _scene(self, shot: int) -> Scene:
        return make_scene(self.seed, shot, self.width / self.height)


@dataclass(frozen=True)
class _Stage:
    """A scene with everything that is painted only once for it."""

    scene: Scene
    size: tuple[int, int]
    oversize: int
    layers: list[Layer]
    sky: Sky

    def frame(self, t: float, index: int, appearance: Appearance) -> np.ndarray:
        """Return the frame at `t` seconds into the scene; `index` is the seed of its noise."""
        view = self.scene.camera.at(t, self.scene.aspect)
        picture = self.picture(view, t)
        if appearance == "labels":
            middle = self.oversize // 2
            codes = picture[middle :: self.oversize, middle :: self.oversize, 3] & 15
            return _LABEL_COLOURS[codes]
        shot = Shot(picture, self.scene, view, t, self.size)
        lit = _LIGHTS[appearance](shot, self.sky.at(appearance, view, t))
        if self.scene.look.rain and appearance != "thermal":
            add_rain(lit, np.random.default_rng([*self.scene.seed, 10, index]))
        if appearance == "snow":
            add_snow(lit, self.scene.seed, t)
        return finish(lit, np.random.default_rng([*self.scene.seed, _NOISE.get(appearance, 11), index]))

    def picture(self, view: View, t: float) -> np.ndarray:
        """Return the picture from which all appearances are computed (see paint.py), `oversize` times the frame's
        size."""
        scale = self.size[0] * self.oversize
        picture = np.zeros((scale, self.size[1] * self.oversize, 4), np.uint8)
        picture[..., 3] = LABEL_OF["sky"]
        half = self.scene.aspect / 2
        offset = (scale * half * (1 - view.zoom), scale * (0.5 - 0.5 * view.zoom + view.sway))
        canvas = Canvas(picture, scale=scale * view.zoom, offset=offset)
        *behind, kerb, front = self.layers
        for layer in behind:
            _overlay(picture, layer, view, scale)
        for walker in self.scene.walkers:
            if walker.y < KERB_LINE:
                draw_walker(canvas, view, walker, t)
        _overlay(picture, kerb, view, scale)
        for vehicle in self.scene.vehicles:
            draw_vehicle(canvas, view, vehicle, t)
        for walker in self.scene.walkers:
            if walker.y >= KERB_LINE:
                draw_walker(canvas, view, walker, t)
        _overlay(picture, front, view, scale)
        return picture


def _overlay(picture: np.ndarray, layer: Layer, view: View, scale: int) -> None:
    """Copy the part of a layer that the camera sees onto the picture, in place."""
    matrix = layer.matrix(view, scale)
    height, width = picture.shape[:2]
    top = min(height, max(0, int(matrix[1, 2]) - 1))
    bottom = min(height, int(matrix[1, 2] + matrix[1, 1] * layer.pixels.shape[0]) + 2)
    if top >= bottom:
        return
    matrix[1, 2] -= top
    part = cv2.warpAffine(layer.pixels, matrix, (width, bottom - top), flags=cv2.INTER_NEAREST)
    cv2.copyTo(part, part[..., 3], picture[top:bottom])


@lru_cache(maxsize=4)
def _make_stage(scene: Scene, width: int, height: int) -> _Stage:
    """Paint a scene for one size. The last few stay in memory; all appearances with the same colours share one."""
    oversize = min(4, max(1 if height > 1000 else 2, round(300 / height)))
    layers = make_layers(scene, height * oversize)
    return _Stage(scene, (height, width), oversize, layers, make_sky(scene, height, width))


@lru_cache(maxsize=64)
def _cuts(seed: int, length: int, fps: int) -> tuple[int, ...]:
    """Return the first frame of each shot; no shot is shorter than two seconds or longer than a scene can be."""
    rng = np.random.default_rng([seed, 0])
    starts, t = [0], 0.0
    while True:
        t += float(rng.uniform(*_SHOT_SECONDS))
        start = round(t * fps)
        if start > length - 2 * fps:
            return tuple(starts)
        starts.append(start)


def _reported(frames: Iterator[np.ndarray], count: Count) -> Iterator[np.ndarray]:
    for done, frame in enumerate(frames, 1):
        yield frame
        count(done)
