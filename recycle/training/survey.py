"""How the two sides of a training relate: how far apart, how alike in layout, and of what kind. Before it begins.

It looks through the network that also serves training, EfficientNet-Lite0, never through the one that judges results.
A few frames, evenly spread, are read: it takes about as long for hours of footage as for seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.config import Domain
from recycle.footage.clips import Shot, locate
from recycle.footage.flow import optical_flow
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network, pooled

FRAMES = 24
"""Frames of each side that are looked at, each with the one after it."""
LINES = 112
"""Pixels of the shorter side at which they are looked at."""
WIDEST = 4
"""Longest side, in shorter sides, of what is looked at."""
STRIDES = (8, 16, 32)
"""Of the levels of features that are compared: from textures to things."""
UNRELATED = 9.0
"""Kernel distance of unrelated footage. Measured, at these sizes: two halves of one film 0.2 to 0.5, two people in one
room 1.8, two simulated roads 2.9, a street by day and by night 3.5, cows and a camel 5.4, a street and its label maps
6.2, a simulated and a real road 6.6, cows and a road 7.7, a street and people in a room 9 to 10.5."""
GRID = 7
"""Cells, each way, in which layouts are compared."""
CROP = 512
"""Pixels, each way, of a frame that are searched for exact colours."""
COLOURS, AROUND, NEAR, DRAWN = 12, 12, 3, 0.55
"""A side holds label maps where at least the part DRAWN of its pixels is within NEAR levels of one of COLOURS colours;
what is within AROUND of one is no other's. Measured, after a median of 5 × 5 pixels against the noise of lossy video:
label maps 0.99, as video 0.65 to 0.77, masks 1; a highway 0.27, films without colours 0.42 and 0.43, others less."""
CONTRAST = 50.0
"""Standard deviation of the values below which NEAR shrinks with it: darkness is no drawing."""
GREY = 3.0
"""Levels between the highest and the lowest channel, on average, up to which a side is grey."""
STILL = 5.0
"""Grey levels by which the median pixel of a still camera's film deviates over time, at most. Measured: fixed cameras
0.6 to 3, moving ones 17 to 39; a highway with a constant sky, 2, is told by its motion."""
MOVED = 0.25
"""Pixels of LINES that the median pixel moves between frames of a still camera's film, at most."""
SAME = 0.5
"""Grey levels by which near-duplicates differ on average, at most."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Survey:
    """What a look at both sides shows. Pairs are of (a, b)."""

    gap: float
    """How far the sides are apart, 0: the same, 1: as far as unrelated footage. Unbiased squared maximum mean
    discrepancy (Gretton et al., JMLR 2012) of pooled features, kernel (xᵀy / d + 1)³ as in KID, mean over STRIDES,
    divided by UNRELATED, within [0, 1]."""
    aligned: float
    """How alike the layouts are, 0: not, 1: the same: correlation of the mean feature maps, on GRID × GRID cells, less
    each channel's mean; mean over STRIDES, at least 0."""
    variety: tuple[float, float]
    """How much the frames of each side differ: mean cosine distance of pooled features at stride 32. 0: one picture."""
    labels: Domain | None
    """The side that holds label maps, if one does."""
    grey: tuple[bool, bool]
    """Whether a side has no colours."""
    still: tuple[bool, bool]
    """Whether the camera stands still."""
    motion: tuple[float, float]
    """Mean length of the optical flow from one frame to the next, as part of the shorter side."""
    duplicates: tuple[float, float]
    """Share of frames that the next one repeats."""
    frames: tuple[int, int]
    """Frames of each side."""
    size: tuple[tuple[int, int], tuple[int, int]]
    """Height and width of each side's largest frames."""

    def in_words(self) -> list[str]:
        """What to know before training, one line each."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        far = _grade(self.gap, ((0.08, "hardly"), (0.25, "a little"), (0.5, "clearly"), (0.75, "far")), "very far")
        alike = _grade(self.aligned, ((0.2, "not alike"), (0.5, "a little alike")), "much alike")
        yield (
            f"the sides are {far} apart (gap {self.gap:.2f}; 1 is unrelated footage) and {alike} in layout "
            f"(aligned {self.aligned:.2f})"
        )
        if self.gap > 0.5 and self.aligned < 0.2 and self.labels is None:
            yield (
                "footage so different may have no true counterparts: expect colours and textures to change rather "
                "than things, or choose footage that shows the same kinds of things in the same places"
            )
        if self.labels is not None:
            yield f"domain {self.labels} holds label maps: few colours with sharp edges"
        for name, grey, still, repeated in zip("ab", self.grey, self.still, self.duplicates, strict=True):
            if grey:
                yield f"domain {name} has no colours, which the other direction must invent"
            if still:
                yield f"the camera of domain {name} stands still"
            if repeated > 0.5:
                yield (
                    f"{repeated:.0%} of the frames of domain {name} repeat the one before: little is learned of "
                    "motion; extract with a lower extract.fps"
                )


@dataclass(frozen=True)
class Side:
    """What is kept of one side's frames."""

    pooled: tuple[Tensor, ...]
    """For each of STRIDES (N, C)."""
    layout: tuple[Tensor, ...]
    """For each of STRIDES (C, GRID, GRID)."""
    labels: bool
    grey: bool
    still: bool
    motion: float
    duplicates: float


@torch.inference_mode()
def look_at_sides(a: Sequence[Shot], b: Sequence[Shot], *, eyes: FeatureNetwork | None = None) -> Survey:
    """Survey the footage of a and b: about a second. `eyes`: an opened lite0, where there is one; on the CPU.

    Raises FootageError for a frame that cannot be read, ConfigError where the network's package is absent.
    """
    eyes = eyes or open_network("lite0")
    one, other = (look_at(shots, eyes) for shots in (a, b))
    gap = np.mean([kernel_distance(x, y) for x, y in zip(one.pooled, other.pooled, strict=True)]) / UNRELATED
    aligned = np.mean([_correlation(x, y) for x, y in zip(one.layout, other.layout, strict=True)])
    return Survey(
        gap=float(np.clip(gap, 0, 1)),
        aligned=float(np.clip(aligned, 0, 1)),
        variety=(_variety(one.pooled[-1]), _variety(other.pooled[-1])),
        labels=None if one.labels == other.labels else "a" if one.labels else "b",
        grey=(one.grey, other.grey),
        still=(one.still, other.still),
        motion=(one.motion, other.motion),
        duplicates=(one.duplicates, other.duplicates),
        frames=(_count(a), _count(b)),
        size=(_size(a), _size(b)),
    )


def look_at(shots: Sequence[Shot], eyes: FeatureNetwork) -> Side:
    """FRAMES frames of one side, evenly spread, and what follows each. Raises FootageError as Shot.read."""
    total = _count(shots)
    places = locate(shots, np.unique(np.linspace(0, total - 1, FRAMES).astype(int)))
    levels: list[list[Tensor]] = []
    crops, small, chroma, moved, steps = [], [], [], [], []
    for shot, index in places:
        frame = _read(shot, index)
        crops.append(np.ascontiguousarray(frame[:CROP, :CROP]))
        seen = _resized(frame)
        found = eyes(torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 127.5 - 1)
        levels.append([found[eyes.strides.index(stride)] for stride in STRIDES])
        small.append(cv2.resize(_grey(seen), (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32))
        chroma.append(float((seen.max(-1) - seen.min(-1)).mean()))
        if index + 1 < len(shot.files):
            after = _resized(_read(shot, index + 1))
            moved.append(np.linalg.norm(optical_flow(seen, after), axis=-1))
            steps.append(float(cv2.absdiff(seen, after).mean()))
    maps = [[F.adaptive_avg_pool2d(level, GRID) for level in row] for row in levels]
    median = float(np.median([np.median(lengths) for lengths in moved])) if moved else 0.0
    return Side(
        pooled=tuple(torch.cat([pooled(level) for level in column]) for column in zip(*levels, strict=True)),
        layout=tuple(torch.cat(column).mean(0) for column in zip(*maps, strict=True)),
        labels=_is_drawn(crops),
        grey=float(np.mean(chroma)) <= GREY,
        still=len(small) > 1 and float(np.median(np.std(small, axis=0))) <= STILL and median <= MOVED,
        motion=float(np.mean([lengths.mean() for lengths in moved])) / LINES if moved else 0.0,
        duplicates=float(np.mean(np.array(steps) <= SAME)) if steps else 0.0,
    )


def _is_drawn(crops: Sequence[Pixels]) -> bool:
    """Whether a few colours are nearly all that there is."""
    smooth = [cv2.medianBlur(crop, 5)[::4, ::4].reshape(-1, 3) for crop in crops]
    left = np.concatenate(smooth).astype(np.int16)
    total, near = len(left), NEAR * min(1.0, float(left.std(0).mean()) / CONTRAST)
    found = 0
    for _ in range(COLOURS):
        if len(left) == 0:
            break
        cells = (left // 8).astype(np.int64) @ np.array([1024, 32, 1])
        centre = np.median(left[cells == np.bincount(cells).argmax()], axis=0)
        centre = np.median(left[np.abs(left - centre).max(1) <= 8], axis=0)
        distance = np.abs(left - centre).max(1)
        found += int((distance <= near).sum())
        left = left[distance > AROUND]
    return found >= DRAWN * total


def _correlation(x: Tensor, y: Tensor) -> float:
    """Of two mean feature maps (C, H, W), each channel less its mean."""
    x, y = (level - level.mean((1, 2), keepdim=True) for level in (x, y))
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-6))


def _variety(vectors: Tensor) -> float:
    if len(vectors) < 2:
        return 0.0
    near = F.normalize(vectors.double(), dim=1)
    near = near @ near.T
    return max(0.0, 1 - float((near.sum() - near.trace()) / (len(near) * (len(near) - 1))))


def _grade(value: float, steps: Sequence[tuple[float, str]], beyond: str) -> str:
    return next((word for limit, word in steps if value < limit), beyond)


def _read(shot: Shot, index: int) -> Pixels:
    return np.ascontiguousarray(shot.read(index).permute(1, 2, 0).numpy())


def _resized(frame: Pixels) -> Pixels:
    """The shorter side LINES long, the other at most WIDEST times as long."""
    scale = LINES / min(frame.shape[:2])
    height, width = (min(round(side * scale), WIDEST * LINES) for side in frame.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, (width, height), interpolation=how), np.uint8)


def _grey(frame: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def _count(shots: Sequence[Shot]) -> int:
    return sum(len(shot.files) for shot in shots)


def _size(shots: Sequence[Shot]) -> tuple[int, int]:
    return max((shot.height, shot.width) for shot in shots)
