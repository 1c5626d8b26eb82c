"""Adam (Kingma & Ba 2015) for weights of any memory layout."""

from typing import Any

import torch
from torch import Tensor


class Adam(torch.optim.Adam):
    """`torch.optim.Adam` with one kernel for all weights; the same values, faster on CPUs, and correct for any layout.

    PyTorch's CPU kernel copies tensors that are not contiguous, which takes longer than its work. If a gradient or
    moment has another layout than its weight, the kernel combines numbers of different places. Adam treats all numbers
    alike, so this class passes tensors of equal layout, with their dimensions in the order of memory.
    """

    def __init__(self, params: Any, *, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        super().__init__(params, lr=lr, betas=betas, fused=True)

    def prepare(self) -> None:
        """Allocate the moments of all weights that have a gradient, as the next step would."""
        for group in self.param_groups:
            if any(weight.grad is not None and weight not in self.state for weight in group["params"]):
                self._init_group(group, *([] for _ in range(6)))

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        """Collect weights, gradients, first and second moments (the first four lists), and the rest."""
        for weight in group["params"]:
            state = self.state.get(weight, {})
            state |= {key: _alike(state[key], weight) for key in ("exp_avg", "exp_avg_sq") if key in state}
        complex_numbers: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        weights, gradients = lists[:2]
        gradients[:] = [_alike(gradient, weight) for gradient, weight in zip(gradients, weights, strict=True)]
        if not weights or weights[0].device.type != "cpu":
            return complex_numbers
        orders = [sorted(range(weight.dim()), key=weight.stride, reverse=True) for weight in weights]
        for tensors in lists[:4]:
            tensors[:] = [tensor.detach().permute(order) for tensor, order in zip(tensors, orders, strict=True)]
        return complex_numbers


def _alike(tensor: Tensor, weight: Tensor) -> Tensor:
    """The same numbers in the memory layout of `weight`."""
    return tensor if tensor.stride() == weight.stride() else torch.empty_like(weight).copy_(tensor)
