"""How far two sets of pictures are apart, by their features: FID and KID through torchmetrics."""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

SUBSET = 50
"""Pictures in each of the random subsets that KID averages, where there are as many."""
_SUBSETS = 100


def fid(features: Tensor, real: Tensor) -> float | None:
    """Fréchet distance (Heusel et al., NeurIPS 2017, eq. 6) of two sets of features (N, D) and (M, D).

    |μ − μ'|² + tr(Σ + Σ' − 2 (Σ Σ')^½), 0 for identical sets. Too high for few pictures, the more so the fewer: compare
    only figures of equal numbers. None for fewer than 2 pictures on a side.
    """
    if min(len(features), len(real)) < 2:
        return None
    narrow, narrow_real = _without_empty_directions(features, real)
    metric = FrechetInceptionDistance(feature=_Given(narrow.shape[1]))
    metric.update(narrow, real=False)
    metric.update(narrow_real, real=True)
    return max(0.0, float(metric.compute()))


def kid(features: Tensor, real: Tensor) -> float | None:
    """Kernel distance (Bińkowski et al., ICLR 2018, §4): the unbiased squared MMD of two sets (N, D) and (M, D).

    Kernel (xᵀy / D + 1)³; mean over 100 random subsets of min(SUBSET, N, M) pictures each, always the same. About 0 for
    two samples of one source, below it as often as above, whatever their number: the one to trust where there are few
    pictures. Below 0 where both sets hold the same pictures. None for fewer than 2 pictures on a side.
    """
    size = min(SUBSET, len(features), len(real))
    if size < 2:
        return None
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)  # that it keeps the features, which are here already
        torch.manual_seed(0)
        metric = KernelInceptionDistance(feature=_Given(features.shape[1]), subsets=_SUBSETS, subset_size=size)
        metric.update(features.double(), real=False)
        metric.update(real.double(), real=True)
        mean, _ = metric.compute()
    return float(mean)


class _Given(nn.Identity):
    """A feature network for features that are computed already."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count


def _without_empty_directions(features: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets, float64, turned into a space of at most N + M dimensions that holds all of them.

    The distance stays the same, and fewer pictures than features, the usual case, take seconds less.
    """
    both = torch.cat((features, real)).double()
    if len(both) < both.shape[1]:
        basis, _ = torch.linalg.qr(both.T)
        both = both @ basis
    return both[: len(features)], both[len(features) :]
