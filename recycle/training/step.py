"""One training step: a backward pass for generators and predictors, and one for discriminators."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from recycle.config import LossSettings
from recycle.domains import AB, BA, DIRECTIONS
from recycle.errors import RecycleError
from recycle.objective.discriminators import Discriminators, Side
from recycle.objective.losses import both, generator_losses, weighed
from recycle.objective.passing import NEXT, Pass
from recycle.objective.sides import Losses, bare, discriminator_losses, fake_side, real_side
from recycle.objective.terms.recurrent import copying_error
from recycle.objective.translators import Translators
from recycle.system.out_of_memory import is_out_of_memory
from recycle.training.adam import Adam
from recycle.training.pool import FramePool
from recycle.training.processes import in_numbers

OVERFLOWS = 30
"""Maximum number of consecutive steps skipped by fp16; from the usual scale on it is below 1 after 17."""


class StepError(Exception):
    """A step failed in a way after which a run returns to its last checkpoint."""

    slower = False
    """Whether to continue at a lower learning rate."""
    remedy = ""
    """What the user can do if the error recurs."""


class NotFiniteError(StepError):
    """A loss, a gradient or a weight became NaN or infinite; the message names it."""

    slower = True
    remedy = "lower 'train.learning_rate' or use train.precision = \"fp32\""


class HalfUpdatedError(StepError):
    """Memory ran out after one side was updated and before the other was."""

    remedy = "lower 'train.batch_size', 'train.size' or 'networks.generator.width', or close other programs"


@dataclass(frozen=True)
class RecycleGAN:
    """Translators and discriminators, either plain or wrapped by Fabric."""

    translators: Any
    discriminators: Any


@dataclass
class Optimisers:
    """One Adam for generators (first group) and predictors (second group), and one for the discriminators."""

    translators: Any
    discriminators: Any
    overflows: int = 0
    """Number of consecutive steps so far that fp16 skipped."""


class StepReport(NamedTuple):
    """The results of a step: numbers averaged over all processes, and detached frames of this one."""

    losses: dict[str, float]
    """Unweighted losses of both sides, by name."""
    measures: dict[str, float]
    """Values that are not trained on: `copying`, the recurrent loss of a predictor that copies the last frame, the
    measures of `discriminator_losses`, and what was passed as `beside`."""
    fake_a: Tensor
    """b translated to a, (B, T, 3, H, W)."""
    fake_b: Tensor
    """a translated to b, (B, T, 3, H, W)."""


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
    beside: Callable[[], Mapping[str, float]] = dict,
) -> StepReport:
    """Train all networks on real clips a, b (B, T, 3, H, W) float in [-1, 1]; a fourth channel is a mask, in [0, 1].

    `clip_norm` is the maximum norm of the gradient of each kind of network; 0 disables clipping. `recycle` states
    whether predictors are in use. The batch is processed in `parts` portions with accumulated gradients. Both sides are
    updated together at the end; in fp16 neither is updated if a gradient overflows. `beside` gives numbers to average
    over all processes together with the losses; it is called after the backward passes.

    Raises NotFiniteError for a loss or gradient that is not finite, RecycleError if fp16 overflows repeatedly,
    HalfUpdatedError if memory runs out between the updates. After any other exception, no parameter was changed.
    """
    discriminators: Discriminators = bare(model.discriminators)
    portions = list(zip(a.chunk(parts), b.chunk(parts), strict=True))
    losses: list[Losses] = []
    counted: list[Losses] = []
    measures: list[Losses] = []
    fakes: list[_Fake] = []
    turn = _Turn(model, settings, fabric)

    discriminators.requires_grad_(False)
    optimisers.translators.zero_grad(set_to_none=True)
    for x, y in portions:
        last = len(fakes) + 1 == len(portions)
        own, weighted, fake = turn.of_translators(x, y, share=len(x) / len(a), last=last, recycle=recycle)
        losses.append(own)
        counted.append(weighted)
        fakes.append(fake)
    discriminators.requires_grad_(True)

    if discriminators.networks:
        optimisers.discriminators.zero_grad(set_to_none=True)
        for (x, y), fake in zip(portions, fakes, strict=True):
            last = len(measures) + 1 == len(portions)
            shown = {name: pools[name].exchange(clip) if name in pools else clip for name, clip in fake.side.items()}
            fake = fake._replace(side=shown)
            own, accuracy = turn.of_discriminators(x, y, fake, share=len(x) / len(a), last=last, step=step)
            losses.append(own)
            counted.append(own)
            measures.append(accuracy)
    if any(fake.predicted for fake in fakes):
        copied = copying_error(a[:, :, :3], b[:, :, :3], settings, discriminators.past)
        measures.append({"copying": copied})
    numbers = _update(fabric, optimisers, clip_norm, _sum(counted), (_sum(losses), _sum(measures)), beside())
    fake_a, fake_b = torch.cat([fake.a for fake in fakes]), torch.cat([fake.b for fake in fakes])
    return StepReport(*numbers, fake_a, fake_b)


class _Fake(NamedTuple):
    """The translations of a portion, detached."""

    side: Side
    """Inputs of the discriminators."""
    a: Tensor
    b: Tensor
    predicted: bool
    """Whether a predictor made any frame of it."""
    kinds: dict[str, Any]
    """`Pass.all_kinds`."""


@dataclass(frozen=True)
class _Turn:
    """Processes one portion of the batch for one side: computes its losses and accumulates their gradients."""

    model: RecycleGAN
    settings: LossSettings
    fabric: Fabric

    def of_translators(
        self, x: Tensor, y: Tensor, *, share: float, last: bool, recycle: bool
    ) -> tuple[Losses, Losses, _Fake]:
        """Unweighted losses, weighted losses, and translations; `share` is the portion's proportion of the batch."""
        model, fabric = self.model.translators, self.fabric
        discriminators: Discriminators = bare(self.model.discriminators)
        translators: Translators = bare(model)
        with fabric.no_backward_sync(model, enabled=not last):
            with fabric.autocast():
                (x, in_x), (y, in_y) = _unmasked(x), _unmasked(y)
                made = Pass(x, y, model(x, y, recycle=recycle), (in_x, in_y))
                parts = generator_losses(translators.terms, discriminators, made, self.settings)
            losses = _scaled(both(parts), share)
            counted = _scaled(weighed(parts, translators.terms), share)
            fabric.backward(torch.stack(list(counted.values())).sum(), model=model)
        side = fake_side(discriminators, made, predictions=discriminators.sees_predictions)
        predicted = any(made.get(d, NEXT) is not None for d in DIRECTIONS)
        fake = _Fake(_detached(side), made.shown(BA).detach(), made.shown(AB).detach(), predicted, made.all_kinds)
        return losses, counted, fake

    def of_discriminators(
        self, x: Tensor, y: Tensor, fake: _Fake, *, share: float, last: bool, step: int
    ) -> tuple[Losses, Losses]:
        """The losses, and the measures of `discriminator_losses`."""
        model, fabric = self.model.discriminators, self.fabric
        discriminators: Discriminators = bare(model)
        with fabric.no_backward_sync(model, enabled=not last):
            with fabric.autocast():
                (x, in_x), (y, in_y) = _unmasked(x), _unmasked(y)
                real_pass = Pass(x, y, dict(fake.kinds), (in_x, in_y))
                real = real_side(discriminators, real_pass, predictions=discriminators.sees_predictions)
                losses, accuracy = discriminator_losses(model, real, fake.side, self.settings, step=step)
            losses = _scaled(losses, share)
            fabric.backward(torch.stack(list(losses.values())).sum(), model=model)
        return losses, _scaled(accuracy, share)


def _update(
    fabric: Fabric,
    optimisers: Optimisers,
    clip_norm: float,
    counted: Losses,
    shown: tuple[Losses, Losses],
    beside: Mapping[str, float],
) -> tuple[dict[str, float], dict[str, float]]:
    """Check the weighted losses and the gradients; clip the gradients and update both sides.

    No number is read before all are computed, so that the device is waited for once. Returns the losses and measures
    `shown` as numbers, averaged over all processes like `beside`.
    """
    sides = {"generators'": optimisers.translators, "discriminators'": optimisers.discriminators}
    used = {name: optimiser for name, optimiser in sides.items() if optimiser is not None}
    scaler = loss_scaler(fabric)
    try:
        groups = _gradients(used, scaler)
        norms = {str(number): group.norm for number, group in enumerate(groups)}
        weighted, lengths, *numbers, others = in_numbers(fabric, (counted, norms, *shown), beside)
        if fits := _finite(weighted, groups, list(lengths.values()), scaler):
            for group, length in zip(groups, lengths.values(), strict=True):
                if clip_norm and length > clip_norm:
                    torch.nn.utils.clip_grads_with_norm_(group.parameters, clip_norm, group.norm)
            _step(list(used.values()), scaler)
        if scaler:
            scaler.update()
    except BaseException:
        if scaler:  # setting its own scale only resets its state of this step
            scaler.update(scaler.get_scale())
        raise
    optimisers.overflows = 0 if fits else optimisers.overflows + 1
    if not fits and (optimisers.overflows >= OVERFLOWS or scaler.get_scale() < 1):
        raise RecycleError(
            f"training stopped: gradients overflow in fp16, {optimisers.overflows} steps in a row, at a loss scale of "
            f'{scaler.get_scale():.3g}; set train.precision = "fp32" or "bf16", or lower train.learning_rate, and '
            "run the same command again"
        )
    losses, measures = numbers
    return losses, measures | others


class _Group(NamedTuple):
    """Weights that are clipped together."""

    side: str
    """Whose they are, for messages."""
    parameters: list[Tensor]
    norm: Tensor
    """Norm of their gradient."""


def _gradients(used: Mapping[str, Any], scaler: Any) -> list[_Group]:
    """Unscale the gradients of these optimisers, and measure them."""
    groups = []
    for side, optimiser in used.items():
        if scaler:
            scaler.unscale_(optimiser.optimizer)
        for group in optimiser.param_groups:
            if gradients := [p.grad for p in group["params"] if p.grad is not None]:  # generators may have no loss yet
                groups.append(_Group(side, group["params"], torch.nn.utils.get_total_norm(gradients)))
    return groups


def _finite(losses: Mapping[str, float], groups: Sequence[_Group], norms: Sequence[float], scaler: Any) -> bool:
    """Whether all gradients are finite. False only in fp16; otherwise raises NotFiniteError, as for losses.

    Losses are means over all processes, and gradients too, so that either all processes raise or none.
    """
    if bad := [name for name, loss in losses.items() if not math.isfinite(loss)]:
        first = [name for name in bad if "disc" not in name]  # the discriminators' follow from the generators'
        raise NotFiniteError(f"the loss {' and '.join(first or bad)} is not finite")
    if bad := [group.side for group, norm in zip(groups, norms, strict=True) if not math.isfinite(norm)]:
        if scaler:
            return False
        raise NotFiniteError(f"the gradient of the {bad[0]} losses is not finite")
    return True


def _step(optimisers: Sequence[Any], scaler: Any) -> None:
    """Update with all optimisers."""
    for optimiser in optimisers:  # allocate the moments first, so that memory does not run out between two updates
        if isinstance(optimiser.optimizer, Adam):
            optimiser.optimizer.prepare()
    for number, optimiser in enumerate(optimisers):
        try:
            scaler.step(optimiser.optimizer) if scaler else optimiser.step()
        except (RuntimeError, MemoryError) as error:
            if not (number and is_out_of_memory(error)):
                raise
            raise HalfUpdatedError("memory ran out while the networks were updated") from error


def loss_scaler(fabric: Fabric) -> Any:
    """The gradient scaler of fp16, shared by both optimisers; None in other precisions."""
    return getattr(fabric.strategy.precision, "scaler", None)


def _unmasked(clip: Tensor) -> tuple[Tensor, Tensor | None]:
    """The frames of a clip, and its masks if it has any."""
    return (clip, None) if clip.shape[2] == 3 else (clip[:, :, :3].contiguous(), clip[:, :, 3:])


def _detached(side: Side) -> Side:
    return {name: clip.detach() for name, clip in side.items()}


def _scaled(losses: Losses, share: float) -> Losses:
    return {name: share * loss for name, loss in losses.items()}


def _sum(parts: Sequence[Losses]) -> Losses:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: torch.stack([part[name].detach() for part in parts if name in part]).sum() for name in names}
