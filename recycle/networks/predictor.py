"""Predictors: from the past P frames of one domain to the next frame."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import CutSettings, Pix2PixSettings, ResNetPredictorSettings, SmpSettings
from recycle.errors import ConfigError
from recycle.networks.cut import LEAST, MULTIPLE, published_resnet
from recycle.networks.generator import at_any_size
from recycle.networks.initialise import initialise
from recycle.networks.norm import NORMS, GroupNorm
from recycle.networks.resample import Double, Halve


class PredictorNetwork(nn.Module):
    """Base class of predictors. A subclass defines `forward` for frames of any size."""

    multiple = 1
    """The network pads frames internally to sides that are multiples of this."""

    def forward(self, past: Tensor) -> Tensor:
        """(B, P, 3, H, W) float in [-1, 1] → next frame (B, 3, H, W) in [-1, 1]; any H and W."""
        raise NotImplementedError


class SmpPredictor(PredictorNetwork):
    """`segmentation_models_pytorch.Unet` that predicts the change from the last frame to the next.

    It starts as a copy of the last frame, because its last convolution is 0 (as the last layer of residual branches in
    Goyal et al. 2017, section 5.1); so the recycle loss has usable predictions from the first step.

    Its BatchNorm is replaced by GroupNorm (Wu & He 2018), which works at batch size 1 and keeps the frames of a batch
    independent. Weights are never downloaded. Raises ConfigError for an unknown encoder.
    """

    def __init__(self, settings: SmpSettings) -> None:
        import segmentation_models_pytorch as smp  # takes seconds, and other predictors do not need it

        super().__init__()
        check_encoder(settings)
        self.multiple = 2**settings.depth
        channels = [max(settings.width * 4 >> i, 16) for i in range(settings.depth)]
        try:
            self.unet = smp.Unet(
                settings.encoder,
                encoder_depth=settings.depth,
                encoder_weights=None,
                decoder_channels=channels,
                in_channels=3 * settings.past,
                classes=3,
            )
        except (KeyError, RuntimeError, ValueError, IndexError, TypeError, AttributeError, AssertionError) as error:
            raise ConfigError(_no_encoder(settings)) from error
        _batch_norm_to_group_norm(self.unet)
        nn.init.zeros_(self.unet.segmentation_head[0].weight)
        nn.init.zeros_(self.unet.segmentation_head[0].bias)

    def forward(self, past: Tensor) -> Tensor:
        """(B, P, 3, H, W) float in [-1, 1] → next frame (B, 3, H, W) in [-1, 1]; any H and W."""
        height, width = past.shape[-2:]
        change = self.unet(pad_to_multiple(past.flatten(1, 2), self.multiple))[..., :height, :width]
        return (past[:, -1] + change).clamp(-1, 1)


class Pix2PixPredictor(PredictorNetwork):
    """The paper's predictor: the U-Net of pix2pix with 3 P channels in and 3 out, tanh, InstanceNorm.

    Source: Isola et al. 2017, appendix 6.1.1 (encoder C64-C128-C256-C512-…, skip connections), as in the
    original ReCycle-GAN code: 41.8 M parameters at depth 7 (128 px), 54.4 M at depth 8 (256 px), for P = 2.
    """

    def __init__(self, settings: Pix2PixSettings) -> None:
        super().__init__()
        depth, norm = settings.depth, NORMS[settings.norm]
        bias = settings.norm == "instance"
        self.multiple = 2**depth
        channels = [settings.width * min(2**i, 8) for i in range(depth)]
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()  # up[i] undoes down[i]
        for i, out in enumerate(channels):
            outer, inner = i == 0, i == depth - 1
            down: list[nn.Module] = [] if outer else [nn.LeakyReLU(0.2)]
            down.append(Halve(3 * settings.past if outer else channels[i - 1], out, bias=bias))
            if not (outer or inner):
                down.append(norm(out))
            up: list[nn.Module] = [
                nn.ReLU(),
                Double(out if inner else 2 * out, 3 if outer else channels[i - 1], bias=bias or outer),
                nn.Tanh() if outer else norm(channels[i - 1]),
            ]
            self.down.append(nn.Sequential(*down))
            self.up.append(nn.Sequential(*up))
        initialise(self)

    def forward(self, past: Tensor) -> Tensor:
        """(B, P, 3, H, W) float in [-1, 1] → next frame (B, 3, H, W) in [-1, 1]; any H and W."""
        height, width = past.shape[-2:]
        x = pad_to_multiple(past.flatten(1, 2), self.multiple)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in reversed(self.up):
            x = up(x)
            if skips:
                x = torch.cat((skips.pop(), x), dim=1)
        return x[..., :height, :width]


class ResNetPredictor(PredictorNetwork):
    """The ResNet of CycleGAN with 3 P channels in, 3 out and a tanh.

    Source: the original ReCycle-GAN code, with `--which_model_netP resnet_6blocks` or `resnet_9blocks`.
    """

    multiple = LEAST

    def __init__(self, settings: ResNetPredictorSettings) -> None:
        super().__init__()
        plain = {"antialias_down": False, "antialias_up": False}
        shape = settings.model_dump(include={"blocks", "width", "norm"})
        self.model = published_resnet(CutSettings(**shape, **plain), channels=3 * settings.past)
        initialise(self)

    def forward(self, past: Tensor) -> Tensor:
        """(B, P, 3, H, W) float in [-1, 1] → next frame (B, 3, H, W) in [-1, 1]; any H and W."""
        return at_any_size(self.model, past.flatten(1, 2), multiple=MULTIPLE, least=LEAST)


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Pad (B, C, H, W) at the right and bottom, by edge replication, to multiples of `multiple`."""
    height, width = frames.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(frames, (0, right, 0, bottom), mode="replicate") if bottom or right else frames


def check_encoder(settings: SmpSettings) -> None:
    """Raise ConfigError unless the encoder's architecture is part of smp or timm; others would be downloaded."""
    import segmentation_models_pytorch as smp
    import timm

    family, _, name = settings.encoder.partition("-")
    known = family in ("tu", "timm") and timm.is_model(name)
    if not known and settings.encoder not in smp.encoders.encoders:
        raise ConfigError(_no_encoder(settings))


def _no_encoder(settings: SmpSettings) -> str:
    return (
        f"networks.predictor.encoder '{settings.encoder}' with depth {settings.depth} is not an encoder of "
        "segmentation_models_pytorch; use for example 'tu-resnet18' with depth 4"
    )


def _batch_norm_to_group_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = GroupNorm(math.gcd(child.num_features, 16), child.num_features)
            after = [getattr(child, part) for part in ("drop", "act") if hasattr(child, part)]  # timm's BatchNormAct2d
            setattr(module, name, nn.Sequential(norm, *after) if after else norm)
        else:
            _batch_norm_to_group_norm(child)
