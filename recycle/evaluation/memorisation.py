"""Detects copied training frames: compares nearest distances to them of the output and of unseen real frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recycle.dataset.shots import Shot, locate
from recycle.evaluation.features import Describe
from recycle.evaluation.metrics import Pixels, evenly
from recycle.events import Job

GALLERY = 1000
"""Maximum number of training frames of a domain that are searched; they are evenly spaced."""


@dataclass(frozen=True)
class Gallery:
    """Training frames of one domain, searchable for the nearest one."""

    frames: tuple[tuple[Shot, int], ...]
    """Shot and index in it, for each frame."""
    vectors: Tensor
    """The vectors of `frames` by `describe`, (N, D) float32."""
    describe: Describe

    @classmethod
    def of(
        cls,
        shots: Sequence[Shot],
        describe: Describe,
        *,
        job: Job | None = None,
        what: str = "reading training frames",
    ) -> "Gallery":
        """Describe at most GALLERY evenly spaced frames of `shots`.

        The job's progress counts frames, under the name `what`. Raises FootageError if a frame cannot be read, and
        Interrupted if the job is cancelled.
        """
        total = sum(len(shot.files) for shot in shots)
        frames = tuple(locate(shots, evenly(total, GALLERY)))
        vectors = []
        count = (job or Job()).counting(what, total=len(frames))
        for done, (shot, index) in enumerate(frames, 1):
            vectors.append(describe([shot.pixels(index)]))
            count(done)
        return cls(frames, torch.cat(vectors), describe)

    def nearest(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean distance to the nearest training frame and its index in `frames`, each (M,), for vectors (M, D)."""
        found = torch.cdist(vectors.double(), self.vectors.double()).min(1)
        return found.values, found.indices

    def picture(self, number: int) -> Pixels:
        """Training frame `number`, uint8 RGB (H, W, 3). Raises FootageError if it cannot be read."""
        shot, index = self.frames[number]
        return shot.pixels(index)


def memorisation(output: Tensor, unseen: Tensor, gallery: Gallery) -> float | None:
    """Mean distance of the output (N, D) to the nearest training frames, divided by that of unseen real frames (M, D).

    1 means as far as frames that were not used for training; far below 1 means that training frames are copied. None if
    the unseen frames are training frames themselves, so that their distance is 0.

    Source: Meehan, Chaudhuri, Dasgupta, "A non-parametric test to detect data-copying in generative models" (AISTATS
    2020), which compares the distances of generated and test samples to the training set. It uses a rank statistic;
    the ratio here is easier to interpret. Karras et al. (ICLR 2018, appendix) show nearest training pictures.
    """
    usual = float(gallery.nearest(unseen)[0].mean())
    return float(gallery.nearest(output)[0].mean()) / usual if usual > 0 else None
