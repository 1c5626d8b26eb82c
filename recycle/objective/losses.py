"""The losses of generators and predictors, term by term."""

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from recycle.config import LossSettings
from recycle.domains import DIRECTIONS, Direction
from recycle.objective.discriminators import Discriminators
from recycle.objective.passing import AHEAD, Pass
from recycle.objective.sides import Losses
from recycle.objective.terms import Seen, Term

Parts = Mapping[Direction, Tensor]
"""A loss in each direction in which it has a weight."""


def generator_losses(
    terms: Sequence[Term], discriminators: Discriminators, p: Pass, settings: LossSettings
) -> dict[str, Parts]:
    """The unweighted loss of each term, by name and direction; `discriminators` must be frozen."""
    seen = Seen(p, discriminators, predictions=settings.prediction.judged == "opposed")
    losses: dict[str, Parts] = {}
    for term in terms:
        waits = {d for d in DIRECTIONS if term.relies_on_predictors and p.get(d, AHEAD) is None}
        parts = {d: term.loss(seen, d) for d in DIRECTIONS if term.weight(d) and d not in waits}
        if parts:
            losses[term.name] = parts
    return losses


def both(losses: Mapping[str, Parts]) -> Losses:
    """Each loss, summed over its directions."""
    return {name: _sum(parts) for name, parts in losses.items()}


def weighed(losses: Mapping[str, Parts], terms: Sequence[Term]) -> Losses:
    """Each loss multiplied by its weight and summed over its directions."""
    by_name = {term.name: term for term in terms}
    result = {}
    for name, parts in losses.items():
        weights = {d: by_name[name].weight(d) for d in parts}
        if len(set(weights.values())) == 1:  # keep the rounding of one weight for both directions
            result[name] = next(iter(weights.values())) * _sum(parts)
        else:
            result[name] = _sum({d: weights[d] * parts[d] for d in parts})
    return result


def _sum(parts: Parts) -> Tensor:
    return reduce(torch.add, parts.values())
