"""History of translated frames for the discriminators."""

from typing import Any

import torch
from torch import Tensor


class FramePool:
    """Up to `size` earlier translated frames; in half of the cases the discriminator gets an old one.

    Source: Shrivastava et al. 2017, section 2.3, as used by CycleGAN with 50 frames. Random choices come from a
    separate generator on the CPU, so that they do not depend on anything else.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self._frames: list[Tensor] = []
        self._random = torch.Generator().manual_seed(seed)

    def clear(self) -> None:
        """Remove all frames."""
        self._frames = []

    def exchange(self, clip: Tensor) -> Tensor:
        """(B, T, C, H, W) detached frames → the same shape, with about half of the frames replaced by old ones."""
        if self.size == 0:
            return clip
        if self._frames and self._frames[0].shape != clip.shape[2:]:  # the resolution has grown
            self.clear()
        return torch.stack([self._exchange_one(frame) for frame in clip.flatten(0, 1)]).unflatten(0, clip.shape[:2])

    def _exchange_one(self, frame: Tensor) -> Tensor:
        if len(self._frames) < self.size:
            self._frames.append(frame.clone())  # a view would keep its whole batch in memory
            return frame
        choice = int(torch.randint(2 * self.size, (1,), generator=self._random))
        if choice >= self.size:
            return frame
        old, self._frames[choice] = self._frames[choice], frame.clone()
        return old

    def state_dict(self) -> dict[str, Any]:
        """Frames and random state as tensors, for a checkpoint."""
        frames = torch.stack(self._frames).cpu() if self._frames else torch.empty(0)
        return {"frames": frames, "random": self._random.get_state()}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the state of `state_dict`, with the frames on `device`."""
        self._frames = list(state["frames"].to(device))
        self._random.set_state(state["random"].cpu())
