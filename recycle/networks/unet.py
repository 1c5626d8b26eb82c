"""U-Net generator whose encoder is a pretrained network."""

import copy

import torch
from torch import Tensor, nn

from recycle.config import UNetSettings
from recycle.networks.features import fold_norms, pretrained_weights
from recycle.networks.generator import NEARLY_ONE, GeneratorNetwork
from recycle.networks.norm import InstanceNorm
from recycle.networks.predictor import pad_to_multiple

ENCODER = "tf_efficientnet_lite0"
"""timm's name."""
_DEPTH = 4
"""Halvings: the encoder's last level, of stride 32, is left out. It costs time and says little of where things are."""
_STAGES = 5
"""Of the encoder's blocks, up to stride 16."""
_WIDTHS = (6, 4, 2, 1)
"""Channels of the decoder's levels, from coarse to fine, for each channel of the finest."""
_TAPPED = (2, 3, 4)
"""Levels of the encoder, of strides 4, 8 and 16, for the contrastive loss."""
_MULTIPLE = 2**_DEPTH
_MAPS = 8


class UNetGenerator(GeneratorNetwork):
    """Translate single frames by `segmentation_models_pytorch.Unet` with EfficientNet-Lite0 as its encoder.

    Training starts from the encoder's ImageNet weights and trains them on. Its batch normalisation keeps the statistics
    of ImageNet, the decoder's is InstanceNorm, so that the frames of a batch stay independent. Frames of any size are
    padded inside. On CPUs the encoder always computes in float32, in which its depthwise convolutions are twice as fast
    there as in bfloat16.

    Source: Ronneberger et al., "U-Net" (MICCAI 2015); Tan & Le, "EfficientNet" (ICML 2019), in the form of TensorFlow's
    Lite models.
    """

    def __init__(self, settings: UNetSettings) -> None:
        import segmentation_models_pytorch as smp  # takes seconds, and other generators do without

        super().__init__()
        self.width, self.skip = settings.width, settings.skip
        channels = [self.width * factor for factor in _WIDTHS]
        self.unet = smp.Unet(
            f"tu-{ENCODER}",
            encoder_depth=_DEPTH,
            encoder_weights=None,
            decoder_channels=channels,
            decoder_interpolation="bilinear",  # nearest prints a grid
            classes=6 if self.skip else 3,
        )
        body = self.unet.encoder.model
        body.blocks = body.blocks[:_STAGES]  # timm would compute the others and throw them away
        for block in self.unet.decoder.blocks:
            for conv in (block.conv1, block.conv2):
                conv[1] = InstanceNorm(conv[0].out_channels)
        if self.skip:
            nn.init.zeros_(self.unet.segmentation_head[0].weight)
        self.feature_channels = (3, *(self.unet.encoder.out_channels[level] for level in _TAPPED))
        self.train(self.training)

    def train(self, mode: bool = True) -> "UNetGenerator":
        """As every module; batch normalisation never takes the statistics of a batch."""
        super().train(mode)
        for module in self.unet.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, H, W) float in [-1, 1] → the same shape and range; any H and W.

        Frames may be of a higher precision than the weights: a skip takes them as they are.
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
        """(B, 3, H, W) → the frames, and what the encoder makes of them at strides 4, 8 and 16."""
        levels = self._encoded(frames)
        return [frames, *(levels[level] for level in _TAPPED)]

    def _encoded(self, frames: Tensor) -> list[Tensor]:
        """The padded frames, and the encoder's levels of strides 2 to 16."""
        kind, dtype = frames.device.type, next(self.unet.encoder.parameters()).dtype
        with torch.autocast(kind, enabled=torch.is_autocast_enabled(kind) and kind != "cpu"):
            levels: list[Tensor] = self.unet.encoder(pad_to_multiple(frames.to(dtype), _MULTIPLE))
        return levels

    def load_pretrained(self) -> None:
        """Give the encoder its ImageNet weights. Raises ConfigError if their package is not installed."""
        weights = pretrained_weights("lite0")
        body = self.unet.encoder.model
        body.load_state_dict({key: weights[key] for key in body.state_dict()})

    def bytes_per_frame(self, size: tuple[int, int], dtype: torch.dtype) -> int:
        """Memory that a frame of (height, width) takes on its way through, roughly: the decoder's finest level."""
        return _MAPS * self.width * dtype.itemsize * size[0] * size[1]

    def for_inference(self, device: torch.device, dtype: torch.dtype) -> "UNetGenerator":
        """A frozen copy on `device` with the batch normalisation folded into the convolutions; `dtype` of the weights,
        but for the encoder's on CPUs, which stay float32."""
        ready = copy.deepcopy(self).eval().requires_grad_(False)
        fold_norms(ready.unet.encoder)
        ready.to(device)
        for part in (ready.unet.decoder, ready.unet.segmentation_head):
            part.to(dtype)
        if device.type != "cpu":
            ready.unet.encoder.to(dtype)
        return ready.to(memory_format=torch.channels_last)
