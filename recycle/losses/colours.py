"""Loss on the colours of each kind of place."""

from torch import Tensor
from torch.nn import functional as F

from recycle.losses.adversarial import at_least_float32


def place_colours(frames: Tensor, grid: tuple[int, int]) -> Tensor:
    """(N, 3, H, W) → (N, H', W', 3): mean colours on a grid of H' × W' cells; gradients flow into `frames`."""
    return F.adaptive_avg_pool2d(at_least_float32(frames), grid).permute(0, 2, 3, 1)


def colour_loss(colours: Tensor, wanted: Tensor, ranges: Tensor) -> Tensor:
    """Mean over places p of ‖max(0, |c_p − μ_p| − σ_p)‖²: how far colours are outside the range of their kind.

    c_p: colour of a place (`colours`, (…, 3) in [-1, 1]); μ_p and σ_p: mean and standard deviation of the colours of
    its kind in real frames (`wanted`, `ranges`, of the same shape). Colours within one standard deviation have loss 0.
    """
    return F.relu((colours - wanted).abs() - ranges).square().sum(-1).mean()
