"""Losses on layers: zero for equal layers, else equal to their formulas."""

import math

import pytest
import torch

from recycle.losses.adversarial import r1_penalty
from recycle.losses.contrastive import TEMPERATURE, draw_places, patch_nce_loss, take_patches
from recycle.losses.features import feature_matching_loss, perceptual_loss


def layers(seed: int) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(4, c, 5, 6, generator=random, dtype=torch.float64) for c in (3, 7)]


def test_feature_matching_compares_means_and_perceptual_compares_places() -> None:
    one = layers(0)
    shuffled = [layer.flip(0, 2, 3) for layer in one]
    assert float(feature_matching_loss(one, shuffled)) == pytest.approx(0, abs=1e-12)
    assert float(perceptual_loss(one, shuffled)) > 0.5
    assert float(perceptual_loss(one, one)) == 0
    other = layers(1)
    expected_means = sum(float((x.mean((0, 2, 3)) - y.mean((0, 2, 3))).abs().mean()) for x, y in zip(one, other)) / 2  # noqa: B905
    expected_places = sum(float((x - y).abs().mean()) for x, y in zip(one, other, strict=True)) / 2
    assert float(feature_matching_loss(one, other)) == pytest.approx(expected_means, rel=1e-12)
    assert float(perceptual_loss(one, other)) == pytest.approx(expected_places, rel=1e-12)


def test_patch_nce_is_the_cross_entropy_of_its_formula() -> None:
    random = torch.Generator().manual_seed(0)
    query, key = (
        torch.nn.functional.normalize(torch.randn(2, 5, 8, generator=random, dtype=torch.float64), dim=-1)
        for _ in range(2)
    )
    expected = 0.0
    for frame in range(2):
        for s in range(5):
            similar = [math.exp(float(query[frame, s] @ key[frame, k]) / TEMPERATURE) for k in range(5)]
            expected -= math.log(similar[s] / sum(similar)) / 10
    assert float(patch_nce_loss([query], [key])) == pytest.approx(expected, rel=1e-10)
    assert float(patch_nce_loss([key], [key])) < float(patch_nce_loss([query], [key]))


def test_patch_nce_teaches_the_translation_alone() -> None:
    query, key = torch.randn(2, 1, 4, 8).requires_grad_().unbind(0)
    query.retain_grad()
    key.retain_grad()
    patch_nce_loss([query], [key]).backward()
    assert query.grad is not None
    assert key.grad is None


def test_patches_are_the_features_at_their_places() -> None:
    layer = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    places = draw_places(layer)
    assert sorted(places.tolist()) == list(range(20))
    patches = take_patches(layer, places)
    for number, place in enumerate(places.tolist()):
        torch.testing.assert_close(patches[:, number], layer[:, :, place // 5, place % 5])


def test_r1_of_a_linear_judge_is_half_the_square_of_its_gradient() -> None:
    direction = torch.randn(3, 4, 4, dtype=torch.float64)
    real = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    penalty = r1_penalty(lambda y: (y * direction).sum((1, 2, 3)), real)
    assert float(penalty) == pytest.approx(float(direction.square().sum()) / 2, rel=1e-12)


def test_patch_nce_is_computed_in_float32_under_autocast() -> None:
    query, key = (torch.nn.functional.normalize(torch.randn(2, 16, 32), dim=-1) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        loss = patch_nce_loss([query], [key])
    torch.testing.assert_close(loss, patch_nce_loss([query], [key]), rtol=0, atol=0)
