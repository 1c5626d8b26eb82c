"""One training step: two backward passes, one for generators and predictors, one for discriminators."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.config import LossSettings
from recycle.losses.adversarial import discriminator_loss, generator_loss, gradient_penalty
from recycle.losses.consistency import cycle_loss, identity_loss, recurrent_loss, recycle_loss
from recycle.training.model import RecycleGAN, Translated, per_frame
from recycle.training.pool import FramePool

Losses = dict[str, Tensor]


class NotFiniteError(Exception):
    """A loss or a gradient became NaN or infinite; the message names it."""


@dataclass
class Optimisers:
    """One Adam for generators and predictors, one for the discriminators, both set up by Fabric."""

    translators: Any
    discriminators: Any


def generator_losses(model: RecycleGAN, out: Translated, a: Tensor, b: Tensor, settings: LossSettings) -> Losses:
    """The losses of generators and predictors, each the sum over both directions; keys of LossWeights.

    a, b: real clips (B, T, 3, H, W). Losses with weight 0 are absent.
    """
    form, distance = settings.adversarial, settings.distance
    losses = {}
    if settings.weights.adversarial:
        losses["adversarial"] = generator_loss(per_frame(model.disc_a, out.fake_a), form) + generator_loss(
            per_frame(model.disc_b, out.fake_b), form
        )
    if out.cycle_a is not None and out.cycle_b is not None:
        t = out.cycle_a.shape[1]
        losses["cycle"] = cycle_loss(a[:, :t], out.cycle_a, distance) + cycle_loss(b[:, :t], out.cycle_b, distance)
    if out.recycled_a is not None and out.recycled_b is not None:
        losses["recycle"] = recycle_loss(a[:, -1:], out.recycled_a, distance) + recycle_loss(
            b[:, -1:], out.recycled_b, distance
        )
    if out.next_a is not None and out.next_b is not None and settings.weights.recurrent:
        losses["recurrent"] = recurrent_loss(a[:, -1:], out.next_a, distance) + recurrent_loss(
            b[:, -1:], out.next_b, distance
        )
    if out.same_a is not None and out.same_b is not None:
        losses["identity"] = identity_loss(a, out.same_a, distance) + identity_loss(b, out.same_b, distance)
    return losses


def discriminator_losses(
    model: RecycleGAN, fake_a: Tensor, fake_b: Tensor, a: Tensor, b: Tensor, settings: LossSettings
) -> Losses:
    """The losses of disc_a and disc_b on real clips and (detached, pooled) translated clips (B, T, 3, H, W)."""
    losses = {}
    for name, disc, real, fake in (("disc_a", model.disc_a, a, fake_a), ("disc_b", model.disc_b, b, fake_b)):
        logits_real, logits_fake = per_frame(disc, torch.cat((real, fake))).chunk(2)
        losses[name] = discriminator_loss(logits_real, logits_fake, settings.adversarial)
        if settings.adversarial == "wasserstein" and settings.gradient_penalty:
            frames, fakes = real.flatten(0, 1), fake.flatten(0, 1)
            mix = torch.rand(len(frames), 1, 1, 1).to(frames)
            losses[name] += settings.gradient_penalty * gradient_penalty(disc, frames, fakes, mix)
    return losses


def training_step(
    model: RecycleGAN,
    optimisers: Optimisers,
    pools: tuple[FramePool, FramePool],
    a: Tensor,
    b: Tensor,
    settings: LossSettings,
    *,
    fabric: Fabric,
    clip_norm: float,
) -> Losses:
    """Train all networks on real clips a, b (B, T, 3, H, W); returns the detached losses by name.

    Raises NotFiniteError before any parameter is changed by a bad loss or gradient.
    """
    weights = settings.weights.model_dump()
    _learn(model.discriminators(), False)
    with fabric.autocast():
        out: Translated = model(a, b)
        losses_g = generator_losses(model, out, a, b, settings)
    weighted = {name: weights[name] * loss for name, loss in losses_g.items()}
    _update(fabric, model, optimisers.translators, weighted, clip_norm)
    _learn(model.discriminators(), True)

    losses_d: Losses = {}
    if weights["adversarial"]:
        fake_a, fake_b = (
            pool.exchange(fake.detach()) for pool, fake in zip(pools, (out.fake_a, out.fake_b), strict=True)
        )
        with fabric.autocast():
            losses_d = discriminator_losses(model, fake_a, fake_b, a, b, settings)
        _update(fabric, model, optimisers.discriminators, losses_d, clip_norm)
    return {name: loss.detach() for name, loss in (losses_g | losses_d).items()}


def _update(fabric: Fabric, model: Any, optimiser: Any, losses: Losses, clip_norm: float) -> None:
    total = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(total):
        bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
        raise NotFiniteError(f"the loss {' and '.join(bad) or 'total'} is not finite")
    optimiser.zero_grad(set_to_none=True)
    fabric.backward(total, model=model)
    norm = fabric.clip_gradients(model, optimiser, max_norm=clip_norm, error_if_nonfinite=False)
    scaled = fabric.strategy.precision.precision == "16-mixed"  # fp16: the loss scaler skips such a step by itself
    if not scaled and norm is not None and not torch.isfinite(norm):
        raise NotFiniteError(f"the gradient of the losses {', '.join(losses)} is not finite")
    optimiser.step()


def _learn(parameters: list[torch.nn.Parameter], on: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(on)
