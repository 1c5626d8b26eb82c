"""U-Net generator whose encoder is a pretrained network."""

import copy

import torch
from torch import Tensor, nn

from recycle.config import UNetSettings
from recycle.networks.features import fold_norms, pretrained_weights
from recycle.networks.generator import NEARLY_ONE, GeneratorNetwork
from recycle.networks.norm import InstanceNorm
from recycle.networks.predictor import pad_to_multiple
from recycle.system.devices import memory_format

ENCODER = "tf_efficientnet_lite0"
"""timm's name of the encoder."""
_DEPTH = 4
"""Number of halvings. The encoder's last level, of stride 32, is omitted: it costs time and hardly helps to locate
objects."""
_STAGES = 5
"""Number of the encoder's blocks up to stride 16."""
_WIDTHS = (6, 4, 2, 1)
"""Channels of the decoder's levels, from coarse to fine, relative to the finest level."""
_TAPPED = (2, 3, 4)
"""Levels of the encoder, of strides 4, 8 and 16, for the contrastive loss."""
_MULTIPLE = 2**_DEPTH
_MAPS = 8
"""Maximum number of full-size maps of `width` channels that inference holds at once."""


class UNetGenerator(GeneratorNetwork):
    """`segmentation_models_pytorch.Unet` with EfficientNet-Lite0 as its encoder.

    Training starts from the encoder's ImageNet weights and continues to train them. The encoder's batch normalisation
    keeps the statistics of ImageNet and the decoder uses InstanceNorm, so that the frames of a batch stay independent.
    Frames of any size are padded inside. On CPUs the encoder always computes in float32, in which its depthwise
    convolutions are twice as fast as in bfloat16.

    Source: Ronneberger et al., "U-Net" (MICCAI 2015); Tan & Le, "EfficientNet" (ICML 2019), in the form of TensorFlow's
    Lite models.
    """

    pads_to = _MULTIPLE
    reach = 96  # measured: beyond it, tiles differ from the whole frame by less than 0.03 grey levels

    def __init__(self, settings: UNetSettings) -> None:
        import segmentation_models_pytorch as smp  # takes seconds, and other generators do not need it

        super().__init__()
        self.width, self.skip = settings.width, settings.skip
        channels = [self.width * factor for factor in _WIDTHS]
        self.unet = smp.Unet(
            f"tu-{ENCODER}",
            encoder_depth=_DEPTH,
            encoder_weights=None,
            decoder_channels=channels,
            decoder_interpolation="bilinear",  # nearest would cause a grid
            classes=6 if self.skip else 3,
        )
        body = self.unet.encoder.model
        body.blocks = body.blocks[:_STAGES]  # timm would compute the other blocks and discard them
        for block in self.unet.decoder.blocks:
            for conv in (block.conv1, block.conv2):
                conv[1] = InstanceNorm(conv[0].out_channels)
        if self.skip:
            nn.init.zeros_(self.unet.segmentation_head[0].weight)
        self.feature_channels = (3, *(self.unet.encoder.out_channels[level] for level in _TAPPED))
        self.train(self.training)

    def train(self, mode: bool = True) -> "UNetGenerator":
        """Set the mode of the module; batch normalisation always keeps its stored statistics."""
        super().train(mode)
        for module in self.unet.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; any H and W.

        Frames may have a higher precision than the weights: a skip connection uses them unrounded.
        """
        height, width = frames.shape[-2:]
        head = self.unet.segmentation_head
        dtype = head[0].weight.dtype
        change = head(self.unet.decoder([level.to(dtype) for level in self._encoded(frames)]))[..., :height, :width]
        if not self.skip:
            return torch.tanh(change)
        gain, change = change.chunk(2, dim=1)
        return torch.tanh((1 + gain) * torch.atanh(frames.clamp(-1, 1) * NEARLY_ONE) + change)

    def features(self, frames: Tensor) -> list[Tensor]:
        """(B, 3, H, W) float in [-1, 1] → the frames, and the encoder's levels of strides 4, 8 and 16."""
        levels = self._encoded(frames)
        return [frames, *(levels[level] for level in _TAPPED)]

    def _encoded(self, frames: Tensor) -> list[Tensor]:
        """The padded frames, and the encoder's levels of strides 2 to 16."""
        kind, dtype = frames.device.type, next(self.unet.encoder.parameters()).dtype
        with torch.autocast(kind, enabled=torch.is_autocast_enabled(kind) and kind != "cpu"):
            levels: list[Tensor] = self.unet.encoder(pad_to_multiple(frames.to(dtype), _MULTIPLE))
        return levels

    def load_pretrained(self) -> None:
        """Load the encoder's ImageNet weights. Raises ConfigError if their package is not installed."""
        weights = pretrained_weights()
        body = self.unet.encoder.model
        body.load_state_dict({key: weights[key] for key in body.state_dict()})

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Estimated memory in bytes for a frame of `size` (height, width): that of the decoder's finest level."""
        return _MAPS * self.width * dtype.itemsize * size[0] * size[1]

    def for_inference(self, device: torch.device, dtype: torch.dtype) -> "UNetGenerator":
        """A frozen copy on `device` with the batch normalisation folded into the convolutions.

        Weights have the given `dtype`, except those of the encoder: float32 on CPUs, and float16 in place of bfloat16
        elsewhere. It does not normalise, so it needs the digits in frames of low contrast, and ReLU6 limits its values.
        """
        ready = copy.deepcopy(self).eval().requires_grad_(False)
        fold_norms(ready.unet.encoder)
        _fix_padding(ready.unet.encoder)
        ready.to(device)
        for part in (ready.unet.decoder, ready.unet.segmentation_head):
            part.to(dtype)
        if device.type != "cpu":
            ready.unet.encoder.to(torch.float16 if dtype == torch.bfloat16 else dtype)
        return ready.to(memory_format=memory_format(device))


def _fix_padding(module: nn.Module) -> None:
    """Give each strided convolution of a timm encoder fixed padding, in place of one that it computes from the size.

    TensorFlow's "same" padding of a side that is a multiple of the stride is kernel − stride, with the larger half at
    the end. All sides are multiples of their strides here.
    """
    from timm.layers import Conv2dSame  # takes seconds, and other generators do not need it

    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            (kernel, _), (stride, _) = child.kernel_size, child.stride
            sizes = (child.in_channels, child.out_channels, kernel, stride)
            conv = nn.Conv2d(*sizes, groups=child.groups, bias=child.bias is not None, device="meta")
            conv.weight, conv.bias = child.weight, child.bias
            before = (kernel - stride) // 2
            after = kernel - stride - before
            setattr(module, name, nn.Sequential(nn.ZeroPad2d((before, after, before, after)), conv))
        else:
            _fix_padding(child)
