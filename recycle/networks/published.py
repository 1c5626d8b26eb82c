"""Recognises the networks of the published CycleGAN, CUT and ReCycle-GAN code by the names and shapes of their weights.

Sources: `models/networks.py` of junyanz/pytorch-CycleGAN-and-pix2pix, taesungp/contrastive-unpaired-translation and
aayushbansal/Recycle-GAN.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from recycle.config import (
    CutSettings,
    GeneratorSettings,
    PatchSettings,
    Pix2PixSettings,
    PredictorSettings,
    ResNetPredictorSettings,
    ResNetSettings,
)
from recycle.networks.cut import filter_of
from recycle.networks.registry import make_discriminator, make_generator, make_predictor
from recycle.networks.weights import misfit

Weights = Mapping[str, Tensor]
_STORED = ("running_mean", "running_var", "num_batches_tracked")
_WRAPPED = re.compile(r"^(?:(?:module|_orig_mod)\.)+")
_DOWN, _UP = (1.0, 2.0, 1.0), (1.0, 3.0, 3.0, 1.0)
"""The filters of CUT's sampling."""


class UnknownLayoutError(ValueError):
    """Weights are of no published network that recycle can express; the message states why."""


class Published(NamedTuple):
    """A recognised network."""

    settings: GeneratorSettings | PredictorSettings | PatchSettings
    """Settings with which recycle computes the same."""
    weights: dict[str, Tensor]
    """Its weights by recycle's names, in float32."""
    words: str
    """The network in words, such as "ResNet, 9 blocks, width 64, norm instance"."""


def recognise(held: Weights) -> Published:
    """Recognise a generator (3 channels in), a predictor (several frames in) or a discriminator.

    Raises UnknownLayoutError.
    """
    weights = _tidied(held)
    if "model1.1.weight" in weights:
        raise UnknownLayoutError("it is a predictor of kind 'prediction'; only 'unet_…' and 'resnet_…' can be imported")
    try:
        if "model.0.weight" in weights:
            found = _discriminator(weights)
        else:
            found = _resnet(weights) if "model.1.weight" in weights else _unet(weights)
    except ValidationError as error:
        raise UnknownLayoutError(f"a size is out of range ({error.errors()[0]['msg']})") from error
    with torch.device("meta"):
        expected = _network(found.settings).state_dict()
    if difference := misfit(expected, found.weights):
        raise UnknownLayoutError(f"as a {found.words}: {difference}")
    return found


def _network(settings: GeneratorSettings | PredictorSettings | PatchSettings) -> nn.Module:
    if isinstance(settings, PatchSettings):
        return make_discriminator(settings)
    return make_generator(settings) if isinstance(settings, GeneratorSettings) else make_predictor(settings)


def _tidied(held: Weights) -> dict[str, Tensor]:
    """The weights in float32, without what wrappers and old versions of PyTorch added.

    DataParallel puts `module.` before each name, and torch.compile `_orig_mod.`. InstanceNorm had running statistics
    before PyTorch 0.4, without using them. BatchNorm had no counter of batches then.
    """
    named = {_WRAPPED.sub("", name): tensor for name, tensor in held.items()}
    tidy = {}
    for name, tensor in named.items():
        layer, _, own = name.rpartition(".")
        if own in _STORED and f"{layer}.weight" not in named:
            continue
        tidy[name] = tensor.float() if tensor.is_floating_point() else tensor
        if own == "running_mean":
            tidy.setdefault(f"{layer}.num_batches_tracked", torch.tensor(0))
    return tidy


def _resnet(weights: dict[str, Tensor]) -> Published:
    filters = {name: weights.pop(name) for name in list(weights) if name.endswith(".filt")}
    found = [sum(_is_filter(each, values) for each in filters.values()) for values in (_DOWN, _UP)]
    down, up = (bool(count) for count in found)
    if found != [2 * down, 2 * up] or sum(found) < len(filters):
        raise UnknownLayoutError(f"its resampling filters are not those of CUT ({', '.join(sorted(filters))[:100]})")
    width, channels = _shape(weights, "model.1.weight")[:2]
    first = 12 if down else 10
    blocks = 0
    while f"model.{first + blocks}.conv_block.1.weight" in weights:
        blocks += 1
    norm = "batch" if "model.2.weight" in weights else "instance" if "model.1.bias" in weights else "none"
    dropout = len(_shape(weights, f"model.{first}.conv_block.6.weight")) == 4
    if dropout:  # it moved the modules after it by one
        weights = {re.sub(r"(conv_block\.)([67])(?=\.)", _before, name): own for name, own in weights.items()}
    words = f"ResNet, {blocks} blocks, width {width}, norm {norm}"
    sampling = {"antialias_down": down, "antialias_up": up}
    shape = {"blocks": blocks, "width": width, "norm": norm}
    settings: GeneratorSettings | PredictorSettings
    if channels > 3 and channels % 3 == 0 and not filters:
        settings = ResNetPredictorSettings.model_validate(shape | {"past": channels // 3})
        words = f"predictor for {channels // 3} frames, {words}"
    elif channels != 3:
        raise UnknownLayoutError(f"it takes {channels} channels; only networks for RGB frames can be imported")
    elif norm == "instance" and not filters:
        settings = ResNetSettings(blocks=blocks, width=width, blur=False)
    else:
        settings = CutSettings.model_validate(shape | sampling)
    words += ", anti-aliased" if filters else ""
    return Published(settings, weights, words + (", trained with dropout" if dropout else ""))


def _unet(weights: dict[str, Tensor]) -> Published:
    """A U-Net, whose modules contain each other, from the outermost to the innermost."""
    width, channels = (*_shape(weights, "model.model.0.weight"), 0, 0)[:2]
    if not width:
        raise UnknownLayoutError("it is neither a ResNet nor a U-Net of the published code")
    if channels == 3:
        raise UnknownLayoutError("it is a U-Net generator; only ResNet generators can be imported")
    if channels % 3:
        raise UnknownLayoutError(f"it takes {channels} channels; only predictors for RGB frames can be imported")
    renamed, prefix, depth = {"model.model.0": "down.0.0", "model.model.3": "up.0.1"}, "model.model.1.model", 1
    while f"{prefix}.5.weight" in weights:
        renamed |= {f"{prefix}.{old}": new for old, new in _level(depth, inner=False).items()}
        prefix, depth = f"{prefix}.3.model", depth + 1
    renamed |= {f"{prefix}.{old}": new for old, new in _level(depth, inner=True).items()}
    norm = "batch" if f"{prefix}.4.weight" in weights else "instance"
    shape = {"past": channels // 3, "width": width, "depth": depth + 1, "norm": norm}
    words = f"predictor for {channels // 3} frames, U-Net, depth {depth + 1}, width {width}, norm {norm}"
    named = {}
    for name, own in weights.items():
        layer, _, kind = name.rpartition(".")
        named[f"{renamed.get(layer, layer)}.{kind}"] = own
    return Published(Pix2PixSettings.model_validate(shape), named, words)


def _discriminator(weights: dict[str, Tensor]) -> Published:
    width, channels = (*_shape(weights, "model.0.weight"), 0, 0)[:2]
    if any(name.endswith((".filt", ".running_mean")) for name in weights):
        raise UnknownLayoutError("it is a discriminator with anti-aliasing or BatchNorm, which cannot be imported")
    if channels != 3:
        raise UnknownLayoutError(f"it is a discriminator that takes {channels} channels, not an RGB frame")
    layers = -1  # without the last convolution
    while f"model.{5 + 3 * layers}.weight" in weights:
        layers += 1
    return Published(PatchSettings(width=width, layers=layers), weights, f"PatchGAN, {layers} layers, width {width}")


def _level(depth: int, *, inner: bool) -> dict[int, str]:
    """Number of each module within a level of a published U-Net → recycle's name of it."""
    if inner:
        return {1: f"down.{depth}.1", 3: f"up.{depth}.1", 4: f"up.{depth}.2"}
    return {1: f"down.{depth}.1", 2: f"down.{depth}.2", 5: f"up.{depth}.1", 6: f"up.{depth}.2"}


def _is_filter(held: Tensor, values: tuple[float, ...]) -> bool:
    """Whether a fixed filter of CUT, the same for each channel, has these values; those for up-sampling sum to 4."""
    expected = filter_of(*values) * (4 if values == _UP else 1)
    return held.shape[1:] == (1, *expected.shape) and torch.allclose(held, expected.expand_as(held), atol=1e-6)


def _shape(weights: Weights, name: str) -> tuple[int, ...]:
    return tuple(weights[name].shape) if name in weights else ()


def _before(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) - 1}"
