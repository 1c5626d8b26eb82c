"""Loss on the colours of kinds of places: what its formula says, and free within a range."""

import pytest
import torch

from recycle.losses.colours import Means, colour_loss, mean_colours


def test_means_and_shares_are_those_of_the_pixels_of_each_kind() -> None:
    random = torch.Generator().manual_seed(0)
    frames = torch.rand(2, 3, 8, 12, generator=random, dtype=torch.float64) * 2 - 1
    kinds = torch.randint(0, 3, (2, 4, 6), generator=random)
    found = mean_colours(frames, kinds, 4)
    of_pixels = kinds.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for n in range(2):
        for kind in range(3):
            chosen = of_pixels[n] == kind
            assert found.shares[n, kind] == pytest.approx(float(chosen.float().mean()))
            torch.testing.assert_close(found.colours[n, kind], frames[n][:, chosen].mean(1))
    assert found.shares[:, 3].tolist() == [0, 0]
    assert found.colours[:, 3].abs().sum() == 0


def test_the_loss_is_its_formula_and_nothing_within_the_range() -> None:
    random = torch.Generator().manual_seed(1)
    colours, wanted, ranges = (torch.rand(*shape, generator=random) for shape in ((2, 3, 3), (3, 3), (3, 3)))
    shares = torch.tensor([[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])
    ranges = ranges / 4
    expected = 0.0
    for n in range(2):
        for kind in range(3):
            for c in range(3):
                away = abs(float(colours[n, kind, c] - wanted[kind, c])) - float(ranges[kind, c])
                expected += float(shares[n, kind]) * max(0.0, away) ** 2 / 2
    assert float(colour_loss(Means(colours, shares), wanted, ranges)) == pytest.approx(expected, rel=1e-5)
    assert float(colour_loss(Means(wanted + 0.99 * ranges, shares[0]), wanted, ranges)) == 0


def test_gradients_pull_a_kind_to_its_colour_and_leave_the_others() -> None:
    frames = torch.zeros(1, 3, 4, 4, requires_grad=True)
    kinds = torch.zeros(1, 2, 2, dtype=torch.long)
    kinds[:, 1] = 1
    wanted = torch.tensor([[0.5, 0.0, -0.5], [0.0, 0.0, 0.0]])
    colour_loss(mean_colours(frames, kinds, 2), wanted, torch.full((2, 3), 0.1)).backward()
    assert frames.grad is not None
    red, green, blue = frames.grad[0]
    assert (red[:2] < 0).all()
    assert (blue[:2] > 0).all()
    assert green.abs().max() == 0
    assert frames.grad[:, :, 2:].abs().max() == 0
