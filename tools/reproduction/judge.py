"""Scores of translations that need no true counterpart, by a network that takes no part in training.

They are the same for every task.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.dataset.shots import Shot
from recycle.dataset.shots import spread as spread_shots
from recycle.domains import DIRECTIONS, Domain
from recycle.evaluation import metrics
from recycle.evaluation.metrics import Motion, Pixels, warp_error
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network, pooled
from recycle.system.devices import find_device
from tools.reproduction.task import Clip, Films, Scores, Translate

NETWORK = "lite2"
STRIDES = {"kd_mid": 8, "kd_deep": 32}
"""Figure → stride of the compared features."""
FRAMES, LINES = 64, 224
"""Number of compared frames, evenly spread, and the height in lines to which they are enlarged."""
_BATCH = 8

Features = Mapping[str, NDArray[np.float32]]
"""Figure of STRIDES → (N, D), each row with norm √D."""


def structure(translated: Pixels, source: Pixels) -> float:
    """Correlation, in [-1, 1], of the brightness gradients of two frames: both components of all pixels.

    1 if every edge is kept; below 0 if dark and bright are exchanged. 0 if a frame has a single colour.
    """
    return _correlation(_gradients(translated), _gradients(source))


def edges(translated: Pixels, source: Pixels) -> float:
    """As `structure`, but for gradient magnitudes; the package calls this structure (recycle.evaluation.metrics)."""
    return metrics.structure(translated, source) or 0.0


def describe(frames: Sequence[Pixels], device: str = "cpu", lines: int = LINES) -> Features:
    """Features of at most FRAMES frames, evenly spread, of a height of `lines`."""
    found: dict[str, list[Tensor]] = {figure: [] for figure in STRIDES}
    for maps in _maps(frames, device, lines):
        for figure, level in maps.items():
            found[figure].append(pooled(level).cpu())
    return {figure: torch.cat(parts).numpy() for figure, parts in found.items()}


def compose(frames: Tensor, places: Tensor) -> Tensor:
    """Replace the features of each place of `frames` by those of the most similar of `places`, by their cosine.

    (N, C, H, W), (M, C, H', W') → (N, C, H, W).
    """
    channels = frames.shape[1]
    wanted, bank = (x.movedim(1, -1).reshape(-1, channels) for x in (frames, places))
    directions = F.normalize(bank, dim=1).T
    nearest = torch.cat([(part @ directions).argmax(1) for part in F.normalize(wanted, dim=1).split(2048)])
    return bank[nearest].reshape(*frames.movedim(1, -1).shape).movedim(-1, 1)


def _maps(frames: Sequence[Pixels], device: str, lines: int = LINES) -> Iterator[dict[str, Tensor]]:
    """Feature maps (N, C, H, W) of at most FRAMES frames, evenly spread, for each figure of STRIDES, in batches."""
    chosen = [frames[i] for i in metrics.evenly(len(frames), FRAMES)]
    network = _network(find_device(device))
    strides = network.strides
    for start in range(0, len(chosen), _BATCH):
        batch = torch.from_numpy(np.stack(chosen[start : start + _BATCH])).permute(0, 3, 1, 2)
        x = batch.to(find_device(device)).float() / 127.5 - 1
        width = max(strides[-1], round(lines * x.shape[-1] / x.shape[-2]))
        with torch.inference_mode():
            levels = network(F.interpolate(x, (lines, width), mode="bilinear", antialias=True))
        yield {figure: levels[strides.index(stride)] for figure, stride in STRIDES.items()}


@dataclass(frozen=True)
class Judge:
    """Unseen films of both domains, and the features of their frames, which translations into a domain should match."""

    films: Films
    real: Mapping[Domain, Features]
    device: str

    @classmethod
    def of(cls, films: Films, device: str) -> "Judge":
        """Compute the features of the films' own frames once, for all runs."""
        real = {domain: describe(_all([film.frames for film in own]), device) for domain, own in films.items()}
        return cls(films, real, device)

    def __call__(self, translate: Translate) -> Scores:
        """Scores of both directions: `kd_mid`, `kd_deep`, `structure`, `edges`, and `warp`.

        `warp` is the translation's warp error ÷ the source's own, each the mean over all pairs of consecutive frames,
        by the source's motion; it is omitted if the source's is 0. Structure and edges are means over frames.
        """
        scores: Scores = {figure: {} for figure in FIGURES}
        for source, target in DIRECTIONS:
            films, way = self.films[source], source + target
            made = [translate(film.frames, target) for film in films]
            for figure, value in self._distances(_all(made), target).items():
                scores[figure][way] = value
            pairs = list(zip(_all(made), _all([film.frames for film in films]), strict=True))
            chosen = [pairs[i] for i in metrics.evenly(len(pairs), FRAMES)]
            scores["structure"][way] = float(np.mean([structure(*pair) for pair in chosen]))
            scores["edges"][way] = float(np.mean([edges(*pair) for pair in chosen]))
            motions = [film.motions for film in films]
            error, own = mean_warp_error(made, motions), mean_warp_error([film.frames for film in films], motions)
            if error is not None and own:
                scores["warp"][way] = error / own
        return scores

    def distances(self, shots: Mapping[Domain, Sequence[Shot]]) -> Scores:
        """`kd_mid` and `kd_deep` of other real frames of each target domain, as many as the films have.

        A perfect translation would reach these values.
        """
        scores: Scores = {figure: {} for figure in STRIDES}
        for source, target in DIRECTIONS:
            count = len(self.real[target]["kd_deep"])
            frames = spread_shots(shots[target], count)
            for figure, value in self._distances(frames, target).items():
                scores[figure][source + target] = value
        return scores

    def composed(self, shots: Mapping[Domain, Sequence[Shot]]) -> Scores:
        """`kd_deep` of the source's films if each place had the features of the most similar real place of the target.

        Such footage looks entirely real, place by place, but shows as much sky, road … as the source does. So its
        distance is that of the content alone: a translation that keeps the content can hardly come nearer.
        """
        scores: Scores = {"kd_deep": {}}
        for source, target in DIRECTIONS:
            real = spread_shots(shots[target], FRAMES)
            places, frames = (
                torch.cat([maps["kd_deep"] for maps in _maps(shown, self.device)])
                for shown in (real, _all([film.frames for film in self.films[source]]))
            )
            found = pooled(compose(frames, places)).cpu()
            wanted = torch.from_numpy(self.real[target]["kd_deep"])
            scores["kd_deep"][source + target] = kernel_distance(found, wanted)
        return scores

    def _distances(self, frames: Sequence[Pixels], target: Domain) -> dict[str, float]:
        found, real = describe(frames, self.device), self.real[target]
        return {
            figure: kernel_distance(torch.from_numpy(found[figure]), torch.from_numpy(real[figure]))
            for figure in STRIDES
        }


FIGURES = (*STRIDES, "structure", "edges", "warp")
"""Names of the scores of a Judge."""


def mean_warp_error(clips: Sequence[Clip], motions: Sequence[Sequence[Motion]]) -> float | None:
    """Mean warp error of all pairs of consecutive frames; None without pairs, or if no pair shows anything twice."""
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
