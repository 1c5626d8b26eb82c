"""Halving and doubling are torch's own convolutions, however few the pixels."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recycle.networks import resample
from recycle.networks.few import FewConv2d
from recycle.networks.resample import Double, Halve


def gradients(layer: nn.Module, x: Tensor) -> Iterable[Tensor]:
    """The output, then the gradients of a loss that weighs every pixel differently."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    assert x.grad is not None
    yield from (y, x.grad, *(p.grad for p in layer.parameters() if p.grad is not None))


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
@pytest.mark.parametrize("size", [(2, 2), (4, 2), (2, 6), (8, 8), (14, 10)])
@pytest.mark.parametrize("own", [Halve, Double])
def test_the_same_values_and_gradients_as_a_convolution(
    own: type[Halve] | type[Double], size: tuple[int, int], memory_format: Any
) -> None:
    torch.manual_seed(0)
    layer = own(96, 5).double().to(memory_format=memory_format)
    plain = (nn.Conv2d if own is Halve else nn.ConvTranspose2d)(96, 5, 4, stride=2, padding=1).double()
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 96, *size, dtype=torch.float64).to(memory_format=memory_format)
    for mine, theirs in zip(gradients(layer, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)


def test_many_pixels_are_left_to_the_convolution() -> None:
    """Otherwise the sizes above would prove nothing of one of the two ways."""
    x, weight = torch.zeros(2, 96, 14, 10), Halve(96, 5).to(memory_format=torch.channels_last).weight
    assert not resample._as_product(x, 2 * 7 * 5, weight)
    assert resample._as_product(x, 2 * 4 * 4, weight)
    assert not resample._as_product(x, 2 * 4 * 4, weight.contiguous())


@pytest.mark.parametrize("size", [(7, 7), (9, 12)])
def test_few_outputs_are_those_of_a_convolution(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer, plain = FewConv2d(5, 3, 7).double(), nn.Conv2d(5, 3, 7).double()
    plain.load_state_dict(layer.state_dict())  # with the same keys
    x = torch.randn(2, 5, *size, dtype=torch.float64)
    for mine, theirs in zip(gradients(layer, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-10)
    assert not torch.equal(layer.float()(x.float()), plain.float()(x.float()))  # computed in another way
    assert torch.equal(layer.eval()(x.float()), plain(x.float()))
