"""Generators, predictors and the networks of terms, which train together against the discriminators."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from recycle.config import Pipeline
from recycle.domains import BY_TARGET, DIRECTIONS, DOMAINS, Direction, Domain
from recycle.networks.both_ways import BothWays
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.features import open_network
from recycle.objective.kinds import Kinds
from recycle.objective.passing import CLIP, NEXT, Made, Pass, call, per_frame
from recycle.objective.terms import Term, terms_of

Crops = Callable[[Domain], Iterable[Tensor]]
"""Batches of real frames of a domain, (N, 3, H, W) in [-1, 1] of the training size, spread over all its footage."""


class Translators(BothWays):
    """Generators, predictors, and the networks that terms add, such as the projectors of PatchNCE.

    Every network computes all its frames of a step in as few batches as the data flow allows: `there`, the generators
    on real frames; `ahead`, the predictors; `back`, the generators on translated frames. InstanceNorm and GroupNorm
    keep the frames of a batch independent, so the result equals that of one frame at a time.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__(pipeline.networks, predictors=pipeline.predicts, pretrained=True)
        losses = pipeline.losses
        self._weights, self._noise_back = losses.weights, losses.noise_back
        self._learns_from = losses.prediction.learns_from
        self.terms: tuple[Term, ...] = terms_of(pipeline)
        sees = pipeline.distinguishes_kinds or any(term.sees_features for term in self.terms)
        self.eyes = open_network(losses.features) if sees else None
        self.kinds = Kinds(self.eyes, pipeline.train.size) if self.eyes and pipeline.distinguishes_kinds else None
        self._further: list[str] = []
        for term in self.terms:
            for name, network in term.networks(self.generator(DIRECTIONS[0]), self.eyes).items():
                self.add_module(name, network)
                self._further.append(name)

    def generators(self) -> list[nn.Parameter]:
        """Parameters of the generators and of the terms' networks, for one optimiser."""
        networks = (*map(self.generator, DIRECTIONS), *(getattr(self, name) for name in self._further))
        return [p for network in networks for p in network.parameters()]

    def predictors(self) -> list[nn.Parameter]:
        """Parameters of all predictors."""
        networks = map(self.predictor, BY_TARGET)
        return [p for network in networks if network is not None for p in network.parameters()]

    def study(self, crops: Crops) -> None:
        """Find the kinds of places in both domains before the first step, if they are distinguished."""
        if self.kinds is not None:
            self.kinds.learn(*(self.kinds.places(crops(domain)) for domain in DOMAINS))

    def forward(self, a: Tensor, b: Tensor, *, recycle: bool = True) -> Made:
        """Real clips a, b: (B, T, 3, H, W) float in [-1, 1] → the results that the terms need; read them with `Pass`.

        `recycle` states whether predictors are in use. If not, they take only real frames, and all T translated frames
        come from the generators.
        """
        p = Pass(a, b)
        counted = [t for t in self.terms if recycle or not t.relies_on_predictors]
        terms = {d: [t for t in counted if t.weight(d)] for d in DIRECTIONS}
        ahead = {d: any(t.relies_on_predictors for t in terms[d]) for d in DIRECTIONS}

        def first(d: Direction) -> Tensor:
            """The frames to translate one by one; the last one comes from the predictor unless a term needs it."""
            real = p.real(d.source)
            return real[:, :-1] if ahead[d] and not any(t.whole for t in terms[d]) else real

        there = {d: {CLIP: first(d)} | _merged(t.there(p, d) for t in terms[d]) for d in DIRECTIONS}
        with torch.set_grad_enabled(torch.is_grad_enabled() and bool(self._weights.taught(recycle=recycle))):
            for d in DIRECTIONS:
                self._keep(p, d, call(self.generator(d), there[d]))

        for d in DIRECTIONS:
            self._keep(p, d, self._predict(d, _merged(t.ahead(p, d) for t in terms[d])))

        back = {d: _merged(t.back(p, d) for t in terms[d]) for d in DIRECTIONS}
        for d in DIRECTIONS:
            self._keep(p, d, call(self.generator(d.back), {name: self._noisy(x) for name, x in back[d].items()}))
        if self.kinds is not None:
            for domain in DOMAINS:
                real = p.real(domain)
                p.put_kinds(domain, self.kinds(real.flatten(0, 1), domain).unflatten(0, real.shape[:2]))
        for term in self.terms:
            for d in DIRECTIONS:
                if term in terms[d]:
                    self._keep(p, d, term.beside(p, d, self))
        return p.made

    def _predict(self, d: Direction, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """Predictions in the target of `d` from translated and real frames, in one call if both train the predictor."""
        predictor = self.predictor(d)
        if not seen or predictor is None:
            return {}
        if self._learns_from == "both":
            return call(predictor, seen)
        fixed = {name: parameter.detach() for name, parameter in predictor.named_parameters()}

        def as_it_is(frames: Tensor) -> Tensor:
            out: Tensor = functional_call(predictor, fixed, frames)
            return out

        made = {}
        for name, clip in seen.items():
            made[name] = per_frame(predictor if name == NEXT else as_it_is, clip)
        return made

    def _noisy(self, clip: Tensor) -> Tensor:
        """`clip` with the noise of losses.noise_back, for the way back."""
        return clip + self._noise_back * torch.randn_like(clip) if self._noise_back else clip

    @staticmethod
    def _keep(p: Pass, d: Direction, made: dict[str, Any]) -> None:
        for name, value in made.items():
            p.put(d, name, value)

    def bundle(self, config: BundleConfig) -> Bundle:
        """A copy of the generators and predictors as a Bundle."""
        bundle = Bundle(config)
        own = self.state_dict()
        bundle.load_state_dict({key: own[key] for key in bundle.state_dict()})
        return bundle.to(next(self.parameters()).device).eval().requires_grad_(False)


def _merged(parts: Any) -> dict[str, Tensor]:
    return {name: frames for part in parts for name, frames in part.items()}
