"""Checks whether GPU decoding (NVDEC) gives the same pictures as CPU decoding."""

import ctypes
from functools import cache
from pathlib import Path

import av
import numpy as np

from recycle.errors import FootageError
from recycle.video.container import open_container

_TOLERANCE = 1.0
"""Maximum mean difference, in levels of 255. Decoders must agree exactly; only our conversion to RGB may round."""


def decodes_alike(path: Path, frame: av.VideoFrame) -> bool:
    """Whether the GPU decodes the first frame of `path` to the same picture as the CPU's `frame`.

    Size, timestamp and rotation must be equal. Returns False if GPU decoding fails.
    """
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
    """Whether an NVIDIA driver finds a GPU; this is faster than letting FFmpeg try for each file."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
