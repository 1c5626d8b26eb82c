"""Converts the 8-bit 4:2:0 planes of frames to a network's input, and its output to planes, on the network's device.

The arithmetic is that of swscale, which converts the frames of networks on a CPU (`recycle.video.colour`,
`recycle.video.encode`): the same matrices, filters and positions of chroma, so that levels differ by at most one. A
frame is filtered by multiplying it by dense matrices at both sides, which GPUs compute fast. kornia's conversions are
not used: they know one matrix (BT.470 M/PAL) and repeat chroma samples.
"""

from collections.abc import Callable
from typing import Literal

import torch
from av.video.reformatter import Colorspace
from torch import Tensor

from recycle.translation.scale import Size
from recycle.video.colour import Colour
from recycle.video.planes import PlaneFormat

Kernel = Literal["bilinear", "bicubic"]

_RED_BLUE = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by matrix (ITU-T H.273, table 4)."""
_SHARPNESS = 0.6
"""swscale's parameter C of the bicubic filter (Mitchell & Netravali 1988), with B = 0."""


def entering(form: PlaneFormat, inner: Size, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from planes, uint8 (B, H × 3/2, W) on the device, to upright RGB, float32 (B, 3, *inner) in [-1, 1].

    It shrinks by the bilinear filter and enlarges by the bicubic one.
    """
    height, width = (inner[1], inner[0]) if form.turn.transpose else inner
    kernel: Kernel = "bilinear" if height * width < form.height * form.width else "bicubic"
    x, y = form.chroma
    luma = _Resize((form.height, form.width), (height, width), kernel, device)
    half = form.height // 2, form.width // 2
    chroma = _Resize(half, (height, width), kernel, device, source=(y, x))
    to_yuv, black = _coding(form.colour)
    to_rgb, offset = to_yuv.inverse().to(device), black.to(device)
    turned = [axis for axis, flip in ((2, form.turn.flip_y), (3, form.turn.flip_x)) if flip]

    def enter(planes: Tensor) -> Tensor:
        rows, both = planes[:, None, : form.height], planes[:, form.height :].reshape(-1, 2, *half)
        coded = torch.cat((luma(rows.float()), chroma(both.float())), 1)
        frames = _mixed(to_rgb, coded.sub_(offset)).clamp_(-1, 1)
        if form.turn.transpose:
            frames = frames.transpose(2, 3)
        return (frames.flip(turned) if turned else frames).contiguous()  # flip copies even if nothing is turned

    return enter


def leaving(inner: Size, form: PlaneFormat, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from RGB, float (B, 3, *inner) on the device, clamped to [-1, 1], to planes, uint8 (B, H × 3/2, W).

    It resizes by the bicubic filter. `form.turn` has no effect.
    """
    x, y = form.chroma
    luma = _Resize(inner, (form.height, form.width), "bicubic", device)
    chroma = _Resize(inner, (form.height // 2, form.width // 2), "bicubic", device, target=(y, x))
    to_yuv, black = (part.to(device) for part in _coding(form.colour))

    def leave(frames: Tensor) -> Tensor:
        coded = _mixed(to_yuv, frames.float().clamp(-1, 1)).add_(black)
        planes = torch.cat((luma(coded[:, :1]).flatten(1), chroma(coded[:, 1:]).flatten(1)), 1)
        return planes.round().clamp(0, 255).to(torch.uint8).reshape(-1, form.height * 3 // 2, form.width)

    return leave


def _coding(colour: Colour) -> tuple[Tensor, Tensor]:
    """Matrix (3, 3) and offset (3, 1, 1) from RGB in [-1, 1] to 8-bit levels of luma, Cb and Cr (ITU-T H.273, 8.3)."""
    red, blue = _RED_BLUE[colour.matrix]
    luma = torch.tensor([red, 1 - red - blue, blue], dtype=torch.float64)
    cb = (torch.tensor([0.0, 0, 1], dtype=torch.float64) - luma) / (2 * (1 - blue))
    cr = (torch.tensor([1.0, 0, 0], dtype=torch.float64) - luma) / (2 * (1 - red))
    first, span, chroma_span = (0, 255, 255) if colour.full_range else (16, 219, 224)
    matrix = torch.stack((luma * span, cb * chroma_span, cr * chroma_span)) / 2
    return matrix.float(), torch.tensor([first + span / 2, 128, 128]).reshape(3, 1, 1)


def _mixed(matrix: Tensor, frames: Tensor) -> Tensor:
    """The products of a matrix (3, 3) and the channels of frames (B, 3, H, W)."""
    return (matrix @ frames.flatten(2)).reshape(frames.shape)


class _Resize:
    """Resizes frames (B, C, H, W) from one size to another by a separable filter."""

    def __init__(
        self,
        old: Size,
        new: Size,
        kernel: Kernel,
        device: torch.device,
        *,
        source: tuple[float, float] = (0.5, 0.5),
        target: tuple[float, float] = (0.5, 0.5),
    ) -> None:
        """`source` and `target` are the positions y, x of the samples, in units of their sides."""
        rows, columns = (
            None
            if (old[i], source[i]) == (new[i], target[i])
            else weights(old[i], new[i], kernel, source[i], target[i]).to(device)
            for i in (0, 1)
        )
        self._rows, self._columns = rows, None if columns is None else columns.t().contiguous()

    def __call__(self, frames: Tensor) -> Tensor:
        if self._rows is not None:
            frames = self._rows @ frames
        return frames if self._columns is None else frames @ self._columns


def weights(old: int, new: int, kernel: Kernel, source: float = 0.5, target: float = 0.5) -> Tensor:
    """The weights (new, old) of `old` samples in each of `new` samples, float32; each row adds up to 1.

    `source` and `target` are the positions of the samples in units of their sides. When it shrinks, the filter is as
    wide as the new samples require. As libswscale/utils.c, initFilter; samples beyond the edge repeat the last one.
    """
    step = ((old << 16) + (new >> 1)) // new / 65536
    places = torch.arange(new, dtype=torch.float64) * step + (target * step - source)
    reach = 2 if kernel == "bilinear" else 4
    taps = reach + 1 if step <= 1 else 1 + (reach * old + new - 1) // new
    taps = max(1, min(taps, old - 2))
    first = ((places - (taps - 2) / 2).trunc()).long()
    out = torch.zeros(new, old, dtype=torch.float64)
    for tap in range(taps):
        index = first + tap
        share = _response(kernel, (index - places).abs() / max(1.0, old / new))
        out.scatter_add_(1, index.clamp(0, old - 1)[:, None], share[:, None])
    return (out / out.sum(1, keepdim=True)).float()


def _response(kernel: Kernel, distance: Tensor) -> Tensor:
    """The value of a filter at distances from its centre, float64."""
    if kernel == "bilinear":
        return (1 - distance).clamp(min=0)
    d, c = distance, _SHARPNESS
    near = (2 - c) * d**3 + (c - 3) * d**2 + 1
    far = -c * d**3 + 5 * c * d**2 - 8 * c * d + 4 * c
    return torch.where(d < 1, near, torch.where(d < 2, far, 0.0))
