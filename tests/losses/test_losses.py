"""The losses equal a literal transcription of their formulas, frame by frame, in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recycle.losses.adversarial import Form, discriminator_loss, generator_loss, gradient_penalty
from recycle.losses.consistency import cycle_loss, identity_loss, recurrent_loss, recycle_loss

FORMS: tuple[Form, ...] = ("least_squares", "minimax", "non_saturating", "hinge", "wasserstein")


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def literal_discriminator(real: float, fake: float, form: Form) -> float:
    match form:
        case "least_squares":
            return 0.5 * (real - 1) ** 2 + 0.5 * fake**2
        case "minimax" | "non_saturating":
            return -math.log(sigmoid(real)) - math.log(1 - sigmoid(fake))
        case "hinge":
            return max(0.0, 1 - real) + max(0.0, 1 + fake)
        case "wasserstein":
            return fake - real


def literal_generator(fake: float, form: Form) -> float:
    match form:
        case "least_squares":
            return (fake - 1) ** 2
        case "minimax":
            return math.log(1 - sigmoid(fake))
        case "non_saturating":
            return -math.log(sigmoid(fake))
        case "hinge" | "wasserstein":
            return -fake


def logits(seed: int, batch: int, frames: int) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(batch, frames, 1, 2, 3, dtype=torch.float64, generator=random) * 3


@settings(max_examples=30, deadline=None)
@given(form=st.sampled_from(FORMS), batch=st.integers(1, 3), frames=st.integers(1, 4), seed=st.integers(0, 99))
def test_adversarial_losses_are_their_formulas(form: Form, batch: int, frames: int, seed: int) -> None:
    real, fake = logits(seed, batch, frames), logits(seed + 1000, batch, frames)
    expected_d = expected_g = 0.0
    for t in range(frames):  # mean over batch and patches, sum over time
        pairs = list(zip(real[:, t].flatten().tolist(), fake[:, t].flatten().tolist(), strict=True))
        expected_d += sum(literal_discriminator(r, f, form) for r, f in pairs) / len(pairs)
        expected_g += sum(literal_generator(f, form) for _, f in pairs) / len(pairs)
    assert float(discriminator_loss(real, fake, form)) == pytest.approx(expected_d, rel=1e-12)
    assert float(generator_loss(fake, form)) == pytest.approx(expected_g, rel=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_adversarial_gradients_are_right(form: Form) -> None:
    real, fake = (logits(s, 2, 2).requires_grad_() for s in (1, 2))
    assert torch.autograd.gradcheck(lambda r, f: discriminator_loss(r, f, form), (real, fake))
    assert torch.autograd.gradcheck(lambda f: generator_loss(f, form), (fake,))


@pytest.mark.parametrize("form", FORMS)
def test_discriminator_and_generator_pull_fake_logits_in_opposite_directions(form: Form) -> None:
    fake = torch.zeros(1, 1, 1, 1, 1, requires_grad=True)
    (up,) = torch.autograd.grad(generator_loss(fake, form), fake)
    (down,) = torch.autograd.grad(discriminator_loss(torch.zeros_like(fake), fake + 0.5, form), fake)
    assert up < 0 < down


def test_gradient_penalty_of_a_linear_judge_is_known() -> None:
    direction = torch.randn(3, 4, 4, dtype=torch.float64)
    real, fake = torch.randn(2, 5, 3, 4, 4, dtype=torch.float64)
    penalty = gradient_penalty(lambda y: (y * direction).sum((1, 2, 3)), real, fake, torch.rand(5, 1, 1, 1).double())
    assert float(penalty) == pytest.approx((float(direction.norm()) - 1) ** 2, rel=1e-12)


@pytest.mark.parametrize("loss", [cycle_loss, recycle_loss, recurrent_loss, identity_loss])
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_consistency_losses_sum_over_time_the_mean_over_pixels(loss, distance) -> None:  # type: ignore[no-untyped-def]
    x, y = torch.randn(2, 2, 3, 3, 4, 5, dtype=torch.float64)
    expected = 0.0
    for t in range(3):
        differences = [a - b for a, b in zip(x[:, t].flatten().tolist(), y[:, t].flatten().tolist(), strict=True)]
        power = [abs(d) if distance == "l1" else d * d for d in differences]
        expected += sum(power) / len(power)
    assert float(loss(x, y, distance)) == pytest.approx(expected, rel=1e-12)
    assert float(loss(x, x, distance)) == 0


def test_half_precision_is_summed_in_float32() -> None:
    x = torch.full((1, 1, 3, 64, 64), 0.001).bfloat16()
    assert generator_loss(x, "least_squares").dtype == torch.float32
    assert cycle_loss(x, torch.zeros_like(x), "l1").dtype == torch.float32
