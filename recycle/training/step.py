"""One training step: two backward passes, one for generators and predictors, one for discriminators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.config import LossSettings
from recycle.training.model import Discriminators, RecycleGAN, Translated
from recycle.training.objective import (
    Losses,
    bare,
    copying_error,
    discriminator_losses,
    fake_side,
    generator_losses,
    real_side,
)
from recycle.training.pool import FramePool


class NotFiniteError(Exception):
    """A loss or a gradient became NaN or infinite; the message names it."""


@dataclass
class Optimisers:
    """One Adam for generators (its first group) and predictors (its second), one for the discriminators."""

    translators: Any
    discriminators: Any


class StepReport(NamedTuple):
    """What a step did, all detached."""

    losses: Losses
    """The losses of both sides by name, unweighted."""
    measures: Losses
    """What is not trained on: `copying`, the recurrent loss of a predictor that copies the last frame, and for each
    discriminator what discriminator_losses measures."""
    fake_a: Tensor
    """(B, T, 3, H, W)."""
    fake_b: Tensor


def training_step(
    model: RecycleGAN,
    optimisers: Optimisers,
    pools: Mapping[str, FramePool],
    a: Tensor,
    b: Tensor,
    settings: LossSettings,
    *,
    fabric: Fabric,
    clip_norm: float,
    step: int = 0,
    recycle: bool = True,
    parts: int = 1,
) -> StepReport:
    """Train all networks on real clips a, b (B, T, 3, H, W).

    clip_norm: largest norm of each network kind's gradient, 0: any. recycle: whether predictors are relied on yet.
    parts: the batch is worked through in so many portions, whose gradients add up. Raises NotFiniteError for a bad
    loss or gradient. Whatever is raised, no parameter was changed: both sides are updated at the end, together.
    """
    weights = settings.weights.model_dump()
    discriminators: Discriminators = bare(model.discriminators)
    portions = list(zip(a.chunk(parts), b.chunk(parts), strict=True))
    outs: list[Translated] = []
    losses_g: list[Losses] = []
    weighed: list[Losses] = []
    losses_d: list[Losses] = []
    measures: list[Losses] = []

    discriminators.requires_grad_(False)
    optimisers.translators.zero_grad(set_to_none=True)
    for x, y in portions:
        with fabric.no_backward_sync(model.translators, enabled=len(outs) + 1 < len(portions)):
            with fabric.autocast():
                out: Translated = model.translators(x, y, recycle=recycle)
                losses = generator_losses(discriminators, out, x, y, settings)
            losses_g.append(_scaled(losses, len(x) / len(a)))
            weighed.append({name: weights[name] * loss for name, loss in losses_g[-1].items()})
            fabric.backward(torch.stack(list(weighed[-1].values())).sum(), model=model.translators)
        outs.append(_kept(out))
    discriminators.requires_grad_(True)

    if discriminators.networks:
        optimisers.discriminators.zero_grad(set_to_none=True)
        for (x, y), out in zip(portions, outs, strict=True):
            shown = discriminators.sees_predictions
            fake = fake_side(discriminators, out, x, y, predictions=shown)
            fake = {name: pools[name].exchange(clip) if name in pools else clip for name, clip in fake.items()}
            with fabric.no_backward_sync(model.discriminators, enabled=len(losses_d) + 1 < len(portions)):
                with fabric.autocast():
                    real = real_side(discriminators, x, y, predictions=shown)
                    losses, accuracy = discriminator_losses(model.discriminators, real, fake, settings, step=step)
                losses_d.append(_scaled(losses, len(x) / len(a)))
                fabric.backward(torch.stack(list(losses_d[-1].values())).sum(), model=model.discriminators)
            measures.append(_scaled(accuracy, len(x) / len(a)))
    _update(fabric, optimisers, clip_norm, _sum(weighed + losses_d))
    if outs[0].next_a is not None:
        measures.append({"copying": copying_error(a, b, settings, discriminators.past)})
    fake_a, fake_b = (torch.cat(clips) for clips in zip(*((out.fake_a, out.fake_b) for out in outs), strict=True))
    return StepReport(_sum(losses_g + losses_d), _sum(measures), fake_a, fake_b)


def _update(fabric: Fabric, optimisers: Optimisers, clip_norm: float, losses: Losses) -> None:
    """Check the losses, as they are weighed, and the gradients; clip and step.

    Nothing before this looks at a number, so the device never waits for the next order. Gradients are the
    means over all processes, the same in each; losses are not, but all raise or none.
    """
    both = {"generators'": optimisers.translators, "discriminators'": optimisers.discriminators}
    used = {name: optimiser for name, optimiser in both.items() if optimiser is not None}
    scaler = loss_scaler(fabric)
    groups, norms = [], []
    for name, optimiser in used.items():
        if scaler:
            scaler.unscale_(optimiser.optimizer)
        for group in optimiser.param_groups:
            if gradients := [p.grad for p in group["params"] if p.grad is not None]:  # nothing may teach generators yet
                norms.append(torch.nn.utils.get_total_norm(gradients))
                groups.append((name, group["params"]))
    finite: Any = torch.isfinite(torch.stack([*losses.values(), *norms])).float()
    if fabric.world_size > 1:
        finite = fabric.all_reduce(finite, reduce_op="min")
    fine = finite.tolist()
    if bad := [name for name, good in zip(losses, fine, strict=False) if not good]:
        first = [name for name in bad if "disc" not in name]  # the discriminators' follow from the generators'
        raise NotFiniteError(f"the loss {' and '.join(first or bad)} is not finite")
    for (name, parameters), norm, good in zip(groups, norms, fine[len(losses) :], strict=True):
        if not good and not scaler:  # the scaler leaves out such a step by itself
            raise NotFiniteError(f"the gradient of the {name} losses is not finite")
        if clip_norm and norm > clip_norm:
            torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    for optimiser in used.values():
        scaler.step(optimiser.optimizer) if scaler else optimiser.step()
    if scaler:
        scaler.update()


def loss_scaler(fabric: Fabric) -> Any:
    """The scaler of fp16's gradients, one for both optimisers; None in any other precision."""
    return getattr(fabric.strategy.precision, "scaler", None)


def _kept(out: Translated) -> Translated:
    """What the discriminators' turn needs, detached."""
    names = ("fake_a", "fake_b", "clip_a", "clip_b", "next_a", "next_b")
    kept: dict[str, Any] = {
        name: clip.detach() if name in names and clip is not None else None for name, clip in out._asdict().items()
    }
    return Translated(**kept)


def _scaled(losses: Losses, share: float) -> Losses:
    return {name: share * loss for name, loss in losses.items()}


def _sum(parts: Sequence[Losses]) -> Losses:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: torch.stack([part[name].detach() for part in parts if name in part]).sum() for name in names}
