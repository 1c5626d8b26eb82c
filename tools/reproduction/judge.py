"""What a network that takes no part in training says of translations, and how much of the source they keep.

No figure here needs a true counterpart: they are the same for every task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.dataset.clips import Shot
from recycle.dataset.clips import spread as spread_shots
from recycle.domains import DIRECTIONS, Domain
from recycle.evaluation import metrics
from recycle.evaluation.metrics import Motion, Pixels, warp_error
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network, pooled
from recycle.system.devices import find_device
from tools.reproduction.task import Clip, Films, Scores, Translate

NETWORK = "lite2"
STRIDES = {"kd_mid": 8, "kd_deep": 32}
"""Figure → stride of the features that it compares."""
FRAMES, LINES = 64, 224
"""Frames that are compared, evenly spread over all, and to how many lines they are enlarged."""
_BATCH = 8

Features = Mapping[str, NDArray[np.float32]]
"""Figure of STRIDES → (N, D), each row of the norm √D."""


def structure(translated: Pixels, source: Pixels) -> float:
    """Correlation, in [-1, 1], of the gradients of brightness of two frames: both components of all pixels.

    1 where every edge is kept; below 0 where dark and bright have changed places. 0 if a frame is of one colour.
    """
    return _correlation(_gradients(translated), _gradients(source))


def edges(translated: Pixels, source: Pixels) -> float:
    """As `structure`, but of the gradients' lengths: what the package calls structure (recycle.evaluation.metrics)."""
    return metrics.structure(translated, source) or 0.0


def describe(frames: Sequence[Pixels], device: str = "cpu") -> Features:
    """Features of at most FRAMES frames, evenly spread."""
    chosen = [frames[i] for i in spread(len(frames), FRAMES)]
    network = _network(find_device(device))
    strides = network.strides
    levels = {figure: strides.index(stride) for figure, stride in STRIDES.items()}
    found: dict[str, list[Tensor]] = {figure: [] for figure in STRIDES}
    with torch.inference_mode():
        for start in range(0, len(chosen), _BATCH):
            batch = torch.from_numpy(np.stack(chosen[start : start + _BATCH])).permute(0, 3, 1, 2)
            x = batch.to(find_device(device)).float() / 127.5 - 1
            width = max(strides[-1], round(LINES * x.shape[-1] / x.shape[-2]))
            maps = network(F.interpolate(x, (LINES, width), mode="bilinear", antialias=True))
            for figure, level in levels.items():
                found[figure].append(pooled(maps[level]).cpu())
    return {figure: torch.cat(parts).numpy() for figure, parts in found.items()}


def spread(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


@dataclass(frozen=True)
class Judge:
    """Unseen films of both domains, and the features of their frames, which translations into a domain should have."""

    films: Films
    real: Mapping[Domain, Features]
    device: str

    @classmethod
    def of(cls, films: Films, device: str) -> "Judge":
        """Describe the films' own frames once, for all runs."""
        real = {domain: describe(_all([film.frames for film in own]), device) for domain, own in films.items()}
        return cls(films, real, device)

    def __call__(self, translate: Translate) -> Scores:
        """Both directions: `kd_mid`, `kd_deep`, `structure`, `edges`, and `warp`.

        `warp` is the translation's warp error ÷ the source's own, each the mean over all pairs of consecutive frames,
        by the source's motion; it is left out where the source's is 0. Structure and edges are means over frames.
        """
        scores: Scores = {figure: {} for figure in FIGURES}
        for source, target in DIRECTIONS:
            films, way = self.films[source], source + target
            made = [translate(film.frames, target) for film in films]
            for figure, value in self._distances(_all(made), target).items():
                scores[figure][way] = value
            pairs = list(zip(_all(made), _all([film.frames for film in films]), strict=True))
            chosen = [pairs[i] for i in spread(len(pairs), FRAMES)]
            scores["structure"][way] = float(np.mean([structure(*pair) for pair in chosen]))
            scores["edges"][way] = float(np.mean([edges(*pair) for pair in chosen]))
            motions = [film.motions for film in films]
            error, own = mean_warp_error(made, motions), mean_warp_error([film.frames for film in films], motions)
            if error is not None and own:
                scores["warp"][way] = error / own
        return scores

    def distances(self, shots: Mapping[Domain, Sequence[Shot]]) -> Scores:
        """`kd_mid` and `kd_deep` of other real frames of each target domain, as many as the films have.

        What a perfect translation of them would reach.
        """
        scores: Scores = {figure: {} for figure in STRIDES}
        for source, target in DIRECTIONS:
            count = len(self.real[target]["kd_deep"])
            frames = [frame.permute(1, 2, 0).numpy() for frame in spread_shots(shots[target], count)]
            for figure, value in self._distances(frames, target).items():
                scores[figure][source + target] = value
        return scores

    def _distances(self, frames: Sequence[Pixels], target: Domain) -> dict[str, float]:
        found, real = describe(frames, self.device), self.real[target]
        return {
            figure: kernel_distance(torch.from_numpy(found[figure]), torch.from_numpy(real[figure]))
            for figure in STRIDES
        }


FIGURES = (*STRIDES, "structure", "edges", "warp")
"""What a Judge gives."""


def mean_warp_error(clips: Sequence[Clip], motions: Sequence[Sequence[Motion]]) -> float | None:
    """Mean warp error of all pairs of consecutive frames; None where there are none or none shows anything twice."""
    found = [
        warp_error(clip[i], clip[i + 1], moved)
        for clip, own in zip(clips, motions, strict=True)
        for i, moved in enumerate(own)
    ]
    known = [error for error in found if error is not None]
    return float(np.mean(known)) if known else None


def _all(clips: Sequence[Clip]) -> list[Pixels]:
    return [frame for clip in clips for frame in clip]


def _gradients(frame: Pixels) -> NDArray[np.float32]:
    """(2, H, W): along x and y, by Sobel's filters."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.stack((cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)))


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    x, y = one.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


@lru_cache(maxsize=1)
def _network(device: str) -> FeatureNetwork:
    return open_network(NETWORK).to(device)
