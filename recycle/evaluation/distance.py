"""Computes FID and KID, distances between the features of two sets of pictures, with torchmetrics."""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

SUBSET = 50
"""Maximum number of pictures in each of the random subsets over which KID is averaged."""
_SUBSETS = 100


def fid(features: Tensor, real: Tensor) -> float | None:
    """Fréchet distance (Heusel et al., NeurIPS 2017, eq. 6) between features (N, D) and `real` features (M, D).

    |μ − μ'|² + tr(Σ + Σ' − 2 (Σ Σ')^½), which is 0 for identical sets. It is biased upwards, the more so the fewer
    pictures there are: compare only values for equal numbers of pictures. None if either set has fewer than 2 pictures.
    """
    if min(len(features), len(real)) < 2:
        return None
    narrow, narrow_real = _without_empty_directions(features, real)
    metric = FrechetInceptionDistance(feature=_Given(narrow.shape[1]))
    metric.update(narrow, real=False)
    metric.update(narrow_real, real=True)
    return max(0.0, float(metric.compute()))


def kid(features: Tensor, real: Tensor) -> float | None:
    """Kernel distance (Bińkowski et al., ICLR 2018, §4): unbiased squared MMD of features (N, D) and (M, D).

    The kernel is (xᵀy / D + 1)³. The result is the mean over 100 random subsets of min(SUBSET, N, M) pictures, with a
    fixed seed. Its expectation for two samples of one distribution is 0, whatever their size, so prefer it to FID for
    few pictures. It is negative if both sets hold the same pictures. None if either set has fewer than 2 pictures.
    """
    size = min(SUBSET, len(features), len(real))
    if size < 2:
        return None
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore", UserWarning)  # it warns that it stores the features, which are in memory anyway
        torch.manual_seed(0)
        metric = KernelInceptionDistance(feature=_Given(features.shape[1]), subsets=_SUBSETS, subset_size=size)
        metric.update(features.double(), real=False)
        metric.update(real.double(), real=True)
        mean, _ = metric.compute()
    return float(mean)


class _Given(nn.Identity):
    """A stand-in for the feature network of torchmetrics, for features that are already computed."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count


def _without_empty_directions(features: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets as float64, projected onto the space that they span if that has fewer than D dimensions.

    The distance is unchanged. With fewer pictures than features, the usual case, it takes seconds less to compute.
    """
    both = torch.cat((features, real)).double()
    if len(both) < both.shape[1]:
        basis, _ = torch.linalg.qr(both.T)
        both = both @ basis
    return both[: len(features)], both[len(features) :]
