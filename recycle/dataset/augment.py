"""Random augmentation of clips on the training device, identical for all frames of a clip."""

from collections.abc import Sequence

import torch
from kornia.augmentation import ColorJiggle, RandomCrop, RandomHorizontalFlip, VideoSequential
from torch import Tensor, nn
from torch.nn import functional as F

from recycle.config import AugmentSettings


class Augment(nn.Module):
    """Random crop, horizontal flip, and mild changes of brightness, contrast and saturation (kornia).

    `size` is (height, width) of the crop in pixels.
    """

    def __init__(self, settings: AugmentSettings, size: tuple[int, int]) -> None:
        super().__init__()
        changes: list[nn.Module] = [RandomCrop(size, cropping_mode="slice")]
        if settings.flip:
            changes.append(RandomHorizontalFlip(p=0.5))
        if settings.colour:
            c = settings.colour
            changes.append(ColorJiggle(brightness=c, contrast=c, saturation=c, p=0.8))
        self.changes = VideoSequential(*changes, data_format="BTCHW", same_on_frame=True)
        moves = [each for each in changes if not isinstance(each, ColorJiggle)]  # they draw their numbers first
        self.moves = VideoSequential(*moves, data_format="BTCHW", same_on_frame=True)

    @torch.no_grad()
    def forward(self, clips: Tensor, seeds: Sequence[int]) -> Tensor:
        """Augment clips: uint8 (B, T, 3, H, W) → float32 (B, T, 3, h, w) in [-1, 1].

        `seeds` has one seed per clip; the augmentation of a clip depends only on its seed. A fourth channel is a
        mask: it is cropped and flipped like the frames, and returned in [0, 1].
        """
        clips, masks = clips[:, :, :3], clips[:, :, 3:]
        frames = self._changed(self.changes, clips, seeds) * 2 - 1
        return torch.cat((frames, self._changed(self.moves, masks, seeds)), dim=2) if masks.shape[2] else frames

    @staticmethod
    def _changed(changes: nn.Module, clips: Tensor, seeds: Sequence[int]) -> Tensor:
        changed = []
        for clip, seed in zip(clips.split(1), seeds, strict=True):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                changed.append(changes(clip.float() / 255))
        return torch.cat(changed).clamp(0, 1)


def shrink(clips: Tensor, divisor: int) -> Tensor:
    """Reduce each side of frames (B, T, 3, H, W) by the factor `divisor`, by averaging."""
    if divisor == 1:
        return clips
    small = F.avg_pool2d(clips.flatten(0, 1), divisor)
    return small.unflatten(0, clips.shape[:2])
