"""The interface of a term of the objective."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.domains import DIRECTIONS, Direction
from recycle.networks.discriminator import Judgement
from recycle.objective.discriminators import Discriminators
from recycle.objective.passing import Pass
from recycle.objective.sides import fake_side, real_side

Frames = Mapping[str, Tensor]
"""Clips by name, each (B, ·, 3, H, W) in [-1, 1]."""


class Term:
    """One loss of generators and predictors: the frames that it needs, its rules for the settings, and its formula.

    The pass gathers the frames of all terms and calls each network once per level. A term whose weight is 0 is not
    created. A term with a weight in one direction is evaluated only in that direction. To add a loss, see `add_term`.
    """

    name: ClassVar[str]
    """Key of the loss in `losses.weights`."""
    whole: ClassVar[bool] = False
    """Whether it needs all T frames of a clip translated one by one, none of them predicted."""
    relies_on_predictors: ClassVar[bool] = False
    """Whether it is omitted until the predictors are good enough (losses.prediction.wait)."""

    sees_features: bool = False
    """Whether it uses the frozen feature network `losses.features`, which is then `eyes` of the translators."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.losses = pipeline.losses
        self.past = pipeline.networks.predictor.past
        self._weights = {d: pipeline.losses.weights.of(self.name, d.name) for d in DIRECTIONS}

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """Problems of a pipeline in which this loss has a weight, one line each."""
        yield from ()

    def weight(self, d: Direction) -> float:
        """Weight in a direction."""
        return self._weights[d]

    def networks(self, generator: Any, eyes: Any) -> dict[str, nn.Module]:
        """Networks of this term, trained with the generators, by their names in a checkpoint."""
        return {}

    def there(self, p: Pass, d: Direction) -> Frames:
        """Real frames for the generator of `d`."""
        return {}

    def ahead(self, p: Pass, d: Direction) -> Frames:
        """Runs of past frames, (B, ·, P, 3, H, W), for the predictor in the target of `d`."""
        return {}

    def back(self, p: Pass, d: Direction) -> Frames:
        """Frames in the target of `d` for the generator of the opposite direction."""
        return {}

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """Further results, tensors or lists of tensors by name, that need the networks."""
        return {}

    def loss(self, seen: "Seen", d: Direction) -> Tensor:
        """The loss in one direction, without its weight."""
        raise NotImplementedError


class Seen:
    """A pass, and the judgements of the frozen discriminators about it."""

    def __init__(self, p: Pass, discriminators: Discriminators, *, predictions: bool) -> None:
        """`predictions`: whether predictions from real frames are judged as translated (losses.prediction.judged)."""
        self.p, self.discriminators, self._predictions = p, discriminators, predictions

    @cached_property
    def judged(self) -> dict[str, Judgement]:
        """Each discriminator's judgement of the translated frames."""
        (judged,) = self.discriminators(fake_side(self.discriminators, self.p, predictions=self._predictions))
        return judged

    @cached_property
    def wanted(self) -> dict[str, Judgement]:
        """Each discriminator's judgement of the same number of real frames, without gradient."""
        with torch.no_grad():
            (wanted,) = self.discriminators(real_side(self.discriminators, self.p, predictions=self._predictions))
        return wanted

    def judges(self, d: Direction, *, clips: bool = False) -> list[str]:
        """Names of the discriminators in the target of `d`, for single frames or for clips."""
        return self.discriminators.of(d.target, clips=clips)
