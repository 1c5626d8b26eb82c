"""One pass of real clips through generators and predictors: all terms' frames in as few network calls as possible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recycle.domains import DOMAINS, Direction, Domain

Made = dict[str, Any]
"""Results of a pass, by "DIRECTION/NAME", or "DOMAIN/kinds"; a plain dict of tensors, because DistributedDataParallel
searches it for them."""
CLIP = "clip"
"""Name of the translated frames: (B, N, 3, H, W), translated one by one; N is T or T−1."""
AHEAD = "ahead"
"""Name of the predictions from translated frames: (B, T−P, 3, H, W) after P past frames."""
NEXT = "next"
"""Name of the predictions from real frames of a direction's target: (B, T−P, 3, H, W)."""
_KINDS = "kinds"


@dataclass(frozen=True)
class Pass:
    """Real clips a, b (B, T, 3, H, W) in [-1, 1], and what the networks computed from them so far."""

    a: Tensor
    b: Tensor
    made: Made = field(default_factory=dict)
    masks: tuple[Tensor | None, Tensor | None] = (None, None)
    """Masks of a and b, (B, T, 1, H, W) in [0, 1]; None if the domain has none."""
    _features: dict[str, list[Tensor]] = field(default_factory=dict, repr=False)

    def real(self, domain: Domain) -> Tensor:
        """The real clip of a domain."""
        return (self.a, self.b)[DOMAINS.index(domain)]

    def inside(self, domain: Domain) -> Tensor:
        """The mask of the real clip of a domain, (B, T, 1, H, W); 1 everywhere if it has none."""
        mask = self.masks[DOMAINS.index(domain)]
        return torch.ones_like(self.real(domain)[:, :, :1]) if mask is None else mask

    def put(self, d: Direction, name: str, value: Any) -> None:
        """Store a result."""
        self.made[f"{d.name}/{name}"] = value

    def get(self, d: Direction, name: str) -> Any:
        """The result of that name; None if no term requested it."""
        return self.made.get(f"{d.name}/{name}")

    def clip(self, d: Direction) -> Tensor:
        """Translated frames, (B, N, 3, H, W); see CLIP."""
        clip: Tensor = self.made[f"{d.name}/{CLIP}"]
        return clip

    def put_kinds(self, domain: Domain, kinds: Tensor) -> None:
        """Store the kinds of places of the real clip of a domain, (B, T, H', W') int64; see `Kinds`."""
        self.made[f"{domain}/{_KINDS}"] = kinds

    def kinds(self, domain: Domain) -> Tensor:
        """The kinds of places of the real clip of a domain, as stored."""
        kinds: Tensor = self.made[f"{domain}/{_KINDS}"]
        return kinds

    @property
    def all_kinds(self) -> Made:
        """The stored kinds of both domains, for another pass of the same clips."""
        return {key: value for key, value in self.made.items() if key.endswith(f"/{_KINDS}")}

    def source(self, d: Direction) -> Tensor:
        """The real frames of which `clip` is the translation."""
        return self.real(d.source)[:, : self.clip(d).shape[1]]

    def features(self, d: Direction, name: str, clip: Tensor, eyes: Any, strides: Sequence[int]) -> list[Tensor]:
        """Features of a clip (B, N, 3, H, W) by the frozen network `eyes`, at these strides: (B·N, C, H/s, W/s) each.

        They are computed once per name, however many terms request them.
        """
        key = f"{d.name}/{name}"
        if key not in self._features:
            self._features[key] = eyes(clip.flatten(0, 1))
        levels = dict(zip(eyes.strides, self._features[key], strict=True))
        return [levels[stride] for stride in strides]

    def shown(self, d: Direction) -> Tensor:
        """The translation, (B, T, 3, H, W); its last frame is the predictor's if predictors are in use."""
        clip, ahead = self.clip(d), self.get(d, AHEAD)
        return clip if ahead is None else torch.cat((clip[:, : self.a.shape[1] - 1], ahead[:, -1:]), dim=1)


def call(network: Callable[[Tensor], Any], frames: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Apply `network` to all `frames`, (B, ·, …) each, in one call; returns the results by the same names."""
    if not frames:
        return {}
    outs = per_frame(network, torch.cat(list(frames.values()), dim=1))
    return dict(zip(frames, outs.split([clip.shape[1] for clip in frames.values()], dim=1), strict=True))


def per_frame(network: Callable[[Tensor], Any], clip: Tensor) -> Tensor:
    """Apply a network of single frames to (B, T, …) as one batch of B·T; the result is (B, T, …)."""
    out: Tensor = network(clip.flatten(0, 1))
    return out.unflatten(0, clip.shape[:2])


def windows(clip: Tensor, past: int) -> Tensor:
    """(B, T, 3, H, W) → (B, T−past+1, past, 3, H, W): every run of `past` frames."""
    return clip.unfold(1, past, 1).movedim(-1, 2)
