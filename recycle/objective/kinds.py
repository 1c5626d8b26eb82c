"""Kinds of places, such as sky, road and verge, which a frozen network distinguishes in both domains without labels."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.domains import DOMAINS, Domain
from recycle.losses.adversarial import at_least_float32
from recycle.losses.colours import place_colours
from recycle.networks.by_kind import KINDS
from recycle.networks.features import FeatureNetwork
from recycle.networks.projected import ENLARGED
from recycle.system.devices import memory_format

STRIDE = 16
"""Stride of the features that distinguish places; frames are enlarged first."""
ROUNDS = 30
"""Iterations of k-means."""
LEAST_SHARE = 0.005
"""A kind has colours in a domain if at least this proportion of the places belongs to it."""
FREE = 2.0
"""Range of a kind's colours in a domain that does not show it: all of [-1, 1] is allowed."""


class Places(NamedTuple):
    """The places of N real frames of a domain, on the CPU."""

    colours: Tensor
    """(N, H', W', 3) in [-1, 1]."""
    features: Tensor
    """(N, H', W', C) float32."""


class Kinds(nn.Module):
    """Kinds of places and, for each domain, the colours of each kind.

    Kinds are found by spherical k-means (Dhillon & Modha 2001) on features of both domains together. The features of
    each domain are first centred and divided by their standard deviations, because their averages hold what
    distinguishes the domains, such as light and texture. The results are buffers, so that checkpoints contain them.

    Kinds are numbered from 1. The number 0 stands for all kinds that only one of the domains shows.
    """

    def __init__(self, eyes: FeatureNetwork, size: tuple[int, int]) -> None:
        """`eyes` is a network with features at stride 16; `size` is the (height, width) of the frames at full size."""
        super().__init__()
        self._eyes = [eyes]  # in a list, so that it is not a submodule
        self._level = eyes.strides.index(STRIDE)
        self._size = [round(ENLARGED * side) for side in size]  # reduced frames are enlarged to this size, too
        (channels,) = eyes.channels_at([STRIDE])
        self.mean: Tensor
        self.deviation: Tensor
        self.centres: Tensor
        self.colours: Tensor
        self.ranges: Tensor
        self.register_buffer("mean", torch.zeros(2, channels))
        self.register_buffer("deviation", torch.ones(2, channels))
        self.register_buffer("centres", torch.zeros(KINDS, channels))
        self.register_buffer("colours", torch.zeros(2, KINDS, 3))
        self.register_buffer("ranges", torch.full((2, KINDS, 3), FREE))

    @torch.no_grad()
    def forward(self, frames: Tensor, domain: Domain) -> Tensor:
        """(N, 3, H, W) in [-1, 1] of a domain → the kind of each place, (N, H', W') int64 in [0, KINDS]."""
        number = DOMAINS.index(domain)
        vectors = directions(self._features(frames), self.mean[number], self.deviation[number])
        kinds = (vectors @ self.centres.T).argmax(-1)
        return torch.where((self.ranges < FREE).all(-1).all(0)[kinds], kinds + 1, 0)

    def colours_of(self, kinds: Tensor, domain: Domain) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the colours of these kinds of places in a domain: (…, 3) each. Places without
        a kind have the range FREE."""
        number, ahead = DOMAINS.index(domain), (0, 0, 1, 0)
        return F.pad(self.colours[number], ahead)[kinds], F.pad(self.ranges[number], ahead, value=FREE)[kinds]

    @torch.no_grad()
    def places(self, batches: Iterable[Tensor]) -> Places:
        """Batches of real frames (N, 3, H, W) in [-1, 1], on the device of this module → all their places."""
        colours, features = [], []
        for frames in batches:
            level = self._features(frames)
            features.append(level.cpu())
            colours.append(place_colours(frames, (level.shape[1], level.shape[2])).cpu())
        return Places(torch.cat(colours), torch.cat(features))

    @torch.no_grad()
    def learn(self, a: Places, b: Places) -> None:
        """Find the kinds and their colours in each domain; deterministic for given places."""
        sides = (a, b)
        flat = [side.features.flatten(0, -2) for side in sides]
        mean, deviation = map(torch.stack, zip(*map(statistics, flat), strict=True))
        vectors = [directions(side, mean[n], deviation[n]) for n, side in enumerate(flat)]
        centres = _clustered(_balanced(vectors))
        for buffer, value in ((self.mean, mean), (self.deviation, deviation), (self.centres, centres)):
            buffer.copy_(value)
        for number, side in enumerate(sides):
            kinds = (vectors[number] @ centres.T).argmax(-1)
            colours = side.colours.flatten(0, -2)
            for kind in range(KINDS):
                shown = colours[kinds == kind]
                if len(shown) >= LEAST_SHARE * len(colours):
                    self.colours[number, kind] = shown.mean(0)
                    self.ranges[number, kind] = shown.std(0)

    def _features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, H', W', C) float32 or finer."""
        large = F.interpolate(frames, self._size, mode="bilinear", align_corners=False)
        levels: list[Tensor] = self._eyes[0](large.contiguous(memory_format=memory_format(large.device)))
        return at_least_float32(levels[self._level].permute(0, 2, 3, 1))


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C) → mean and standard deviation of each channel, (C,) each; no deviation is close to 0."""
    spread = features.std(0, correction=0)
    return features.mean(0), spread.clamp_min(1e-3 * float(spread.mean()) + 1e-12)


def directions(features: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Deviation of features (…, C) from their domain's mean, in its standard deviations, scaled to norm 1."""
    return F.normalize((features - mean) / deviation, dim=-1)


def _balanced(sides: list[Tensor]) -> Tensor:
    """The same number of random places from each domain, concatenated."""
    random = torch.Generator().manual_seed(0)
    count = min(len(side) for side in sides)
    return torch.cat([side[torch.randperm(len(side), generator=random)[:count]] for side in sides])


def _clustered(vectors: Tensor) -> Tensor:
    """Cluster centres, (KINDS, C) of norm 1, of vectors (N, C) of norm 1."""
    random = torch.Generator().manual_seed(0)
    centres = vectors[torch.randint(len(vectors), (KINDS,), generator=random)]
    for _ in range(ROUNDS):
        sums = torch.zeros_like(centres).index_add_(0, (vectors @ centres.T).argmax(1), vectors)
        centres = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), centres)
    return centres
