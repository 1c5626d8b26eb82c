"""Loss on the colours of kinds of places: equal to its formula, and 0 within the range."""

import pytest
import torch

from recycle.losses.colours import colour_loss, place_colours


def test_the_colour_of_a_place_is_the_mean_of_its_pixels() -> None:
    frames = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    found = place_colours(frames, (4, 6))
    for n in range(2):
        for row in range(4):
            for column in range(6):
                pixels = frames[n, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                torch.testing.assert_close(found[n, row, column], pixels.mean((1, 2)))


def test_the_loss_equals_its_formula_and_is_0_within_the_range() -> None:
    random = torch.Generator().manual_seed(1)
    colours, wanted, ranges = (torch.rand(2, 3, 4, 3, generator=random) for _ in range(3))
    ranges = ranges / 4
    expected = 0.0
    for colour, mean, deviation in zip(colours.flatten(), wanted.flatten(), ranges.flatten(), strict=True):
        expected += max(0.0, abs(float(colour - mean)) - float(deviation)) ** 2 / (2 * 3 * 4)
    assert float(colour_loss(colours, wanted, ranges)) == pytest.approx(expected, rel=1e-5)
    assert float(colour_loss(wanted + 0.99 * ranges, wanted, ranges)) == 0


def test_gradients_pull_a_place_to_its_colours_and_leave_the_others() -> None:
    frames = torch.zeros(1, 3, 4, 4, requires_grad=True)
    wanted = torch.zeros(1, 2, 2, 3)
    wanted[:, 0] = torch.tensor([0.5, 0.0, -0.5])
    colour_loss(place_colours(frames, (2, 2)), wanted, torch.full_like(wanted, 0.1)).backward()
    assert frames.grad is not None
    red, green, blue = frames.grad[0]
    assert (red[:2] < 0).all()
    assert (blue[:2] > 0).all()
    assert green.abs().max() == 0
    assert frames.grad[:, :, 2:].abs().max() == 0
