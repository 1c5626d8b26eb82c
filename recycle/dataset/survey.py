"""How the two sides of a training are: of what kind, how far apart, how alike in layout. Before anything is extracted.

It looks through the network that also serves training, EfficientNet-Lite0, never through the one that judges results.
A few frames, evenly spread, are read: it takes about as long for hours of footage as for seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.dataset.clips import Shot
from recycle.dataset.colours import are_label_maps, are_of_the_street, have_no_colours
from recycle.dataset.glance import Glance, Glimpse, glance, glance_at_shots
from recycle.domains import LETTERS, Names
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network, pooled
from recycle.video.flow import optical_flow

STRIDES = (8, 16, 32)
"""Of the levels of features that are compared: from textures to things."""
UNRELATED = 9.0
"""Kernel distance of unrelated footage. Measured, at these sizes: two halves of one film 0.2 to 0.5, two people in one
room 1.8, two simulated roads 2.9, a street by day and by night 3.5, cows and a camel 5.4, a street and its label maps
6.2, a simulated and a real road 6.6, cows and a road 7.7, a street and people in a room 9 to 10.5."""
GRID = 7
"""Cells, each way, in which layouts are compared."""
FAR, UNLIKE = 0.75, 0.2
"""Gap from which on, and alignment below which, sides have no common layout. Measured gap and alignment: a simulated
and a real road 0.73 and 0.26, cows and a camel 0.60 and 0.29; cows and a road 0.85 and 0.02, people and a road 1.00 and
0.06."""
STILL = 5.0
"""Grey levels by which the median pixel of a still camera's film deviates over time, at most. Measured: fixed cameras
0.6 to 3, moving ones 17 to 39; a highway with a constant sky, 2, is told by its motion."""
MOVED = 0.25
"""Pixels that the median pixel of a frame of 112 lines moves between frames of a still camera's film, at most."""
SAME = 0.5
"""Grey levels by which near-duplicates differ on average, at most."""
REPEATED = 0.5
"""Share of repeated frames of what is extracted above which it is said."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Side:
    """What the footage of one domain is like."""

    width: int
    height: int
    """Of the upright frames, in square pixels; of the source with the shortest side."""
    fps: float
    """Frames per second, the median over the sources."""
    frames: int
    """As the sources claim; of many sources, about so many."""
    labels: bool = False
    """Whether it consists of flat areas of few colours, as label maps do."""
    street_labels: bool = False
    """Whether their colours are those of the procedural street's labels."""
    grey: bool = False
    """Whether it has no colours."""
    extracted: bool = False
    """Whether its frames are on disk already, at the size that they have."""
    still: bool = False
    """Whether the camera stands still."""
    duplicates: float = 0.0
    """Share of the frames that the next one repeats."""

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Survey:
    """What a look at both sides shows."""

    a: Side
    b: Side
    gap: float
    """How far the sides are apart, 0: the same, 1: as far as unrelated footage. Unbiased squared maximum mean
    discrepancy (Gretton et al., JMLR 2012) of pooled features, kernel (xᵀy / d + 1)³ as in KID, mean over STRIDES,
    divided by UNRELATED, within [0, 1]."""
    aligned: float
    """How alike the layouts are, 0: not, 1: the same: correlation of the mean feature maps, on GRID × GRID cells, less
    each channel's mean; mean over STRIDES, at least 0."""

    @property
    def labelled(self) -> bool:
        """Whether a side holds label maps."""
        return self.a.labels or self.b.labels

    @property
    def unrelated(self) -> bool:
        """Whether photographs of both sides have no common layout. Label maps may, however far they are."""
        return self.gap >= FAR and self.aligned < UNLIKE and not self.labelled

    def in_words(self, names: Names = LETTERS) -> list[str]:
        """What to know before training, one line each; names: of the domains."""
        return list(self._lines(names))

    def _lines(self, names: Names) -> Iterator[str]:
        far = _grade(self.gap, ((0.08, "hardly"), (0.25, "a little"), (0.5, "clearly"), (FAR, "far")), "very far")
        alike = _grade(self.aligned, ((UNLIKE, "not alike"), (0.5, "a little alike")), "much alike")
        yield (
            f"the sides are {far} apart (gap {self.gap:.2f}; 1 is unrelated footage) and {alike} in layout "
            f"(aligned {self.aligned:.2f})"
        )
        if self.unrelated:
            yield (
                "footage so different may have no true counterparts: expect colours and textures to change rather "
                "than things, or choose footage that shows the same kinds of things in the same places"
            )
        for name, side, other in zip(names, (self.a, self.b), (self.b, self.a), strict=True):
            if side.labels:
                yield f"domain {name} holds label maps: few colours with sharp edges"
            if side.grey:
                invent = "" if other.grey else ", which the other direction must invent"
                yield f"domain {name} has no colours{invent}"
            if side.still:
                yield f"the camera of domain {name} stands still"
            if side.extracted and side.duplicates > REPEATED:  # else extraction leaves them out
                yield (
                    f"{side.duplicates:.0%} of the frames of domain {name} repeat the one before: little is learned "
                    "of motion; extract with a lower extract.fps"
                )


def survey(a: Sequence[Path], b: Sequence[Path], *, eyes: FeatureNetwork | None = None) -> Survey:
    """Survey the footage of both domains: videos, folders of videos or of images, or extracted frames.

    eyes: an opened lite0, where there is one; on the CPU. Raises FootageError, in one line, for footage that does not
    exist, or of which nothing can be read; ConfigError where the network's package is absent.
    """
    return _compare(glance(a), glance(b), eyes or open_network("lite0"))


def survey_shots(a: Sequence[Shot], b: Sequence[Shot], *, eyes: FeatureNetwork | None = None) -> Survey:
    """The same of extracted frames, at least one of each side. Raises FootageError for one that cannot be read."""
    return _compare(glance_at_shots(a), glance_at_shots(b), eyes or open_network("lite0"))


@torch.inference_mode()
def _compare(a: Glance, b: Glance, eyes: FeatureNetwork) -> Survey:
    one, other = (_seen(each.glimpses, eyes) for each in (a, b))
    levels = list(zip(one, other, strict=True))
    gap = np.mean([kernel_distance(x, y) for (x, _), (y, _) in levels]) / UNRELATED
    aligned = np.mean([_correlation(x, y) for (_, x), (_, y) in levels])
    return Survey(_side(a), _side(b), gap=float(np.clip(gap, 0, 1)), aligned=float(np.clip(aligned, 0, 1)))


def _seen(glimpses: Sequence[Glimpse], eyes: FeatureNetwork) -> list[tuple[Tensor, Tensor]]:
    """For each of STRIDES: pooled features of all frames (N, C), and the mean layout (C, GRID, GRID)."""
    rows = []
    for glimpse in glimpses:
        found = eyes(torch.from_numpy(glimpse.whole).permute(2, 0, 1)[None].float() / 127.5 - 1)
        levels = [found[eyes.strides.index(stride)] for stride in STRIDES]
        rows.append([(pooled(level), F.adaptive_avg_pool2d(level, GRID)) for level in levels])
    columns = [tuple(map(torch.cat, zip(*column, strict=True))) for column in zip(*rows, strict=True)]
    return [(vectors, maps.mean(0)) for vectors, maps in columns]


def _side(seen: Glance) -> Side:
    middles = [glimpse.middle for glimpse in seen.glimpses]
    wholes = [glimpse.whole for glimpse in seen.glimpses]
    pairs = [(glimpse.whole, glimpse.after) for glimpse in seen.glimpses if glimpse.after is not None]
    labels = are_label_maps(middles)
    return Side(
        width=seen.width,
        height=seen.height,
        fps=seen.fps,
        frames=seen.frames,
        labels=labels,
        street_labels=labels and are_of_the_street(middles),
        grey=have_no_colours(wholes),
        extracted=seen.extracted,
        still=_is_still(wholes, pairs),
        duplicates=float(np.mean([cv2.absdiff(x, y).mean() <= SAME for x, y in pairs])) if pairs else 0.0,
    )


def _is_still(frames: Sequence[Pixels], pairs: Sequence[tuple[Pixels, Pixels]]) -> bool:
    """Whether the median pixel neither changes over time nor moves."""
    if len(frames) < 2:
        return False
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    small = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32) for frame in grey]
    if float(np.median(np.std(small, axis=0))) > STILL:
        return False
    return not pairs or float(np.median([np.median(np.linalg.norm(optical_flow(*p), axis=-1)) for p in pairs])) <= MOVED


def _correlation(x: Tensor, y: Tensor) -> float:
    """Of two mean feature maps (C, H, W), each channel less its mean."""
    x, y = (level - level.mean((1, 2), keepdim=True) for level in (x, y))
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-6))


def _grade(value: float, steps: Sequence[tuple[float, str]], beyond: str) -> str:
    return next((word for limit, word in steps if value < limit), beyond)
