"""NVIDIA's decoder: finds a GPU, and lets FFmpeg decode within the CUDA context that torch uses.

A context of FFmpeg's own would take hundreds of MiB, and a GPU runs one context at a time. FFmpeg's option primary_ctx
fails once torch has begun, because it wants other flags ("Primary context already active with incompatible flags",
libavutil/hwcontext_cuda.c). So the primary context, which torch uses, is current while a decoder is opened, and the
option current_ctx takes it over.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from av.codec.hwaccel import HWAccel


def has_gpu() -> bool:
    """Whether an NVIDIA driver finds a GPU; this is faster than letting FFmpeg try for each file."""
    return _driver() is not None


@contextmanager
def decoding(*, only: bool) -> Iterator[HWAccel]:
    """Settings for `av.open` to decode on the first GPU; the file must be opened within the block.

    If the GPU does not decode the stream, FFmpeg's CPU decoder takes over, or fails with `only`.
    """
    driver, context = _driver(), _context()
    shared = context is not None and driver.cuCtxPushCurrent_v2(context) == 0
    try:
        options: dict[str, object] = {"current_ctx": "1"} if shared else {}
        yield HWAccel("cuda", allow_software_fallback=not only, options=options)
    finally:
        if shared:
            driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


@cache
def _driver() -> Any:
    """The CUDA driver library if it finds a GPU, else None."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    count = ctypes.c_int()
    found = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return driver if found else None


@cache
def _context() -> ctypes.c_void_p | None:
    """The primary context of the first GPU; it is kept until the process ends."""
    driver, device, context = _driver(), ctypes.c_int(), ctypes.c_void_p()
    if driver is None or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    return None if driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) else context
