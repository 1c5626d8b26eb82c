"""The objective: what the discriminators are shown, and the losses of both sides of the game."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning_fabric import is_wrapped
from torch import Tensor, nn

from recycle.config import Adversarial, LossSettings
from recycle.losses import consistency
from recycle.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty, r1_penalty
from recycle.losses.consistency import Distance
from recycle.losses.contrastive import patch_nce_loss
from recycle.losses.features import feature_matching_loss, perceptual_loss
from recycle.networks.discriminator import Judgement
from recycle.objective.discriminators import Discriminators, Side
from recycle.training.model import Translated

Losses = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor, Distance], Tensor]

R1_EVERY = 16
"""Steps from one R1 penalty to the next, which then counts 16 times (Karras et al. 2020, StyleGAN2, appendix B)."""


def real_side(discriminators: Discriminators, a: Tensor, b: Tensor, *, predictions: bool) -> Side:
    """What each discriminator is shown as real: as many frames as fake_side shows as translated."""
    past = discriminators.past
    frames_a, frames_b = (torch.cat((x, x[:, past:]), dim=1) if predictions else x for x in (a, b))
    return _side(discriminators, (frames_a, frames_b), (a, b), (a, b))


def fake_side(discriminators: Discriminators, out: Translated, a: Tensor, b: Tensor, *, predictions: bool) -> Side:
    """What each discriminator is shown as translated, with or without predictions from real frames."""
    frames_a, frames_b = (
        torch.cat((fake, ahead), dim=1) if predictions and ahead is not None else fake
        for fake, ahead in ((out.fake_a, out.next_a), (out.fake_b, out.next_b))
    )
    return _side(discriminators, (frames_a, frames_b), (out.clip_a, out.clip_b), (a, b))


def _side(
    discriminators: Discriminators,
    frames: tuple[Tensor, Tensor],
    clips: tuple[Tensor | None, Tensor | None],
    real: tuple[Tensor, Tensor],
) -> Side:
    """frames: (B, N, 3, H, W), N = T, or T and T−P predictions; clips and real: (B, T, 3, H, W); each for a and b."""
    side = {}
    for domain, shown, clip, source in zip("ab", frames, clips, real[::-1], strict=True):
        if discriminators.conditional:
            extra = shown.shape[1] - source.shape[1]
            sources = torch.cat((source, source[:, source.shape[1] - extra :]), dim=1)
            shown = torch.cat((sources, shown), dim=2)
        side[f"disc_{domain}"] = shown
        if clip is not None:
            side[f"clip_disc_{domain}"] = clip.flatten(1, 2).unsqueeze(1)
    return {name: clip for name, clip in side.items() if name in discriminators.networks}


def generator_losses(
    discriminators: Discriminators, out: Translated, a: Tensor, b: Tensor, settings: LossSettings
) -> Losses:
    """The losses of generators and predictors, each the sum over both directions; keys of LossWeights.

    a, b: real clips (B, T, 3, H, W); discriminators: frozen. Losses with weight 0 are absent.
    """
    weights, distance, past = settings.weights, settings.distance, discriminators.past
    losses: Losses = {}
    if discriminators.networks:
        opposed = settings.prediction.judged == "opposed"
        (judged,) = discriminators(fake_side(discriminators, out, a, b, predictions=opposed))
        losses |= _adversarial(judged, settings.adversarial)
        if weights.feature_matching:
            with torch.no_grad():
                (wanted,) = discriminators(real_side(discriminators, a, b, predictions=opposed))
            losses["feature_matching"] = _feature_matching(wanted, judged, paired=discriminators.conditional)
    if out.cycle_a is not None and out.cycle_b is not None:
        t = out.cycle_a.shape[1]
        losses["cycle"] = _both(consistency.cycle_loss, (a[:, :t], out.cycle_a), (b[:, :t], out.cycle_b), distance)
    if out.recycled_a is not None and out.recycled_b is not None:
        losses["recycle"] = _both(
            consistency.recycle_loss, (a[:, past:], out.recycled_a), (b[:, past:], out.recycled_b), distance
        )
    if out.next_a is not None and out.next_b is not None and weights.recurrent:
        losses["recurrent"] = _both(
            consistency.recurrent_loss, (a[:, past:], out.next_a), (b[:, past:], out.next_b), distance
        )
    if out.same_a is not None and out.same_b is not None:
        losses["identity"] = _both(consistency.identity_loss, (a, out.same_a), (b, out.same_b), distance)
    if out.spatial_ab is not None and out.spatial_ba is not None:
        losses["unsupervised_spatial"] = _both(
            consistency.unsupervised_spatial_loss, out.spatial_ab, out.spatial_ba, distance
        )
    if out.moved_a is not None and out.moved_b is not None:
        losses["unsupervised_recycle"] = _both(
            consistency.unsupervised_recycle_loss, out.moved_a, out.moved_b, distance
        )
    if out.patches_ab is not None and out.patches_ba is not None:
        losses["patch_nce"] = patch_nce_loss(*out.patches_ab) + patch_nce_loss(*out.patches_ba)
    if weights.perceptual and not (out.cycle_a is None and out.recycled_a is None):
        losses["perceptual"] = _perceptual(discriminators, out, a, b)
    if weights.paired and out.clip_a is not None and out.clip_b is not None:
        losses["paired"] = consistency.paired_loss(a, out.clip_a) + consistency.paired_loss(b, out.clip_b)
    if out.taught_a is not None and out.taught_b is not None and out.clip_a is not None and out.clip_b is not None:
        one, other = ((out.taught_a, out.clip_a), (out.taught_b, out.clip_b))
        losses["distillation"] = consistency.distillation_loss(*one) + consistency.distillation_loss(*other)
    return losses


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
        losses[name] = _mean(discriminator_loss(y, x, settings.adversarial) for y, x in pairs)
        right = (((y > middle).float().mean() + (x <= middle).float().mean()) / 2 for y, x in pairs)
        measures[f"{name}_accuracy"] = _mean(right)
        rejection = _mean(generator_loss(x.detach(), settings.adversarial) for _, x in pairs)
        measures[f"{name}_rejection"] = rejection / fake[name].shape[1]
        frames, fakes = real[name].flatten(0, 1), fake[name].flatten(0, 1)
        if settings.adversarial == "wasserstein" and settings.gradient_penalty:
            mix = torch.rand(len(frames), 1, 1, 1).to(frames)
            penalty = gradient_penalty(_logit(network), frames, fakes[: len(frames)], mix)
            losses[name] = losses[name] + settings.gradient_penalty * penalty
        if settings.r1 and step % R1_EVERY == 0:
            losses[name] = losses[name] + settings.r1 * R1_EVERY * r1_penalty(_logit(network), frames)
    return losses, measures


@torch.no_grad()
def copying_error(a: Tensor, b: Tensor, settings: LossSettings, past: int) -> Tensor:
    """The recurrent loss of a predictor that copies the last frame."""
    return _both(
        consistency.recurrent_loss,
        (a[:, past:], a[:, past - 1 : -1]),
        (b[:, past:], b[:, past - 1 : -1]),
        settings.distance,
    )


def bare(module: Any) -> Any:
    """A module as it was before Fabric wrapped it."""
    return module.module if is_wrapped(module) else module


def _both(loss: Loss, one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], distance: Distance) -> Tensor:
    """The sum over both directions."""
    return loss(*one, distance) + loss(*other, distance)


def _adversarial(judged: dict[str, Judgement], form: Adversarial) -> Losses:
    """The losses "adversarial", of single frames, and "temporal", of clips; the mean over the scales."""
    losses: Losses = {}
    for name, judgement in judged.items():
        kind = "temporal" if name.startswith("clip") else "adversarial"
        loss = _mean(generator_loss(logits, form) for logits in judgement.logits)
        losses[kind] = losses[kind] + loss if kind in losses else loss
    return losses


def _feature_matching(wanted: dict[str, Judgement], judged: dict[str, Judgement], *, paired: bool) -> Tensor:
    compare = perceptual_loss if paired else feature_matching_loss
    return torch.stack([compare(_flat(wanted[name]), _flat(judged[name])) for name in judged]).sum()


def _perceptual(discriminators: Discriminators, out: Translated, a: Tensor, b: Tensor) -> Tensor:
    losses = []
    for name, real, backs in (
        ("disc_a", a, ((0, out.cycle_a), (discriminators.past, out.recycled_a))),
        ("disc_b", b, ((0, out.cycle_b), (discriminators.past, out.recycled_b))),
    ):
        network = discriminators.networks[name]
        for start, back in backs:
            if back is not None:
                with torch.no_grad():
                    wanted = network(real[:, start : start + back.shape[1]].flatten(0, 1)).layers
                losses.append(perceptual_loss(wanted, network(back.flatten(0, 1)).layers) * back.shape[1])
    return torch.stack(losses).sum()


def _logit(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Mean logit of each frame, over all scales: (N,)."""
    return lambda frames: torch.stack([x.flatten(1).mean(1) for x in network(frames).logits]).mean(0)


def _flat(judgement: Judgement) -> list[Tensor]:
    return [layer.flatten(0, 1) for layer in judgement.layers]


def _mean(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
