"""Matched sampling: pairs of crops from both domains with similar content, found once before training.

If one domain shows more trees, its discriminator learns that trees are real, and the generator adds trees to skies. A
pretrained network therefore compares crops, and each crop is paired with one of the most similar crops of the other
domain. Source: Richter, Al Haija & Koltun, "Enhancing Photorealism Enhancement" (TPAMI 2022), section 3.4, which uses
VGG-16, one direction, and a fixed maximum distance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from recycle.config import TrainSettings
from recycle.dataset.clips import DomainClips, UnpairedClips
from recycle.errors import FootageError
from recycle.events import Job
from recycle.networks.features import FeatureNetwork
from recycle.objective.kinds import directions, statistics
from recycle.system.devices import memory_format
from recycle.training.crops import Crops, pictures, spread_crops

NEAREST = 10
"""Number of most similar crops of the other domain from which one is drawn, as in the paper's code."""
SIDE = 96
"""Shorter side in pixels at which the network takes a crop."""
GRID = 3
"""Cells per side of a crop whose features are compared place by place, because a sky is at the top."""
LEVELS = -2
"""First compared feature level of the network; strides 16 and 32."""


class Matches(NamedTuple):
    """Crops of both domains, and the most similar crops of the other domain for each."""

    crops: tuple[Crops, Crops]
    """Crops of a and of b."""
    nearest: tuple[NDArray[np.int64], NDArray[np.int64]]
    """For a, then for b: (N, K), indices of the other domain's crops."""
    similarity: float
    """Mean cosine similarity of matched pairs, in [-1, 1]; random pairs have 0."""


def candidates(domain: DomainClips, size: tuple[int, int], seed: int) -> Crops:
    """Crops of a domain to choose from, spread over its footage; see `spread_crops`.

    Raises FootageError if there is only one crop.
    """
    crops = spread_crops(domain, size, seed)
    if len(crops) < 2:
        raise FootageError(
            f"train.match has nothing to choose from: domain {domain.called} has one clip, as large as train.size; add "
            "footage, or set train.match = 0"
        )
    return crops


def find_matches(
    domains: tuple[DomainClips, DomainClips],
    crops: tuple[Crops, Crops],
    size: tuple[int, int],
    network: FeatureNetwork,
    device: torch.device,
    *,
    job: Job | None = None,
) -> Matches:
    """Compare crops of both domains by the first frames of their clips.

    Raises FootageError for a damaged frame, Interrupted if the job is cancelled.
    """
    network = network.to(device).to(memory_format=memory_format(device))  # twice as fast on CPUs
    total = sum(len(own) for own in crops)
    count = (job or Job()).counting("comparing crops of both domains", total=total, unit="crops")
    features = []
    for domain, own in zip(domains, crops, strict=True):
        found = []
        for batch in describe(domain, own, size, network, device):
            found.append(batch)
            count.add(len(batch))
        features.append(deviations(torch.cat(found)))
    alike = features[0] @ features[1].T
    best = [side.topk(min(NEAREST, side.shape[1]), dim=1) for side in (alike, alike.T)]
    nearest = best[0].indices.cpu().numpy(), best[1].indices.cpu().numpy()
    return Matches(crops, nearest, float(torch.stack([side.values.mean() for side in best]).mean()))


@torch.no_grad()
def describe(
    domain: DomainClips, crops: Crops, size: tuple[int, int], network: FeatureNetwork, device: torch.device
) -> Iterator[Tensor]:
    """Features of crops in batches on `device`: (≤ BATCH, GRID² · C) float32; those of each cell and level have norm
    1."""
    for batch in pictures(domain, crops, size):
        yield _cells(network(_resized(batch.to(device))))


def deviations(features: Tensor) -> Tensor:
    """(N, D) → (N, D): deviation from the domain's mean in its standard deviations, scaled to norm 1.

    The means contain what distinguishes the domains, such as light and texture; subtracting them leaves the content.
    """
    return directions(features, *statistics(features))


def _resized(pictures: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) → float32 in [-1, 1] with a shorter side of SIDE pixels."""
    factor = SIDE / min(pictures.shape[-2:])
    height, width = (max(SIDE, round(side * factor)) for side in pictures.shape[-2:])
    frames = (pictures.float() / 127.5 - 1).contiguous(memory_format=memory_format(pictures.device))
    return F.interpolate(frames, (height, width), mode="bilinear", antialias=True, align_corners=False)


def _cells(levels: list[Tensor]) -> Tensor:
    cells = [F.adaptive_avg_pool2d(level.float(), GRID) for level in levels[LEVELS:]]
    return torch.cat([F.normalize(level, dim=1).flatten(1) for level in cells], 1)


class MatchedClips(UnpairedClips):
    """Clips of both domains, cropped to the training size; a proportion `train.match` of the samples is matched.

    For matched samples with even numbers, the crop of a is drawn, each crop once per epoch, and paired with one of its
    NEAREST crops of b; for odd numbers the other way round. The other samples are those of UnpairedClips. A sample
    depends only on the seed and its number.
    """

    def __init__(self, a: DomainClips, b: DomainClips, length: int, matches: Matches, settings: TrainSettings) -> None:
        super().__init__(a, b, length)
        self._matches = matches
        self._size, self._share, self._seed = settings.size, settings.match, settings.seed

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        crops, random = self.crops(number)
        if crops is None:
            return self._unmatched(self.a, number), self._unmatched(self.b, number)
        a, b = (
            domain.cut(shot, start, domain.stride(shot, start, random), (top, left), self._size)
            for domain, (shot, start, top, left) in zip((self.a, self.b), crops, strict=True)
        )
        return a, b

    def crops(self, number: int) -> tuple[tuple[list[int], list[int]] | None, np.random.Generator]:
        """Shot, first frame, top and left of the crops of a and b of a sample, None if it is not matched; and its
        random generator."""
        random = np.random.default_rng([self._seed, number, 5])
        if random.random() >= self._share:
            return None, random
        side, turn = number % 2, number // 2
        own, others, nearest = self._matches.crops[side], self._matches.crops[1 - side], self._matches.nearest[side]
        epoch, position = divmod(turn, len(own))
        drawn = int(np.random.default_rng([self._seed, side, epoch, 6]).permutation(len(own))[position])
        partner = int(nearest[drawn, random.integers(nearest.shape[1])])
        pair = own[drawn].tolist(), others[partner].tolist()
        return (pair if side == 0 else (pair[1], pair[0])), random

    def _unmatched(self, domain: DomainClips, number: int) -> Tensor:
        (shot, start, stride), random = domain.draw(number)
        return domain.cut(shot, start, stride, domain.place(shot, self._size, random), self._size)
