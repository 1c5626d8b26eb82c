"""Distance between two sets of features."""

from torch import Tensor


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D), kernel (xᵀy / D + 1)³, unbiased estimate.

    For two samples of one source it is distributed around 0, and may be negative; it is 0 if a set has fewer than 2
    rows. Source: Gretton et al. (JMLR 2012), eq. 3, with the kernel of KID (Bińkowski et al., ICLR 2018, §4), over all
    pairs.
    """
    if min(len(x), len(y)) < 2:
        return 0.0
    x, y = ((z.cpu() if z.device.type == "mps" else z).double() for z in (x, y))  # MPS has no float64

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    within = sum(float((k.sum() - k.trace()) / (len(k) * (len(k) - 1))) for k in (kernel(x, x), kernel(y, y)))
    return within - 2 * float(kernel(x, y).mean())
