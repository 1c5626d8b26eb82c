"""Synthetic motion warps frames by its flow."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.losses.flow import NOISE, add_noise, synthetic_flow, warp


def ramp(height: int, width: int) -> torch.Tensor:
    """A clip (1, 2, 2, H, W) that holds the x and the y of each pixel."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((x, y)).double().expand(1, 2, 2, height, width)


@settings(max_examples=25, deadline=None)
@given(dx=st.floats(-2, 2), dy=st.floats(-2, 2), height=st.integers(8, 20), width=st.integers(8, 20))
def test_a_pixel_comes_from_where_the_flow_points(dx: float, dy: float, height: int, width: int) -> None:
    flow = torch.tensor([dx, dy], dtype=torch.float64).reshape(1, 2, 1, 1).expand(1, 2, height, width)
    moved = warp(ramp(height, width), flow)
    inside = (slice(None),) * 3 + (slice(3, -3), slice(3, -3))
    expected = ramp(height, width) + torch.tensor([dx, dy]).double().reshape(1, 1, 2, 1, 1)
    torch.testing.assert_close(moved[inside], expected[inside], rtol=0, atol=1e-6)


def test_no_flow_changes_nothing_and_each_clip_has_its_own() -> None:
    clip = torch.rand(2, 3, 3, 12, 16, dtype=torch.float64)
    torch.testing.assert_close(warp(clip, torch.zeros(2, 2, 12, 16).double()), clip)
    flow = torch.zeros(2, 2, 12, 16).double()
    flow[1, 0] = 1
    moved = warp(clip, flow)
    torch.testing.assert_close(moved[0], clip[0])
    torch.testing.assert_close(moved[1, ..., :-1], clip[1, ..., 1:])


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


def test_bf16_frames_are_warped_as_precisely_as_others() -> None:
    """Positions in bf16 would be wrong by up to half a pixel here."""
    clip = torch.linspace(-1, 1, 512).expand(1, 1, 3, 16, 512)
    flow = torch.full((1, 2, 16, 512), 0.5)
    exact, moved = warp(clip, flow), warp(clip.bfloat16(), flow)
    assert moved.dtype == torch.bfloat16
    torch.testing.assert_close(moved.float(), exact, rtol=0, atol=0.008)  # of bf16 frames: 2 pixels' difference
    assert (moved.float() - exact).abs().mean() < 0.0015
