"""The terms of the objective, one small file per loss, and the table of all terms.

To add a loss, write a `Term` and register it with `add_term`; its name is then a key of `losses.weights`.
"""

from collections.abc import Iterator

from recycle.config import Pipeline
from recycle.config.losses import FURTHER, LossWeights
from recycle.objective.terms.adversarial import Adversarial
from recycle.objective.terms.base import Frames, Seen, Term
from recycle.objective.terms.colours import Colours
from recycle.objective.terms.conservation import Conservation
from recycle.objective.terms.content import Content
from recycle.objective.terms.cycle import Cycle
from recycle.objective.terms.distillation import Distillation
from recycle.objective.terms.feature_matching import FeatureMatching
from recycle.objective.terms.identity import Identity
from recycle.objective.terms.paired import Paired
from recycle.objective.terms.patch_nce import PatchNCE
from recycle.objective.terms.perceptual import Perceptual
from recycle.objective.terms.recurrent import Recurrent
from recycle.objective.terms.recycle import Recycle
from recycle.objective.terms.self_similarity import SelfSimilarity
from recycle.objective.terms.temporal import Temporal
from recycle.objective.terms.unsupervised_recycle import UnsupervisedRecycle
from recycle.objective.terms.unsupervised_spatial import UnsupervisedSpatial

__all__ = ["TERMS", "Frames", "Seen", "Term", "add_term", "problems", "terms_of"]

TERMS: dict[str, type[Term]] = {
    term.name: term
    for term in (
        Adversarial,
        Temporal,
        Content,
        SelfSimilarity,
        Colours,
        FeatureMatching,
        Cycle,
        Recycle,
        Recurrent,
        Identity,
        UnsupervisedSpatial,
        UnsupervisedRecycle,
        PatchNCE,
        Perceptual,
        Paired,
        Distillation,
        Conservation,
    )
}
"""Terms by their keys in `losses.weights`. Frames are gathered, and losses are summed, in this order."""


def add_term(term: type[Term]) -> None:
    """Register a loss under its name. Raises ValueError if another loss has that name."""
    if TERMS.setdefault(term.name, term) is not term:
        raise ValueError(f"a loss named '{term.name}' exists already; give the term another name")
    if term.name not in LossWeights.model_fields:
        FURTHER.add(term.name)


def terms_of(pipeline: Pipeline) -> tuple[Term, ...]:
    """The terms that have a weight, in the order of TERMS."""
    used = pipeline.losses.weights.used()
    return tuple(term(pipeline) for name, term in TERMS.items() if name in used)


def problems(pipeline: Pipeline) -> Iterator[str]:
    """Problems of a pipeline that the losses with a weight report, one line each."""
    used = pipeline.losses.weights.used()
    for name, term in TERMS.items():
        if name in used:
            yield from term.check(pipeline)
    if pipeline.train.teacher is not None and Distillation.name not in used:
        yield "set both 'losses.weights.distillation' and 'train.teacher', or neither"
