"""The networks of the published CycleGAN, CUT and ReCycle-GAN code, written anew, module by module, as oracles.

The order of the modules is that of `models/networks.py` of junyanz/pytorch-CycleGAN-and-pix2pix,
taesungp/contrastive-unpaired-translation and aayushbansal/Recycle-GAN, so that a state dict has the same names.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["instance", "batch", "none"]


class Same(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels, affine=True, track_running_stats=True)
    return nn.InstanceNorm2d(channels, affine=False, track_running_stats=False) if norm == "instance" else Same()


class Downsample(nn.Module):
    """Of CUT: `filt` is a buffer of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        a = torch.tensor([1.0, 2.0, 1.0])
        filt = a[:, None] * a[None, :]
        self.register_buffer("filt", (filt / filt.sum())[None, None].repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        filt: Any = self.filt
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), filt, stride=2, groups=x.shape[1])


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        a = torch.tensor([1.0, 3.0, 3.0, 1.0])
        filt = a[:, None] * a[None, :]
        self.register_buffer("filt", (filt / filt.sum() * 4)[None, None].repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        filt: Any = self.filt
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(padded, filt, stride=2, padding=2, groups=x.shape[1])[:, :, 1:, 1:][:, :, :-1, :-1]


class Block(nn.Module):
    def __init__(self, dim: int, norm: Norm, *, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        parts: list[nn.Module] = [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3, bias=bias), norm_layer(norm, dim)]
        parts += [nn.ReLU(True)]
        if dropout:
            parts += [nn.Dropout(0.5)]
        parts += [nn.ReflectionPad2d(1), nn.Conv2d(dim, dim, 3, bias=bias), norm_layer(norm, dim)]
        self.conv_block = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    def __init__(
        self,
        channels: int = 3,
        *,
        width: int = 8,
        blocks: int = 6,
        norm: Norm = "instance",
        dropout: bool = False,
        no_antialias: bool = True,
        no_antialias_up: bool = True,
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        parts: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=bias)]
        parts += [norm_layer(norm, width), nn.ReLU(True)]
        for mult in (1, 2):
            stride = 2 if no_antialias else 1
            parts += [nn.Conv2d(width * mult, width * mult * 2, 3, stride=stride, padding=1, bias=bias)]
            parts += [norm_layer(norm, width * mult * 2), nn.ReLU(True)]
            if not no_antialias:
                parts += [Downsample(width * mult * 2)]
        parts += [Block(width * 4, norm, dropout=dropout) for _ in range(blocks)]
        for mult in (4, 2):
            outer = width * mult // 2
            if no_antialias_up:
                parts += [nn.ConvTranspose2d(width * mult, outer, 3, stride=2, padding=1, output_padding=1, bias=bias)]
            else:
                parts += [Upsample(width * mult), nn.Conv2d(width * mult, outer, 3, stride=1, padding=1, bias=bias)]
            parts += [norm_layer(norm, outer), nn.ReLU(True)]
        parts += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class Skip(nn.Module):
    """One level of the U-Net, which contains the next one."""

    def __init__(self, outer: int, inner: int, within: nn.Module | None, norm: Norm, *, channels: int = 0) -> None:
        super().__init__()
        bias, self.outermost = norm == "instance", bool(channels)
        down = nn.Conv2d(channels or outer, inner, 4, stride=2, padding=1, bias=bias)
        ins = inner if within is None else 2 * inner
        up = nn.ConvTranspose2d(ins, outer, 4, stride=2, padding=1, bias=bias or self.outermost)
        parts: list[nn.Module]
        if within is None:
            parts = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm_layer(norm, outer)]
        elif self.outermost:
            parts = [down, within, nn.ReLU(True), up, nn.Tanh()]
        else:
            parts = [nn.LeakyReLU(0.2, True), down, norm_layer(norm, inner), within, nn.ReLU(True), up]
            parts += [norm_layer(norm, outer)]
        self.model = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UnetGenerator(nn.Module):
    def __init__(self, channels: int = 6, downs: int = 7, *, width: int = 4, norm: Norm = "instance") -> None:
        super().__init__()
        block = Skip(width * 8, width * 8, None, norm)
        for _ in range(downs - 5):
            block = Skip(width * 8, width * 8, block, norm)
        for mult in (4, 2, 1):
            block = Skip(width * mult, width * mult * 2, block, norm)
        self.model = Skip(3, width, block, norm, channels=channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class NLayerDiscriminator(nn.Module):
    def __init__(self, channels: int = 3, *, width: int = 4, n_layers: int = 3, norm: Norm = "instance") -> None:
        super().__init__()
        bias, wide = norm == "instance", width
        parts: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        for n in range(1, n_layers + 1):
            before, wide = wide, width * min(2**n, 8)
            stride = 2 if n < n_layers else 1
            parts += [nn.Conv2d(before, wide, 4, stride=stride, padding=1, bias=bias), norm_layer(norm, wide)]
            parts += [nn.LeakyReLU(0.2, True)]
        self.model = nn.Sequential(*parts, nn.Conv2d(wide, 1, 4, stride=1, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


def with_random_weights(network: nn.Module, seed: int) -> nn.Module:
    """The network in evaluation mode, with weights and stored statistics drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point() or name.endswith(".filt"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim == 4:
            noise = noise / tensor[0].numel() ** 0.5
        else:
            noise = 0.2 * noise + (name.endswith("weight") or name.endswith("running_var"))
        tensor.data.copy_(noise.abs() if name.endswith("running_var") else noise)
    return network.eval()
