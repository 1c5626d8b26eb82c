"""The discriminators' real and translated inputs, and the discriminators' losses."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning_fabric import is_wrapped
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import LossSettings
from recycle.domains import DIRECTIONS, Domain
from recycle.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty, r1_penalty
from recycle.objective.discriminators import Discriminators, Side
from recycle.objective.passing import CLIP, NEXT, Pass

Losses = dict[str, Tensor]
"""Scalar losses by name."""

R1_EVERY = 16
"""Steps between R1 penalties, each of which is multiplied by this (Karras et al. 2020, StyleGAN2, appendix B)."""


def real_side(discriminators: Discriminators, p: Pass, *, predictions: bool) -> Side:
    """The real input of each discriminator, with as many frames as `fake_side`."""
    past = discriminators.past

    def twice(clip: Tensor) -> Tensor:
        return torch.cat((clip, clip[:, past:]), dim=1) if predictions else clip

    frames = {d.target: p.real(d.target) for d in DIRECTIONS}
    shown = {domain: twice(x) for domain, x in frames.items()}
    marks = {domain: [twice(x) for x in _marks(discriminators, p, domain)] for domain in frames}
    return _side(discriminators, p, shown, frames, marks)


def fake_side(discriminators: Discriminators, p: Pass, *, predictions: bool) -> Side:
    """The translated input of each discriminator, with or without predictions from real frames."""
    shown, clips, marks = {}, {}, {}
    for d in DIRECTIONS:
        frames, ahead = p.shown(d), p.get(d, NEXT)
        predicted = predictions and ahead is not None
        shown[d.target] = torch.cat((frames, ahead), dim=1) if predicted else frames
        clips[d.target] = p.get(d, CLIP)
        marks[d.target] = own = _marks(discriminators, p, d.source)
        if predicted:
            after = (mark[:, discriminators.past :] for mark in _marks(discriminators, p, d.target))
            marks[d.target] = [torch.cat(both, dim=1) for both in zip(own, after, strict=True)]
    return _side(discriminators, p, shown, clips, marks)


def _marks(discriminators: Discriminators, p: Pass, domain: Domain) -> list[Tensor]:
    """What discriminators know of each pixel of a domain's real clip: its kind and its mask, if they use them. (B, T,
    1, H, W) each; a translated frame has the marks of its source."""
    clip, marks = p.real(domain), []
    if discriminators.by_kind:
        kinds = F.interpolate(p.kinds(domain).to(clip.dtype).flatten(0, 1)[:, None], clip.shape[-2:], mode="nearest")
        marks.append(kinds.unflatten(0, clip.shape[:2]))
    return [*marks, p.inside(domain)] if discriminators.masked else marks


def _side(
    discriminators: Discriminators,
    p: Pass,
    shown: Mapping[Any, Tensor],
    clips: Mapping[Any, Tensor],
    marks: Mapping[Any, list[Tensor]],
) -> Side:
    """Arrange frames for each discriminator.

    `shown`: (B, N, 3, H, W), with N = T, or T plus T−P predictions; `clips`: (B, T, 3, H, W) for discriminators of
    clips; `marks`: those of `shown`, (B, N, 1, H, W) each.
    """
    side: dict[str, Tensor] = {}
    for d in DIRECTIONS:
        frames, source = shown[d.target], p.real(d.source)
        if discriminators.conditional:
            extra = frames.shape[1] - source.shape[1]
            frames = torch.cat((torch.cat((source, source[:, source.shape[1] - extra :]), dim=1), frames), dim=2)
        frames = torch.cat((frames, *(mark.to(frames.dtype) for mark in marks[d.target])), dim=2)
        side |= dict.fromkeys(discriminators.of(d.target, clips=False), frames)
        for name in discriminators.of(d.target, clips=True):
            side[name] = clips[d.target].flatten(1, 2).unsqueeze(1)
    return side


def discriminator_losses(
    discriminators: Any, real: Side, fake: Side, settings: LossSettings, *, step: int = 0
) -> tuple[Losses, Losses]:
    """The loss of each discriminator on real and translated (detached, pooled) frames; and its measures.

    The measures are NAME_accuracy, the proportion of patches that it classifies correctly, and NAME_rejection, the
    generator's loss per frame against it. `discriminators` is a Discriminators, or its Fabric wrapper. The R1 penalty
    is added at every R1_EVERY-th step.
    """
    losses: Losses = {}
    measures: Losses = {}
    middle = 0.5 if settings.adversarial == "least_squares" else 0.0
    judged_real, judged_fake = discriminators(real, fake)
    for name, network in bare(discriminators).networks.items():
        pairs = list(zip(judged_real[name].patches, judged_fake[name].patches, strict=True))
        losses[name] = mean(discriminator_loss(y, x, settings.adversarial, (v, w)) for (y, v), (x, w) in pairs)
        right = (((y > middle).float().mean() + (x <= middle).float().mean()) / 2 for (y, _), (x, _) in pairs)
        measures[f"{name}_accuracy"] = mean(right)
        rejection = mean(generator_loss(x.detach(), settings.adversarial, w) for _, (x, w) in pairs)
        measures[f"{name}_rejection"] = rejection / fake[name].shape[1]
        frames, kinds = bare(discriminators).seen(name, real[name].flatten(0, 1))
        fakes, _ = bare(discriminators).seen(name, fake[name].flatten(0, 1))
        if settings.adversarial == "wasserstein" and settings.gradient_penalty:
            mix = torch.rand(len(frames), 1, 1, 1).to(frames)
            penalty = gradient_penalty(_logit(network, *kinds), frames, fakes[: len(frames)], mix)
            losses[name] = losses[name] + settings.gradient_penalty * penalty
        if settings.r1 and step % R1_EVERY == 0:
            losses[name] = losses[name] + settings.r1 * R1_EVERY * r1_penalty(_logit(network, *kinds), frames)
    return losses, measures


def bare(module: Any) -> Any:
    """The module inside its Fabric wrapper; an unwrapped module is returned unchanged."""
    return module.module if is_wrapped(module) else module


def _logit(network: nn.Module, *kinds: Tensor) -> Callable[[Tensor], Tensor]:
    """Mean logit of each frame, over all scales: (N,)."""
    return lambda frames: torch.stack([x.flatten(1).mean(1) for x in network(frames, *kinds).logits]).mean(0)


def mean(values: Iterable[Tensor]) -> Tensor:
    """The mean of scalar tensors."""
    return torch.stack(list(values)).mean()
