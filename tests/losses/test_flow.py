"""Synthetic flows and noise are as strong as stated."""

import pytest
import torch

from recycle.losses.flow import NOISE, add_noise, synthetic_flow


@pytest.mark.parametrize("size", [(64, 64), (256, 144)])
def test_synthetic_flows_are_smooth_small_and_never_the_same(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    flows = synthetic_flow(torch.zeros(200, 3, 3, *size))
    short = min(size)
    assert flows.shape == (200, 2, *size)
    lengths = flows.norm(dim=1).flatten(1).mean(1) / short
    assert 0.02 < float(lengths.mean()) < 0.08
    assert float(flows.abs().max()) < 0.3 * short
    steepest = max(float(flows.diff(dim=axis).abs().max()) for axis in (2, 3))
    assert steepest < 1  # a moved frame is bent, not torn
    assert not torch.equal(flows[0], flows[1])


def test_noise_has_the_stated_strength_and_stays_in_range() -> None:
    torch.manual_seed(0)
    clip = torch.zeros(100, 1, 3, 16, 16)
    strengths = add_noise(clip).flatten(1).std(1)
    assert float(strengths.min()) > 0.95 * NOISE
    assert float(strengths.max()) < 2.05 * NOISE
    assert float(add_noise(clip + 1).max()) <= 1
