"""Exponential moving average of a model's weights."""

import copy

import torch
from torch import nn

from recycle.networks.bundle import Bundle


class MovingAverage:
    """Exponential moving average w̄ ← d·w̄ + (1−d)·w of a bundle's parameters.

    The decay d rises as (1 + n)/(10 + n) over the first updates n to its final value, so that the initial weights do
    not dominate short runs (Karras et al. 2019 use the average only for inference).
    """

    def __init__(self, bundle: Bundle, decay: float) -> None:
        self.bundle = copy.deepcopy(bundle).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Add the current weights of `module`, which must contain all averaged keys."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.decay else 0.0
        current = dict(module.named_parameters())
        own = dict(self.bundle.named_parameters())
        torch._foreach_lerp_(list(own.values()), [current[key] for key in own], 1 - decay)
