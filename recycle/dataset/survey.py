"""Compares the footage of two domains before training: kind of content, distance, and similarity of layout.

It uses the features of EfficientNet-Lite0, which also serves in training, and never those of the network that scores
results. It reads a few evenly spread frames, so that its duration does not depend on the length of the footage.
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

from recycle.dataset.colours import are_empty, are_label_maps, are_of_the_street, have_no_colours
from recycle.dataset.faults import BAR, bars
from recycle.dataset.glance import Glance, glance, glance_at_shots
from recycle.dataset.shots import Shot
from recycle.domains import LETTERS, Names
from recycle.networks.distance import kernel_distance
from recycle.networks.features import FeatureNetwork, open_network, pooled
from recycle.video.flow import optical_flow

STRIDES = (8, 16, 32)
"""Strides of the compared feature levels, from textures to objects."""
UNRELATED = 9.0
"""Kernel distance of unrelated footage. Measured, at these sizes: two halves of one film 0.2 to 0.5, two people in one
room 1.8, two simulated roads 2.9, a street by day and by night 3.5, cows and a camel 5.4, a street and its label maps
6.2, a simulated and a real road 6.6, cows and a road 7.7, a street and people in a room 9 to 10.5."""
GRID = 7
"""Number of cells per side in which layouts are compared."""
FAR, UNLIKE = 0.75, 0.2
"""Domains with a gap of at least FAR and an alignment below UNLIKE have no common layout. Measured gap and alignment:
a simulated and a real road 0.73 and 0.26, cows and a camel 0.60 and 0.29; cows and a road 0.85 and 0.02, people and a
road 1.00 and 0.06."""
OTHER_SENSOR, ALIKE = 0.5, 0.33
"""If only one domain has colours, the gap of greyscale versions and the alignment from which it appears to come from
another kind of sensor. Measured gap and alignment: a street and its thermal images 0.61 and 0.59, short films of
several such scenes 0.63 and 0.39; with the second domain made grey, two people in one room 0.13 and 0.69, two simulated
roads 0.22 and 0.67, cows and a camel 0.45 and 0.27, a simulated and a real road 0.65 and 0.23."""
STILL = 5.0
"""Maximum standard deviation over time, in grey levels, of the median pixel if the camera is fixed. Measured: fixed
cameras 0.6 to 3, moving ones 17 to 39; a highway with a constant sky has 2 and is recognised by its motion."""
MOVED = 0.25
"""Maximum motion in pixels of the median pixel between frames of 112 lines if the camera is fixed."""
SAME = 0.5
"""Maximum average difference in grey levels between near-duplicates."""
REPEATED = 0.5
"""Proportion of repeated extracted frames above which there is a warning."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Side:
    """Properties of the footage of one domain."""

    width: int
    """Width in square pixels of the upright frames of the source with the shortest side."""
    height: int
    """Height in square pixels of these frames."""
    fps: float
    """Frames per second, the median over the sources."""
    frames: int
    """Number of frames that the sources state; extrapolated if there are many sources."""
    labels: bool = False
    """Whether it consists of flat areas of few colours, as label maps do."""
    street_labels: bool = False
    """Whether its colours are those of the procedural street's labels."""
    grey: bool = False
    """Whether it is greyscale."""
    empty: bool = False
    """Whether each frame shows one colour alone, such as black."""
    extracted: bool = False
    """Whether its frames are already extracted, at their final size."""
    still: bool = False
    """Whether the camera is fixed."""
    bars: tuple[float, float] = (0.0, 0.0)
    """Proportions of the height and of the width that are black bars, as in `recycle.dataset.faults.Look`."""
    duplicates: float = 0.0
    """Proportion of frames that the next frame repeats, in [0, 1]."""
    skipped: tuple[str, ...] = ()
    """Messages about files that extraction will skip."""

    @property
    def short_side(self) -> int:
        """Pixels of the shorter side."""
        return min(self.width, self.height)


@dataclass(frozen=True)
class Survey:
    """The comparison of both domains."""

    a: Side
    b: Side
    gap: float
    """Distance of the domains in [0, 1]; 0: identical, 1: as far apart as unrelated footage. Unbiased squared maximum
    mean discrepancy (Gretton et al., JMLR 2012) of pooled features with the kernel (xᵀy / d + 1)³ as in KID, averaged
    over STRIDES, divided by UNRELATED and clamped."""
    aligned: float
    """Similarity of the layouts in [0, 1]; 0: none, 1: identical. Correlation of the mean feature maps on GRID × GRID
    cells, after each channel's mean is subtracted, averaged over STRIDES and clamped at 0."""
    grey_gap: float | None = None
    """The gap between greyscale versions of both; None unless exactly one domain is greyscale."""

    @property
    def other_sensor(self) -> bool:
        """Whether one domain appears to come from another kind of sensor, such as a thermal camera.

        It then has no colours, and differs far from the other even in grey, although both have a similar layout. What
        is bright in one may be dark in the other.
        """
        return self.grey_gap is not None and self.grey_gap >= OTHER_SENSOR and self.aligned >= ALIKE

    @property
    def photographs(self) -> bool:
        """Whether brightness means the same in both: neither label maps nor images of another kind of sensor."""
        return not (self.labelled or self.other_sensor)

    @property
    def labelled(self) -> bool:
        """Whether at least one domain consists of label maps."""
        return self.a.labels or self.b.labels

    @property
    def unrelated(self) -> bool:
        """Whether photographs of both domains have no common layout. Never true with label maps, which may be aligned
        at any gap."""
        return self.gap >= FAR and self.aligned < UNLIKE and not self.labelled

    def in_words(self, names: Names = LETTERS) -> list[str]:
        """What the user should know before training, one line each; `names` are those of the domains."""
        return list(self._lines(names))

    def _lines(self, names: Names) -> Iterator[str]:
        far = _grade(self.gap, ((0.08, "hardly"), (0.25, "a little"), (0.5, "clearly"), (FAR, "far")), "very far")
        alike = _grade(self.aligned, ((UNLIKE, "not similar"), (0.5, "a little similar")), "very similar")
        single = [name for name, side in zip(names, (self.a, self.b), strict=True) if side.frames < 2]
        if single:
            yield f"how far apart the domains are cannot be measured: domain {single[0]} has a single frame"
        else:
            yield (
                f"the domains are {far} apart (gap {self.gap:.2f}; 1 is unrelated footage) and {alike} in layout "
                f"(aligned {self.aligned:.2f})"
            )
        for name, side, other in zip(names, (self.a, self.b), (self.b, self.a), strict=True):
            more = any(own - its > BAR for own, its in zip(side.bars, other.bars, strict=True))
            if more and not side.extracted:  # with extracted frames, training names the command that crops them
                yield (
                    f"domain {name} has black bars, which count in the gap and would be learned: crop them with "
                    "'recycle extract … --crop X,Y,WIDTH,HEIGHT'"
                )
        if self.unrelated:
            yield (
                "footage this different may have no true counterparts: expect changes of colours and textures rather "
                "than of objects, or choose footage that shows the same kinds of objects in the same places"
            )
        for name, side, other in zip(names, (self.a, self.b), (self.b, self.a), strict=True):
            if side.empty:
                yield (
                    f"each frame of domain {name} that was looked at shows one colour alone: check the footage (levels "
                    "go from 0 to 255)"
                )
                continue
            if side.labels:
                yield f"domain {name} holds label maps: few colours with sharp edges"
            if side.grey:
                invent = "" if other.grey else "; translating it must invent them"
                yield f"domain {name} has no colours{invent}"
            if side.grey and self.other_sensor:
                yield (
                    f"domain {name} may be of another kind of sensor, such as a thermal camera: it differs far from "
                    "the other even in grey"
                )
            if side.still:
                yield f"the camera of domain {name} is fixed"
            if side.extracted and side.duplicates > REPEATED:  # otherwise extraction drops them
                yield (
                    f"{side.duplicates:.0%} of the frames of domain {name} repeat the previous one, so little motion "
                    "can be learned; extract with a lower extract.fps"
                )


def survey(a: Sequence[Path], b: Sequence[Path], *, eyes: FeatureNetwork | None = None) -> Survey:
    """Compare the footage of both domains: videos, folders of videos or of images, or extracted frames.

    `eyes` is an opened lite0 on the CPU; None opens one. Raises FootageError if footage does not exist or nothing in it
    can be read; ConfigError if the network's package is not installed.
    """
    return _compare(glance(a), glance(b), eyes or open_network("lite0"))


def survey_shots(a: Sequence[Shot], b: Sequence[Shot], *, eyes: FeatureNetwork | None = None) -> Survey:
    """Compare extracted frames, at least one of each domain; otherwise as `survey`."""
    return _compare(glance_at_shots(a), glance_at_shots(b), eyes or open_network("lite0"))


@torch.inference_mode()
def _compare(a: Glance, b: Glance, eyes: FeatureNetwork) -> Survey:
    sides = (_side(a), _side(b))
    frames = [[glimpse.whole for glimpse in each.glimpses] for each in (a, b)]
    gap, aligned = _distance(*(_seen(each, eyes) for each in frames))
    grey_gap = None
    if sides[0].grey != sides[1].grey and not (sides[0].labels or sides[1].labels):
        grey_gap, _ = _distance(*(_seen([_in_grey(frame) for frame in each], eyes) for each in frames))
    return Survey(*sides, gap=gap, aligned=aligned, grey_gap=grey_gap)


Seen = list[tuple[Tensor, Tensor]]
"""For each of STRIDES: pooled features of all frames (N, C), and the mean layout (C, GRID, GRID)."""


def _distance(one: Seen, other: Seen) -> tuple[float, float]:
    """Gap and alignment, as in `Survey`."""
    levels = list(zip(one, other, strict=True))
    gap = np.mean([kernel_distance(x, y) for (x, _), (y, _) in levels]) / UNRELATED
    aligned = np.mean([_correlation(x, y) for (_, x), (_, y) in levels])
    return float(np.clip(gap, 0, 1)), float(np.clip(aligned, 0, 1))


def _in_grey(frame: Pixels) -> Pixels:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _seen(frames: Sequence[Pixels], eyes: FeatureNetwork) -> Seen:
    rows = []
    for frame in frames:
        found = eyes(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 127.5 - 1)
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
        empty=are_empty(wholes),
        bars=bars(wholes),
        extracted=seen.extracted,
        still=_is_still(wholes, pairs),
        duplicates=float(np.mean([cv2.absdiff(x, y).mean() <= SAME for x, y in pairs])) if pairs else 0.0,
        skipped=seen.skipped,
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
    """Correlation of two mean feature maps (C, H, W), after each channel's mean is subtracted."""
    x, y = (level - level.mean((1, 2), keepdim=True) for level in (x, y))
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-6))


def _grade(value: float, steps: Sequence[tuple[float, str]], beyond: str) -> str:
    return next((word for limit, word in steps if value < limit), beyond)
