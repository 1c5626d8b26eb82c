"""The six networks, and one pass of two clips through the generators and predictors."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from recycle.config import LossWeights, Pipeline
from recycle.networks.bundle import Bundle, BundleConfig
from recycle.networks.discriminator import Discriminator
from recycle.networks.generator import Generator
from recycle.networks.predictor import make_predictor


class Translated(NamedTuple):
    """What the generators and predictors make of real clips a and b, all (B, ·, 3, H, W) in [-1, 1].

    Fields are None where no loss with a weight needs them.
    """

    fake_a: Tensor
    """T frames in domain a: b[:, :-1] through gen_ba, then pred_a's next frame (without predictors: T
    frames through gen_ba)."""
    fake_b: Tensor
    cycle_a: Tensor | None
    """gen_ba(gen_ab(a)) for the frames that were translated one by one."""
    cycle_b: Tensor | None
    recycled_a: Tensor | None
    """(B, 1, 3, H, W): gen_ba(pred_b(gen_ab(a[:, :-1]))), to be compared with a's last frame."""
    recycled_b: Tensor | None
    next_a: Tensor | None
    """(B, 1, 3, H, W): pred_a(a[:, :-1]), to be compared with a's last frame."""
    next_b: Tensor | None
    same_a: Tensor | None
    """gen_ba(a), T frames."""
    same_b: Tensor | None


class RecycleGAN(nn.Module):
    """gen_ab, gen_ba, pred_a, pred_b, disc_a, disc_b; a loss with weight 0 costs nothing.

    Every network sees all its frames of a step in as few batches as the data flow allows: with all of the
    paper's losses ten network calls a step, four of them the discriminators' (two frozen, two learning).
    InstanceNorm and GroupNorm keep the frames of a batch independent, so the result is that of one frame
    at a time.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        networks, weights = pipeline.networks, pipeline.losses.weights
        self.weights: LossWeights = weights
        self.has_predictors = bool(weights.recycle or weights.recurrent)
        frames = pipeline.train.frames
        self.gen_ab = Generator(networks.generator)
        self.gen_ba = Generator(networks.generator)
        self.pred_a = make_predictor(networks.predictor, frames) if self.has_predictors else None
        self.pred_b = make_predictor(networks.predictor, frames) if self.has_predictors else None
        self.disc_a = Discriminator(networks.discriminator)
        self.disc_b = Discriminator(networks.discriminator)

    def translators(self) -> list[nn.Parameter]:
        """Parameters of generators and predictors, which one optimiser trains together."""
        networks = (self.gen_ab, self.gen_ba, self.pred_a, self.pred_b)
        return [p for network in networks if network is not None for p in network.parameters()]

    def discriminators(self) -> list[nn.Parameter]:
        """Parameters of both discriminators."""
        return [*self.disc_a.parameters(), *self.disc_b.parameters()]

    def forward(self, a: Tensor, b: Tensor) -> Translated:
        """Real clips a, b: (B, T, 3, H, W) float in [-1, 1] → Translated."""
        past_a, past_b = (a[:, :-1], b[:, :-1]) if self.has_predictors else (a, b)
        weights = self.weights
        fake_b, same_b = _together(self.gen_ab, past_a, b if weights.identity else None)
        fake_a, same_a = _together(self.gen_ba, past_b, a if weights.identity else None)
        ahead_a = ahead_b = next_a = next_b = None
        if self.pred_a is not None and self.pred_b is not None:
            ahead_b, next_b = self.pred_b(torch.cat((fake_b, past_b))).unsqueeze(1).chunk(2)
            ahead_a, next_a = self.pred_a(torch.cat((fake_a, past_a))).unsqueeze(1).chunk(2)
        cycle_a = cycle_b = recycled_a = recycled_b = None
        if weights.cycle:
            cycle_a, recycled_a = _together(self.gen_ba, fake_b, ahead_b if weights.recycle else None)
            cycle_b, recycled_b = _together(self.gen_ab, fake_a, ahead_a if weights.recycle else None)
        elif weights.recycle and ahead_a is not None and ahead_b is not None:
            recycled_a, recycled_b = per_frame(self.gen_ba, ahead_b), per_frame(self.gen_ab, ahead_a)
        return Translated(
            fake_a=fake_a if ahead_a is None else torch.cat((fake_a, ahead_a), dim=1),
            fake_b=fake_b if ahead_b is None else torch.cat((fake_b, ahead_b), dim=1),
            cycle_a=cycle_a,
            cycle_b=cycle_b,
            recycled_a=recycled_a,
            recycled_b=recycled_b,
            next_a=next_a,
            next_b=next_b,
            same_a=same_a,
            same_b=same_b,
        )

    def bundle(self, config: BundleConfig) -> Bundle:
        """A copy of the generators and predictors as a Bundle."""
        bundle = Bundle(config)
        own = self.state_dict()
        bundle.load_state_dict({key: own[key] for key in bundle.state_dict()})
        return bundle.to(next(self.parameters()).device).eval().requires_grad_(False)


def per_frame(network: nn.Module, clip: Tensor) -> Tensor:
    """Apply a network of single frames to (B, T, …) as one batch of B·T; the result is (B, T, …)."""
    out: Tensor = network(clip.flatten(0, 1))
    return out.unflatten(0, clip.shape[:2])


def _together(network: nn.Module, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Both clips (B, ·, 3, H, W) through `network` in one call; no y, no second result."""
    if y is None:
        return per_frame(network, x), None
    out = per_frame(network, torch.cat((x, y), dim=1))
    return out[:, : x.shape[1]], out[:, x.shape[1] :]
