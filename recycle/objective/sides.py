"""The discriminators' real and translated inputs, and the discriminators' losses."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning_fabric import is_wrapped
from torch import Tensor, nn

from recycle.config import LossSettings
from recycle.domains import DIRECTIONS
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
    inside: dict[Any, Tensor] = {}
    frames = {d.target: p.real(d.target) for d in DIRECTIONS}
    shown = {domain: torch.cat((x, x[:, past:]), dim=1) if predictions else x for domain, x in frames.items()}
    if discriminators.masked:
        for d in DIRECTIONS:
            mask = p.inside(d.target)
            inside[d.target] = torch.cat((mask, mask[:, past:]), dim=1) if predictions else mask
    return _side(discriminators, p, shown, frames, inside)


def fake_side(discriminators: Discriminators, p: Pass, *, predictions: bool) -> Side:
    """The translated input of each discriminator, with or without predictions from real frames."""
    shown, clips, inside = {}, {}, {}
    for d in DIRECTIONS:
        frames, ahead = p.shown(d), p.get(d, NEXT)
        predicted = predictions and ahead is not None
        shown[d.target] = torch.cat((frames, ahead), dim=1) if predicted else frames
        clips[d.target] = p.get(d, CLIP)
        if discriminators.masked:
            mask, next_mask = p.inside(d.source), p.inside(d.target)[:, discriminators.past :]
            inside[d.target] = torch.cat((mask, next_mask), dim=1) if predicted else mask
    return _side(discriminators, p, shown, clips, inside)


def _side(
    discriminators: Discriminators,
    p: Pass,
    shown: Mapping[Any, Tensor],
    clips: Mapping[Any, Tensor],
    inside: Mapping[Any, Tensor],
) -> Side:
    """Arrange frames for each discriminator.

    `shown`: (B, N, 3, H, W), with N = T, or T plus T−P predictions; `clips`: (B, T, 3, H, W) for discriminators of
    clips; `inside`: the masks of `shown`, (B, N, 1, H, W), or nothing.
    """
    side: dict[str, Tensor] = {}
    for d in DIRECTIONS:
        frames, source = shown[d.target], p.real(d.source)
        if discriminators.conditional:
            extra = frames.shape[1] - source.shape[1]
            frames = torch.cat((torch.cat((source, source[:, source.shape[1] - extra :]), dim=1), frames), dim=2)
        if inside:
            frames = torch.cat((frames, inside[d.target].to(frames.dtype)), dim=2)
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
        own = bare(discriminators).pictures
        frames, fakes = own(name, real[name]).flatten(0, 1), own(name, fake[name]).flatten(0, 1)
        if settings.adversarial == "wasserstein" and settings.gradient_penalty:
            mix = torch.rand(len(frames), 1, 1, 1).to(frames)
            penalty = gradient_penalty(_logit(network), frames, fakes[: len(frames)], mix)
            losses[name] = losses[name] + settings.gradient_penalty * penalty
        if settings.r1 and step % R1_EVERY == 0:
            losses[name] = losses[name] + settings.r1 * R1_EVERY * r1_penalty(_logit(network), frames)
    return losses, measures


def bare(module: Any) -> Any:
    """The module inside its Fabric wrapper; an unwrapped module is returned unchanged."""
    return module.module if is_wrapped(module) else module


def _logit(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Mean logit of each frame, over all scales: (N,)."""
    return lambda frames: torch.stack([x.flatten(1).mean(1) for x in network(frames).logits]).mean(0)


def mean(values: Iterable[Tensor]) -> Tensor:
    """The mean of scalar tensors."""
    return torch.stack(list(values)).mean()
