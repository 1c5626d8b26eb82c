"""What the discriminators are shown as real and as translated, and their losses."""

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

R1_EVERY = 16
"""Steps from one R1 penalty to the next, which then counts 16 times (Karras et al. 2020, StyleGAN2, appendix B)."""


def real_side(discriminators: Discriminators, p: Pass, *, predictions: bool) -> Side:
    """What each discriminator is shown as real: as many frames as fake_side shows as translated."""
    past = discriminators.past
    frames = {d.target: p.real(d.target) for d in DIRECTIONS}
    shown = {domain: torch.cat((x, x[:, past:]), dim=1) if predictions else x for domain, x in frames.items()}
    return _side(discriminators, p, shown, frames)


def fake_side(discriminators: Discriminators, p: Pass, *, predictions: bool) -> Side:
    """What each discriminator is shown as translated, with or without predictions from real frames."""
    shown, clips = {}, {}
    for d in DIRECTIONS:
        frames, ahead = p.shown(d), p.get(d, NEXT)
        shown[d.target] = torch.cat((frames, ahead), dim=1) if predictions and ahead is not None else frames
        clips[d.target] = p.get(d, CLIP)
    return _side(discriminators, p, shown, clips)


def _side(discriminators: Discriminators, p: Pass, shown: Mapping[Any, Tensor], clips: Mapping[Any, Tensor]) -> Side:
    """shown: (B, N, 3, H, W), N = T, or T and T−P predictions; clips: (B, T, 3, H, W) where clips are judged."""
    side: dict[str, Tensor] = {}
    for d in DIRECTIONS:
        frames, source = shown[d.target], p.real(d.source)
        if discriminators.conditional:
            extra = frames.shape[1] - source.shape[1]
            frames = torch.cat((torch.cat((source, source[:, source.shape[1] - extra :]), dim=1), frames), dim=2)
        side |= dict.fromkeys(discriminators.of(d.target, clips=False), frames)
        for name in discriminators.of(d.target, clips=True):
            side[name] = clips[d.target].flatten(1, 2).unsqueeze(1)
    return side


def discriminator_losses(
    discriminators: Any, real: Side, fake: Side, settings: LossSettings, *, step: int = 0
) -> tuple[Losses, Losses]:
    """The loss of each discriminator on real and on translated (detached, pooled) frames; and its measures.

    These are NAME_accuracy, the part of all patches that it judges rightly, and NAME_rejection, the generator's loss
    for a frame against it.
    discriminators: Discriminators, or what Fabric made of them. The R1 penalty comes at every R1_EVERY-th step.
    """
    losses: Losses = {}
    measures: Losses = {}
    middle = 0.5 if settings.adversarial == "least_squares" else 0.0
    judged_real, judged_fake = discriminators(real, fake)
    for name, network in bare(discriminators).networks.items():
        pairs = list(zip(judged_real[name].logits, judged_fake[name].logits, strict=True))
        losses[name] = mean(discriminator_loss(y, x, settings.adversarial) for y, x in pairs)
        right = (((y > middle).float().mean() + (x <= middle).float().mean()) / 2 for y, x in pairs)
        measures[f"{name}_accuracy"] = mean(right)
        rejection = mean(generator_loss(x.detach(), settings.adversarial) for _, x in pairs)
        measures[f"{name}_rejection"] = rejection / fake[name].shape[1]
        frames, fakes = real[name].flatten(0, 1), fake[name].flatten(0, 1)
        if settings.adversarial == "wasserstein" and settings.gradient_penalty:
            mix = torch.rand(len(frames), 1, 1, 1).to(frames)
            penalty = gradient_penalty(_logit(network), frames, fakes[: len(frames)], mix)
            losses[name] = losses[name] + settings.gradient_penalty * penalty
        if settings.r1 and step % R1_EVERY == 0:
            losses[name] = losses[name] + settings.r1 * R1_EVERY * r1_penalty(_logit(network), frames)
    return losses, measures


def bare(module: Any) -> Any:
    """A module as it was before Fabric wrapped it."""
    return module.module if is_wrapped(module) else module


def _logit(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Mean logit of each frame, over all scales: (N,)."""
    return lambda frames: torch.stack([x.flatten(1).mean(1) for x in network(frames).logits]).mean(0)


def mean(values: Iterable[Tensor]) -> Tensor:
    """The mean of scalars."""
    return torch.stack(list(values)).mean()
