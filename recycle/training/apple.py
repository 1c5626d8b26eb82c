"""Training on Apple GPUs: finds losses that PyTorch cannot compute there, before the first step."""

from collections.abc import Callable

import torch
from torch import Tensor

from recycle.config import Pipeline
from recycle.errors import ConfigError
from recycle.losses.colours import place_colours
from recycle.losses.flow import synthetic_flow, warp


def _warped(clip: Tensor) -> Tensor:
    """grid_sample with reflection: its backward (github.com/pytorch/pytorch/pull/169143) and its reflection
    (github.com/cosanlab/py-feat/pull/368) are missing on MPS in some or all versions."""
    return warp(clip, synthetic_flow(clip))


def _coloured(clip: Tensor) -> Tensor:
    """Adaptive pooling to a size that does not divide the frame's (github.com/pytorch/pytorch/issues/96056)."""
    height, width = clip.shape[-2:]
    return place_colours(clip.flatten(0, 1), (height // 2 - 1, width // 2 - 1))


_TRIALS: dict[str, Callable[[Tensor], Tensor]] = {
    "unsupervised_spatial": _warped,
    "unsupervised_recycle": _warped,
    "colours": _coloured,
}
"""For losses with operators that MPS may lack: a function of a clip (B, T, 3, H, W) that has them."""


def check_losses(pipeline: Pipeline, device: torch.device) -> None:
    """On an Apple GPU, try these losses forward and backward on a tiny clip.

    Raises ConfigError, in one line, if some do not run.
    """
    if device.type != "mps":
        return
    missing: dict[str, str] = {}
    for name in (name for name in _TRIALS if name in pipeline.losses.weights.used()):
        try:
            clip = torch.zeros(1, 1, 3, 16, 16, device=device, requires_grad=True)
            _TRIALS[name](clip).sum().backward()
        except RuntimeError as error:  # of which NotImplementedError is a kind
            missing[name] = str(error).strip().partition("\n")[0]
    if missing:
        raise ConfigError(
            f"torch {torch.__version__} does not compute {' and '.join(missing)} on Apple GPUs "
            f"({'; '.join(sorted(set(missing.values())))}); set the weights to 0 in 'losses.weights', or train with "
            "--device cpu"
        )
