"""Adversarial losses on patch logits.

Logits are (B, T, …). Every reduction is the mean over the batch and the patches and the *sum* over the T frames,
because the paper's formulas sum over time. All losses are computed in float32, or in float64 for float64 inputs.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Literal["least_squares", "minimax", "non_saturating", "hinge", "wasserstein"]
"""Form of the adversarial loss."""


def sum_over_frames(values: Tensor, inside: Tensor | None = None) -> Tensor:
    """(B, T, …) → scalar: mean over all axes except T, sum over T.

    `inside` are weights of the values in [0, 1], of the same shape: the mean is then weighted. If they add up to less
    than a single value, the result is smaller in proportion; without any weight it is 0.
    """
    values = at_least_float32(values)
    if inside is None:
        return values.mean() * values.shape[1]
    inside = at_least_float32(inside)
    return (values * inside).sum() / inside.sum().clamp_min(1) * values.shape[1]


def at_least_float32(values: Tensor) -> Tensor:
    """`values` converted to float32; float64 stays float64."""
    return values if values.dtype == torch.float64 else values.float()


def discriminator_loss(
    real: Tensor, fake: Tensor, form: Form, inside: tuple[Tensor | None, Tensor | None] = (None, None)
) -> Tensor:
    """Loss that a discriminator minimises, a scalar; `real` = D(y) and `fake` = D(G(x)) are logits (B, T, …).

    `inside` are weights of the real and of the fake logits; see `sum_over_frames`.

    least_squares            ½ (D(y) − 1)² + ½ D(G(x))²            Mao et al. 2017, eq. 9 (a = 0, b = c = 1)
    minimax, non_saturating  −log σ(D(y)) − log(1 − σ(D(G(x))))    Goodfellow et al. 2014, eq. 1
    hinge                    max(0, 1 − D(y)) + max(0, 1 + D(G(x))) Lim & Ye 2017; Miyato et al. 2018, eq. 16
    wasserstein              D(G(x)) − D(y)                        Arjovsky et al. 2017, eq. 2
    """
    real, fake = at_least_float32(real), at_least_float32(fake)
    y, x = inside
    match form:
        case "least_squares":
            return sum_over_frames((real - 1) ** 2, y) / 2 + sum_over_frames(fake**2, x) / 2
        case "minimax" | "non_saturating":
            return sum_over_frames(F.softplus(-real), y) + sum_over_frames(F.softplus(fake), x)
        case "hinge":
            return sum_over_frames(F.relu(1 - real), y) + sum_over_frames(F.relu(1 + fake), x)
        case "wasserstein":
            return sum_over_frames(fake, x) - sum_over_frames(real, y)


def generator_loss(fake: Tensor, form: Form, inside: Tensor | None = None) -> Tensor:
    """Loss that a generator minimises, a scalar; `fake` = D(G(x)) are logits (B, T, …).

    `inside` are weights of the logits; see `sum_over_frames`.

    least_squares       (D(G(x)) − 1)²         Mao et al. 2017, eq. 9, without the ½, as in CycleGAN
    minimax             log(1 − σ(D(G(x))))    Goodfellow et al. 2014, eq. 1; the paper's L_g
    non_saturating      −log σ(D(G(x)))        Goodfellow et al. 2014, section 3
    hinge, wasserstein  −D(G(x))               Lim & Ye 2017; Arjovsky et al. 2017
    """
    fake = at_least_float32(fake)
    match form:
        case "least_squares":
            return sum_over_frames((fake - 1) ** 2, inside)
        case "minimax":
            return sum_over_frames(-F.softplus(fake), inside)
        case "non_saturating":
            return sum_over_frames(F.softplus(-fake), inside)
        case "hinge" | "wasserstein":
            return sum_over_frames(-fake, inside)


def gradient_penalty(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """(‖∇D(ŷ)‖₂ − 1)² at ŷ = mix·y + (1 − mix)·G(x), averaged over the frames.

    real, fake: (N, 3, H, W); mix: (N, 1, 1, 1) uniform in [0, 1]; `judge` returns logits (N, …).

    Source: Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3.
    """
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    logits = at_least_float32(judge(between)).reshape(len(between), -1).mean(1)
    (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
    return ((at_least_float32(gradient).flatten(1).norm(dim=1) - 1) ** 2).mean()


def r1_penalty(judge: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """½ ‖∇D(y)‖², averaged over the frames: the R1 penalty without its factor γ.

    real: (N, C, H, W); `judge` returns logits (N, …), whose mean over each frame is D(y).

    Source: Mescheder et al. 2018, "Which Training Methods for GANs do actually Converge?", eq. 9.
    """
    real = real.detach().requires_grad_()
    logits = at_least_float32(judge(real)).reshape(len(real), -1).mean(1)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return at_least_float32(gradient).square().flatten(1).sum(1).mean() / 2
