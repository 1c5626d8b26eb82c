from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recycle.networks.generator import pad
from recycle.translation.scale import network_size, resize, to_float, to_levels

SIDES = st.integers(1, 70)


@pytest.mark.parametrize(
    ("scale", "aspect", "expected"),
    [
        ("trained", Fraction(1), (256, 455)),
        ("source", Fraction(1), (1080, 1920)),
        (128, Fraction(1), (128, 228)),
        ("source", Fraction(1, 2), (1080, 960)),
        ("trained", Fraction(1, 2), (288, 256)),
    ],
)
def test_the_network_sees_square_pixels_at_the_asked_scale(
    scale: str | int, aspect: Fraction, expected: tuple[int, int]
) -> None:
    assert network_size((1080, 1920), scale=scale, trained=256, pixel_aspect=aspect) == expected  # type: ignore[arg-type]


@settings(deadline=None)
@given(SIDES, SIDES)
def test_padding_keeps_the_picture_and_reaches_the_size(height: int, width: int) -> None:
    frames = torch.rand(2, 3, height, width)
    padded = pad(frames, multiple=4, least=16)
    assert torch.equal(padded[..., :height, :width], frames)
    for before, after in zip((height, width), padded.shape[-2:], strict=True):
        assert after % 4 == 0
        assert max(before, 16) <= after < max(before, 16) + 4


def test_padding_reflects() -> None:
    frames = torch.arange(18.0).expand(1, 1, 18, 18)
    assert pad(frames, multiple=4, least=16)[0, 0, 0].tolist()[-3:] == [17, 16, 15]


def test_all_grey_levels_survive_the_road_to_float_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    frames = to_float(pixels)
    assert frames.min() == -1
    assert frames.max() == 1
    assert torch.equal(to_levels(frames, torch.uint8), pixels)


def test_rounding_is_to_the_nearest_level_and_clamps() -> None:
    levels = torch.tensor([-3.0, -1.0, 100.4 / 127.5 - 1, 100.6 / 127.5 - 1, 3.0])
    frames = levels.reshape(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_levels(frames, torch.uint8)[0, 0, :, 0].tolist() == [0, 0, 100, 101, 255]


@pytest.mark.parametrize("size", [(20, 30), (80, 120), (40, 61)])
def test_resizing_does_not_shift_the_picture(size: tuple[int, int]) -> None:
    """A linear ramp stays a ramp between the centres of the outer pixels."""
    ramp = torch.linspace(-0.5, 0.5, 60).expand(1, 3, 40, 60)
    there = resize(ramp, size)
    centres = (np.arange(size[1]) + 0.5) * 60 / size[1] - 0.5
    expected = torch.from_numpy(np.interp(centres, np.arange(60), ramp[0, 0, 0].numpy())).float()
    inner = slice(4, -4)
    torch.testing.assert_close(there[0, 0, 5, inner], expected[inner], atol=2e-3, rtol=0)


def test_shrinking_does_not_alias() -> None:
    checkers = torch.tensor([[-1.0, 1.0], [1.0, -1.0]]).tile(32, 32)[None, None]
    assert resize(checkers, (21, 21)).abs().max() < 0.2


@pytest.mark.parametrize("size", [(8, 1), (1, 8), (1, 1), (700, 1), (5, 3)])
def test_the_memory_layout_changes_no_resized_value(size: tuple[int, int]) -> None:
    frames = torch.rand(1, 3, 96, 48)
    found = [
        resize(frames.contiguous(memory_format=each), size) for each in (torch.channels_last, torch.preserve_format)
    ]
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-5)
    assert found[1].shape[-2:] == size
    assert size == (1, 1) or found[1].std() > 0
