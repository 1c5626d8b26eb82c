"""Our Adam equals torch's for any memory layout of weights, gradients and moments."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from recycle.training.adam import Adam

FORMATS = [torch.contiguous_format, torch.channels_last]


def network(memory_format: Any) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 5), nn.Conv2d(6, 4, 1), nn.ConvTranspose2d(4, 1, (2, 3)), nn.GroupNorm(1, 1)]
    return nn.Sequential(*layers).to(memory_format=memory_format)


def steps(network: nn.Module, optimiser: torch.optim.Optimizer, *, gradients: Sequence[Any]) -> None:
    """A step with gradients of each of these memory formats."""
    random = torch.Generator().manual_seed(1)
    for memory_format in gradients:
        for p in network.parameters():
            grad = torch.randn(p.shape, generator=random)
            p.grad = grad.to(memory_format=memory_format) if p.dim() == 4 else grad
        optimiser.step()


@pytest.mark.parametrize("own", FORMATS)
@pytest.mark.parametrize("gradients", [FORMATS * 2, FORMATS[::-1] * 2])
def test_weights_become_those_of_torchs_adam(own: Any, gradients: Sequence[Any]) -> None:
    ours, theirs = network(own), network(torch.contiguous_format)
    steps(ours, Adam(ours.parameters(), lr=0.1, betas=(0.5, 0.9)), gradients=gradients)
    steps(theirs, torch.optim.Adam(theirs.parameters(), lr=0.1, betas=(0.5, 0.9), foreach=False), gradients=gradients)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("own", FORMATS)
def test_it_continues_from_a_state_of_any_layout(own: Any) -> None:
    """As in a checkpoint of weights with another layout."""
    straight, stopped = network(torch.contiguous_format), network(torch.contiguous_format)
    optimiser = torch.optim.Adam(straight.parameters(), lr=0.1)
    before = torch.optim.Adam(stopped.parameters(), lr=0.1)
    steps(straight, optimiser, gradients=FORMATS[:1])
    steps(stopped, before, gradients=FORMATS[:1])
    after = network(own)
    after.load_state_dict(stopped.state_dict())
    resumed = Adam(after.parameters(), lr=0.1)
    resumed.load_state_dict({**before.state_dict(), "param_groups": resumed.state_dict()["param_groups"]})
    steps(straight, optimiser, gradients=FORMATS)
    steps(after, resumed, gradients=FORMATS)
    for mine, other in zip(after.parameters(), straight.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
