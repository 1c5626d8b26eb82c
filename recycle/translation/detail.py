"""Adds to a translation the fine detail of its source, which is lost when the source is scaled to the network's size.

For the luma x of a source and the luma y of its enlarged translation, the result is

    y + s ā (x − U D x),  a = cov(D x, D y) ÷ (var(D x) + ε) in 3 × 3 places, limited to [−1.5, 1.5]

where D shrinks to the network's size, U enlarges, ā is the mean of a over 3 × 3 places, and s is the share of the
detail. So x − U D x is what scaling loses, and ā is how strongly the translation follows its source there: 0 where it
shows something else. This is the local linear model of the guided filter (He et al. 2013, eq. 5 and 8), applied to the
lost detail as in pan-sharpening (Aiazzi et al. 2002). Red, green and blue get the same change, so colours stay.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.translation.scale import Size
from recycle.video.frame import Pixels
from recycle.video.planes import PlaneFormat

_NOISE = 1e-4
"""ε: variance of levels in [0, 1] below which the source is taken for flat."""
_STEEPEST = 1.5
"""Limit of |a|. Faint contrast of the source may meet strong contrast of the translation by chance."""


def loses_detail(size: Size, inner: Size) -> bool:
    """Whether frames of `size` have more pixels than a network that runs at `inner` sees; both are height and width."""
    return inner[0] * inner[1] < size[0] * size[1]


def add_detail(source: Pixels, translated: Pixels, inner: Size, share: float) -> Pixels:
    """The translation with the `share`, in [0, 1], of the detail of its source that the network's size `inner` loses.

    Both pictures are RGB (H, W, 3), uint8 or uint16, like the result.
    """
    one, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (source, translated))
    change = _lost(one, other, inner, share)
    return _sum(translated, cv2.merge((change, change, change)))


def add_detail_to_planes(
    source: Pixels, translated: Pixels, inner: Size, share: float, *, form: PlaneFormat, height: int
) -> Pixels:
    """`add_detail` for planes, uint8 (H × 3/2, W), of which luma alone changes; `translated` is overwritten.

    `form` is the format of the source, and `height` the number of rows of luma of the translation. Their ranges may
    differ, because a absorbs the factor.
    """
    one = form.turn.apply(source[: form.height, :, None])[..., 0]
    other = translated[:height]
    other[:] = _sum(other, _lost(one, other, inner, share))
    return translated


def _lost(source: Pixels, translated: Pixels, inner: Size, share: float) -> NDArray[np.float32]:
    """The change s ā (x − U D x) of the luma `translated`, in levels; all are (H, W)."""
    small, whole = inner[::-1], source.shape[::-1]
    highest = np.float32(np.iinfo(source.dtype).max)
    x = cv2.resize(source, small, interpolation=cv2.INTER_AREA) / highest
    y = cv2.resize(translated, small, interpolation=cv2.INTER_LINEAR) / highest  # enlarged: it has no finer detail
    mean_x, mean_y = _mean(x), _mean(y)
    slope = (_mean(x * y) - mean_x * mean_y) / (_mean(x * x) - mean_x**2 + np.float32(_NOISE))
    slope = _mean(np.clip(slope, -_STEEPEST, _STEEPEST)) * np.float32(share)
    change = cv2.subtract(source, cv2.resize(x * highest, whole, interpolation=cv2.INTER_CUBIC), dtype=cv2.CV_32F)
    change *= cv2.resize(slope, whole, interpolation=cv2.INTER_LINEAR)
    return np.asarray(change, np.float32)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means of 3 × 3 places."""
    return np.asarray(cv2.blur(values, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)


def _sum(levels: Pixels, change: NDArray[np.float32]) -> Pixels:
    """levels + change, rounded and clamped to the range of the dtype."""
    return np.asarray(cv2.add(levels, change, dtype=cv2.CV_8U if levels.dtype == np.uint8 else cv2.CV_16U))
