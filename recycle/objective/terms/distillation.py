"""Distance to the translation of a teacher."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from recycle.config import Pipeline
from recycle.domains import DIRECTIONS, Direction
from recycle.losses.consistency import distillation_loss
from recycle.networks.bundle import Bundle, load_bundle
from recycle.objective.passing import Pass, per_frame
from recycle.objective.terms.base import Seen, Term
from recycle.system.hub import find_model


class Distillation(Term):
    """The translation equals that of a trained model (output distillation: Hinton et al. 2015)."""

    name = "distillation"
    whole = True

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline)
        assert pipeline.train.teacher is not None, "checked with the settings"
        bundle = load_bundle(find_model(pipeline.train.teacher))
        for d in DIRECTIONS:
            bundle.config.target(d.target)  # raises ConfigError if the teacher does not translate in this direction
        self._teacher = Teacher(bundle)

    @classmethod
    def check(cls, pipeline: Pipeline) -> Iterator[str]:
        """A teacher is required."""
        if pipeline.train.teacher is None:
            yield "set both 'losses.weights.distillation' and 'train.teacher', or neither"

    def beside(self, p: Pass, d: Direction, translators: Any) -> dict[str, Any]:
        """The teacher's translation."""
        return {"taught": self._teacher(p.real(d.source), d)}

    def loss(self, seen: Seen, d: Direction) -> Tensor:
        """See `recycle.losses.consistency.distillation_loss`."""
        return distillation_loss(seen.p.get(d, "taught"), seen.p.clip(d))


class Teacher:
    """A trained model whose translations are the target; it is neither trained nor saved."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._ready: dict[Direction, nn.Module] = {}

    @torch.no_grad()
    def __call__(self, clip: Tensor, d: Direction) -> Tensor:
        """(B, T, 3, H, W) float in [-1, 1] → its translation, float32, computed in the precision of the active
        autocast."""
        kind = clip.device.type
        if d not in self._ready:
            dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
            self._ready[d] = self._bundle.generator(d).for_inference(clip.device, dtype)
        with torch.autocast(kind, enabled=False):
            return per_frame(self._ready[d], clip.float()).float()
