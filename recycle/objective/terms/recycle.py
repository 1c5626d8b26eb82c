"""Recycle loss."""

from collections.abc import Iterator

from torch import Tensor

from recycle.config import Pipeline
from recycle.domains import Direction
from recycle.losses.consistency import recycle_loss
from recycle.objective.passing import AHEAD, Pass, windows
from recycle.objective.terms.base import Frames, Seen, Term


class Recycle(Term):
    """L_r: the next translated frame, as predicted and translated back, equals the real next frame."""

    name = "recycle"
    relies_on_predictors = True

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """A clip must have a frame after the past frames of the predictor."""
        yield from enough_frames(pipeline)

    def ahead(self, p: Pass, d: Direction) -> Frames:
        """Runs of translated frames, without the last frame."""
        return {AHEAD: windows(p.clip(d)[:, : p.a.shape[1] - 1], self.past)}

    def back(self, p: Pass, d: Direction) -> Frames:
        """The predictions."""
        return {"recycled": p.get(d, AHEAD)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.recycle_loss`."""
        return recycle_loss(seen.p.real(d.source)[:, self.past :], seen.p.get(d, "recycled"), self.losses.distance)


def enough_frames(pipeline: Pipeline) -> Iterator[str]:
    """A problem if a clip has no frame after the past frames of the predictor."""
    past, frames = pipeline.networks.predictor.past, pipeline.train.frames
    if frames <= past:
        yield (
            f"'train.frames' must be above 'networks.predictor.past' = {past} with a recycle or recurrent loss, "
            f"got {frames}"
        )
