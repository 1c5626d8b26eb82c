"""Whether the output copies training frames: its distance to the nearest of them beside that of unseen frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recycle.dataset.clips import Shot, locate
from recycle.evaluation.features import Describe
from recycle.evaluation.metrics import Pixels
from recycle.events import Job

GALLERY = 1000
"""Training frames of a domain that are looked at, evenly taken."""


@dataclass(frozen=True)
class Gallery:
    """Training frames of one domain, to find the nearest among."""

    frames: tuple[tuple[Shot, int], ...]
    """Shot and index of each."""
    vectors: Tensor
    """(N, D): the same frames, as `describe` sees them."""
    describe: Describe

    @classmethod
    def of(
        cls,
        shots: Sequence[Shot],
        describe: Describe,
        *,
        job: Job | None = None,
        what: str = "looking at training frames",
    ) -> "Gallery":
        """At most GALLERY evenly taken frames of `shots`.

        The job's progress counts frames, under the name `what`. Raises FootageError as Shot.read, Interrupted where the
        job is cancelled.
        """
        total = sum(len(shot.files) for shot in shots)
        frames = tuple(locate(shots, np.linspace(0, total - 1, min(total, GALLERY)).round().astype(int)))
        vectors = []
        count = (job or Job()).counting(what, total=len(frames))
        for done, (shot, index) in enumerate(frames, 1):
            vectors.append(describe([_pixels(shot, index)]))
            count(done)
        return cls(frames, torch.cat(vectors), describe)

    def nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """For each of the vectors (M, D): the Euclidean distance (M,) of the nearest training frame, and its number."""
        found = torch.cdist(vectors.double(), self.vectors.double()).min(1)
        return found.values, found.indices

    def picture(self, number: int) -> Pixels:
        """Training frame `number`, (H, W, 3) uint8 RGB."""
        return _pixels(*self.frames[number])


def memorisation(output: Tensor, unseen: Tensor, gallery: Gallery) -> float | None:
    """Mean distance of the output (N, D) to its nearest training frames ÷ the same for real unseen frames (M, D).

    1: as far as frames that training never saw; far below 1: training frames are copied. That a model which copies is
    nearer to its training set than a test set is, is the test of Meehan, Chaudhuri, Dasgupta (AISTATS 2020, "A
    non-parametric test to detect data-copying in generative models"); they give a rank statistic, we the ratio, which
    reads by itself. Looking at nearest training pictures: Karras et al., ICLR 2018, appendix. None where the unseen
    frames are training frames themselves.
    """
    usual = float(gallery.nearest(unseen)[0].mean())
    return float(gallery.nearest(output)[0].mean()) / usual if usual > 0 else None


def _pixels(shot: Shot, index: int) -> Pixels:
    return np.ascontiguousarray(shot.read(index).permute(1, 2, 0).numpy())
