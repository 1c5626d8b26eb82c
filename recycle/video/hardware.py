"""Checks whether GPU decoding (NVDEC) gives the same pictures as CPU decoding."""

from pathlib import Path

import av
import numpy as np

from recycle.errors import FootageError
from recycle.video.container import open_container
from recycle.video.nvdec import decoding, has_gpu

_TOLERANCE = 1.0
"""Maximum mean difference, in levels of 255. Decoders must agree exactly; only our conversion to RGB may round."""


def decodes_alike(path: Path, frame: av.VideoFrame) -> bool:
    """Whether the GPU decodes the first frame of `path` to the same picture as the CPU's `frame`.

    Size, timestamp and rotation must be equal. Returns False if GPU decoding fails.
    """
    if not has_gpu():
        return False
    try:
        with decoding(only=True) as gpu, open_container(path, hardware=gpu) as container:
            for other in container.decode(video=0):
                same = (other.width, other.height, other.pts, other.rotation) == (
                    frame.width,
                    frame.height,
                    frame.pts,
                    frame.rotation,
                )
                ours, theirs = (f.to_ndarray(format="rgb24").astype(np.int16) for f in (frame, other))
                return same and bool(np.abs(ours - theirs).mean() <= _TOLERANCE)
    except (FootageError, av.FFmpegError, OSError, ValueError, IndexError, RuntimeError, NotImplementedError):
        return False
    return False
