"""The interface of a benchmark task: training footage, unseen films, and the scores of a translation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from recycle.config import Pipeline
from recycle.dataset.shots import Shot
from recycle.domains import Domain
from recycle.evaluation.metrics import Motion, motion
from recycle.events import Job
from tools.reproduction.plan import Budget, Overlay

if TYPE_CHECKING:
    from tools.reproduction.judge import Judge

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
    """Label maps of domain a's shots, used only by the segmentation network of the task `labels`."""
    unseen: Mapping[Domain, list[Shot]] = field(default_factory=dict)
    """Shots of real footage that are not used for training."""

    @property
    def shots(self) -> dict[Domain, list[Shot]]:
        """Shots for training, by domain."""
        return {"a": self.a, "b": self.b}


@dataclass(frozen=True)
class Film:
    """Consecutive unseen frames of one domain."""

    frames: Clip
    motions: Sequence[Motion]
    """Optical flow of each pair of consecutive frames."""
    truth: Clip | None = None
    """The same moments in the other domain, if known."""

    @classmethod
    def of(cls, frames: Clip, truth: Clip | None = None) -> "Film":
        """A film whose motion is estimated from its frames."""
        return cls(frames, tuple(motion(*pair) for pair in pairwise(frames)), truth)


Films = Mapping[Domain, Sequence[Film]]


class Bench(Protocol):
    """The scoring of all runs of a task; sent to the training processes."""

    @property
    def key(self) -> str:
        """Identifies settings that change scores."""

    @property
    def judge(self) -> "Judge":
        """Scores that need no true frames."""

    @property
    def second(self) -> str:
        """The way (a key of `ways.WAYS`) in which runs are scored a second time."""

    def score(self, translate: Translate) -> Scores:
        """Scores against true frames; empty if there are none."""

    def write_sheet(self, path: Path, translate: Translate) -> None:
        """A contact sheet of translations of some unseen frames."""

    def yardsticks(self) -> dict[str, Scores]:
        """Scores against true frames of references without training."""


class Task(Protocol):
    """One kind of footage, at one size."""

    @property
    def size(self) -> Budget:
        """Size of the plan."""

    @property
    def key(self) -> str:
        """Identifies settings of the footage."""

    @property
    def methods(self) -> Mapping[str, Overlay]:
        """Methods of the plan."""

    @property
    def usual(self) -> tuple[str, ...]:
        """Methods that run by default."""

    @property
    def ablation(self) -> Mapping[str, Overlay]:
        """Ablation of the plan, in its order."""

    def pipeline(self, overlay: Overlay, *, name: str, **train: Any) -> Pipeline:
        """The pipeline of a method, with these settings of `train`. Raises ConfigError."""

    def training(self, folder: Path, job: Job) -> TrainingFootage:
        """Create footage that is missing in `folder`. Raises RecycleError."""

    def bench(self, training: TrainingFootage, folder: Path, device: str, job: Job) -> Bench:
        """Create what is missing in `folder` for scoring. Raises RecycleError."""
