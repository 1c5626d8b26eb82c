"""Crops of the training size, spread over a domain's footage, for analysis before the first step."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recycle.dataset.clips import DomainClips

MOST = 4096
"""Maximum number of crops per domain."""
BATCH = 16
"""Number of crops per forward pass; small batches stay in a CPU's cache."""

Crops = NDArray[np.int64]
"""(N, 4): shot, first frame, top and left of a crop."""


def spread_crops(domain: DomainClips, size: tuple[int, int], seed: int) -> Crops:
    """At most MOST distinct crops of `size` (height, width), evenly spread over all windows, at random positions.

    Deterministic for a given seed.
    """
    random = np.random.default_rng([seed, ord(domain.name[0]), 4])
    numbers = np.linspace(0, len(domain.windows), MOST, endpoint=False).astype(int)
    rows = [(*window, *domain.place(window[0], size, random)) for window in (domain.windows[int(n)] for n in numbers)]
    return np.unique(np.array(rows, dtype=np.int64), axis=0)


def pictures(domain: DomainClips, crops: Crops, size: tuple[int, int]) -> Iterator[Tensor]:
    """The first frames of crops in batches: uint8 (≤ BATCH, 3, *size)."""
    batch: list[Tensor] = []
    for picture in _single(domain, crops, size):
        batch.append(picture)
        if len(batch) == BATCH:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def _single(domain: DomainClips, crops: Crops, size: tuple[int, int]) -> Iterator[Tensor]:
    for (shot, start), group in groupby(crops.tolist(), key=lambda crop: (crop[0], crop[1])):
        frame = domain.shots[shot].read(start)
        for _, _, top, left in group:
            yield frame[:, top : top + size[0], left : left + size[1]]
