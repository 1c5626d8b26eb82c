"""Differentiable augmentation: every policy changes its aspect of the frames and passes gradients."""

import pytest
import torch

from recycle.losses.diffaugment import augment

POLICIES = ["colour", "translation", "cutout", "noise"]


def frames(channels: int = 3) -> torch.Tensor:
    return torch.rand(64, channels, 16, 24, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("channels", [3, 6, 9])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_changes_each_frame_by_its_own_numbers_and_is_differentiable(policy: str, channels: int) -> None:
    torch.manual_seed(0)
    same = frames(channels)[:1].expand(8, -1, -1, -1).clone().requires_grad_()
    out = augment(same, [policy])
    assert out.shape == same.shape
    assert len({tuple(frame.flatten()[::7].tolist()) for frame in out.detach()}) > 4
    out.sum().backward()
    assert same.grad is not None
    assert float(same.grad.abs().sum()) > 0


def test_no_policy_changes_nothing() -> None:
    given = frames()
    assert augment(given, []) is given


def test_translation_moves_a_frame_by_at_most_an_eighth() -> None:
    torch.manual_seed(0)
    given = torch.zeros(200, 1, 16, 24)
    given[:, :, 8, 12] = 1
    places = augment(given, ["translation"]).nonzero()[:, 2:]
    assert len(places) == 200  # a point in the middle never leaves
    assert places.min(0).values.tolist() == [8 - 2, 12 - 3]
    assert places.max(0).values.tolist() == [8 + 2, 12 + 3]


def test_cutout_hides_at_most_a_quarter() -> None:
    torch.manual_seed(0)
    hidden = (augment(torch.ones(300, 2, 16, 24), ["cutout"]) == 0).double()
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    parts = hidden.mean((1, 2, 3))
    assert float(parts.max()) == pytest.approx(0.25)
    assert float(parts.min()) > 0
    assert float(hidden.mean((0, 1)).min()) > 0.02  # every place at some time


def test_colour_keeps_grey_frames_grey() -> None:
    grey = torch.rand(8, 1, 6, 6).expand(8, 3, 6, 6)
    out = augment(grey, ["colour"])
    torch.testing.assert_close(out[:, 0], out[:, 1])
    assert float((out - grey).abs().max()) > 0.1


def test_colours_and_noise_leave_a_mask_as_it_is() -> None:
    given = torch.rand(4, 4, 8, 8)
    out = augment(given, ["colour", "noise"], marks=1)
    assert torch.equal(out[:, 3], given[:, 3])
    assert all((out[:, channel] != given[:, channel]).any() for channel in range(3))


def test_an_unknown_policy_is_an_error() -> None:
    with pytest.raises(ValueError, match="sepia"):
        augment(frames(), ["sepia"])
