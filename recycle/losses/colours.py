"""Loss on the colours of kinds of places."""

from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32


def place_colours(frames: Tensor, grid: tuple[int, int]) -> Tensor:
    """(N, 3, H, W) → (N, H', W', 3): the mean colours of places on a grid (H', W'); gradients flow into `frames`."""
    return F.adaptive_avg_pool2d(at_least_float32(frames), grid).permute(0, 2, 3, 1)


def colour_loss(colours: Tensor, wanted: Tensor, ranges: Tensor) -> Tensor:
    """Mean over places p of ‖max(0, |c_p − μ_p| − σ_p)‖²: how far places leave the colours of their kinds.

    c_p: colour of a place (`colours`, (…, 3) in [-1, 1]); μ_p and σ_p: mean and standard deviation of the colours that
    places of its kind have in real frames (`wanted`, `ranges`, of the same shape). Within one deviation all colours are
    as good.
    """
    return F.relu((colours - wanted).abs() - ranges).square().sum(-1).mean()
