"""How far two sets of features are apart."""

from torch import Tensor


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """Squared maximum mean discrepancy of features (N, D) and (M, D), kernel (xᵀy / D + 1)³, the unbiased estimate.

    Gretton et al. (JMLR 2012, eq. 3) with the kernel of KID (Bińkowski et al., ICLR 2018, §4), over all pairs. About 0
    for two samples of one source, below it as often as above; 0 where a set has fewer than 2 rows.
    """
    if min(len(x), len(y)) < 2:
        return 0.0
    x, y = x.double(), y.double()

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / one.shape[1] + 1) ** 3

    within = sum(float((k.sum() - k.trace()) / (len(k) * (len(k) - 1))) for k in (kernel(x, x), kernel(y, y)))
    return within - 2 * float(kernel(x, y).mean())
