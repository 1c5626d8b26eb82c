"""What a task of the benchmark is: footage to train on, unseen films, and the scores of a translation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recycle.config import Pipeline
from recycle.dataset.clips import Shot
from recycle.domains import Domain
from recycle.evaluation.metrics import Motion, motion
from recycle.events import Job
from tools.reproduction.plan import Budget, Overlay

Clip = NDArray[np.uint8]
"""(T, H, W, 3) uint8 RGB."""
Translate = Callable[[Clip, Domain], Clip]
"""Translates consecutive frames to a domain."""
Scores = dict[str, dict[str, float]]
"""Figure → column → value; columns are conditions of the street, or directions: "ab" and "ba"."""


@dataclass(frozen=True)
class TrainingFootage:
    """Shots of both domains."""

    a: list[Shot]
    b: list[Shot]
    labels_of_a: list[Shot] = field(default_factory=list)
    """Label maps of domain a's shots, which only the segmentation network of the task `labels` sees."""
    unseen: Mapping[Domain, list[Shot]] = field(default_factory=dict)
    """Shots of real footage that nobody trains on."""

    @property
    def shots(self) -> dict[Domain, list[Shot]]:
        """Those to train on, by domain."""
        return {"a": self.a, "b": self.b}


@dataclass(frozen=True)
class Film:
    """Consecutive unseen frames of one domain."""

    frames: Clip
    motions: Sequence[Motion]
    """One for each pair of consecutive frames."""
    truth: Clip | None = None
    """The same moments in the other domain, where that is known."""

    @classmethod
    def of(cls, frames: Clip, truth: Clip | None = None) -> "Film":
        """With the motion that is seen in the frames themselves."""
        return cls(frames, tuple(motion(*pair) for pair in pairwise(frames)), truth)


Films = Mapping[Domain, Sequence[Film]]


class Judging(Protocol):
    """Scores that need no truth; see judge.Judge."""

    def __call__(self, translate: Translate, /) -> Scores:
        """Of both directions."""

    def distances(self, shots: Mapping[Domain, Sequence[Shot]], /) -> Scores:
        """Of real frames of the target domains."""


class Bench(Protocol):
    """What all runs of a task are scored with. It is sent to the processes that train."""

    @property
    def key(self) -> str:
        """Tells settings apart that change scores."""

    @property
    def judge(self) -> Judging:
        """For the scores that need no truth."""

    @property
    def second(self) -> str:
        """The way (see ways.WAYS) in which runs are scored a second time."""

    def score(self, translate: Translate) -> Scores:
        """Against the truth; empty where there is none."""

    def write_sheet(self, path: Path, translate: Translate) -> None:
        """A contact sheet of what `translate` makes of some unseen frames."""

    def yardsticks(self) -> dict[str, Scores]:
        """Scores against the truth of what needs no training."""


class Task(Protocol):
    """One kind of footage, at one size."""

    @property
    def size(self) -> Budget:
        """Of the plan."""

    @property
    def key(self) -> str:
        """Tells settings of the footage apart."""

    @property
    def methods(self) -> Mapping[str, Overlay]:
        """Of the plan."""

    @property
    def usual(self) -> tuple[str, ...]:
        """Those of the methods that run where none is named."""

    @property
    def ablation(self) -> Mapping[str, Overlay]:
        """Of the plan, in its order."""

    def pipeline(self, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
        """Of a method, with these settings of `train`. Raises ConfigError."""

    def training(self, folder: Path, job: Job) -> TrainingFootage:
        """Make what `folder` does not hold yet. Raises RecycleError."""

    def bench(self, training: TrainingFootage, folder: Path, device: str, job: Job) -> Bench:
        """Make what `folder` does not hold yet. Raises RecycleError."""
