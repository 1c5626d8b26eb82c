"""Decoding on the GPU (NVDEC), where it gives what the processor gives."""

import ctypes
from functools import cache
from pathlib import Path

import av
import numpy as np

from recycle.errors import FootageError
from recycle.video.container import open_container

_TOLERANCE = 1.0
"""Mean difference in levels of 255 between the two; standards leave decoders no freedom, ours is in rounding."""


def decodes_alike(path: Path, frame: av.VideoFrame) -> bool:
    """Whether the GPU decodes the first frame of `path`, and to the same picture as the processor's `frame`."""
    if not _has_device():
        return False
    try:
        with open_container(path, hardware=True) as container:
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


@cache
def _has_device() -> bool:
    """Whether an NVIDIA driver answers: asking FFmpeg itself for each file takes a while."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
