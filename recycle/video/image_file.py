"""Reads an image file, checks its size before it is decoded, and rejects truncated files."""

import io
import re
import struct
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np

from recycle.config import MAX_PIXELS
from recycle.errors import FootageError
from recycle.video.conceal import UNREACHABLE
from recycle.video.container import check_size
from recycle.video.frame import Pixels
from recycle.video.image_facts import facts_of, profile_of, to_srgb

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
"""Signatures of TIFF files and their byte order in `struct` notation; '+' is BigTIFF."""
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Matches the end of the compressed data of a JPEG: any marker except a restart."""
_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}
"""JPEG markers without a length."""
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers of segments that contain the size of the picture."""
_END, _SCAN, _FIRST = 0xD9, 0xDA, 0xC0
"""JPEG markers: end of image, start of scan, and the lowest code of a segment with a length."""
_WITH_ALPHA = frozenset({".png", ".webp", ".tif", ".tiff", ".bmp"})


class DamagedImage(FootageError):
    """The image is damaged, truncated, or not an image; not raised for errors of the disk."""


def read_image(path: Path, *, depth: Literal[8, 16] = 8, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read an image as RGB (H, W, 3); grey is repeated, alpha is dropped, the camera's rotation (EXIF) is applied.

    `depth` 8 gives uint8 and 16 gives uint16 over the full range, whichever depth the file has. The colours of an ICC
    profile become sRGB, except those of a 16-bit file read with `depth` 16, whose samples are kept. Raises
    FootageError, in one line, if the disk fails, the image has more than `max_pixels`, or it is a TIFF of more than 16
    bits per sample or of L*a*b* colours. Raises its subclass DamagedImage if the file is missing, damaged, truncated
    or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        kind = FootageError if error.errno in UNREACHABLE else DamagedImage
        raise kind(f"cannot read {path}: {error.strerror}") from error
    size = _size(io.BytesIO(data))
    if size is None:
        raise DamagedImage(f"{path} is not a readable image (png, jpg, bmp, webp, tif)")
    check_size(path, *size, max_pixels)
    if not _is_whole(data):
        raise DamagedImage(f"{path} is cut off: the end of the image is missing")
    if data[:4] in _TIFF:
        _check_tiff(path, data)
    flags = cv2.IMREAD_COLOR | (cv2.IMREAD_ANYDEPTH if depth == 16 else 0)
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise DamagedImage(f"{path} is damaged: the image cannot be decoded")
    if data[:4] in _TIFF and image.dtype == np.uint8:
        image = _straight(data, image)
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # IMREAD_COLOR_RGB gives wrong pixels for a TIFF of 16 bits
    if image.dtype == np.uint8:
        image = to_srgb(image, profile_of(data))
        return image.astype(np.uint16) * 257 if depth == 16 else image
    return image.astype(np.uint16 if depth == 16 else np.uint8, copy=False)


def _check_tiff(path: Path, data: bytes) -> None:
    """Raise FootageError for what OpenCV cannot decode, or decodes to other colours."""
    facts = facts_of(data)
    if facts.bits > 16:
        raise FootageError(f"{path} has {facts.bits} bits per sample; convert it to 8 or 16, to levels from 0 to white")
    if facts.lab:
        raise FootageError(f"{path} has L*a*b* colours; convert it to RGB")


def _straight(data: bytes, image: Pixels) -> Pixels:
    """The BGR pixels of an 8-bit TIFF, with full colours also where it is transparent.

    libtiff multiplies colours by alpha. This is undone; a colour with alpha 0 is lost and stays black.
    """
    whole = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if whole is None or whole.ndim != 3 or whole.shape[2] != 4 or whole.dtype != np.uint8:
        return image
    alpha = np.maximum(whole[..., 3:], 1).astype(np.float32)
    return np.minimum(np.rint(whole[..., :3] * (255 / alpha)), 255).astype(np.uint8)


def _may_have_alpha(path: Path) -> bool:
    """Whether the header of an image allows for an alpha channel."""
    if path.suffix.lower() not in _WITH_ALPHA:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    if head.startswith(_PNG):  # colour types 0 (grey) and 2 (RGB) have no alpha unless there is a tRNS chunk
        return head[25:26] not in (b"\x00", b"\x02") or b"tRNS" in head
    return head[12:16] != b"VP8 "  # simple lossy WebP has no alpha


def read_alpha(path: Path, *, depth: Literal[8, 16]) -> Pixels | None:
    """Opacity (H, W) of an image; None if it has no alpha channel or cannot be read.

    `depth` 8 gives uint8 and 16 gives uint16 over the full range.
    """
    if not _may_have_alpha(path):
        return None
    try:
        data = path.read_bytes()
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error):
        return None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    if image.ndim == 2 and data.startswith(_PNG):
        return _keyed(data, image, depth)
    if image.ndim != 3 or image.shape[2] != 4:
        return None
    alpha: Pixels = np.ascontiguousarray(image[..., 3])
    if data[:4] not in _TIFF:  # OpenCV turns a TIFF, and leaves other formats as they are stored
        alpha = upright(alpha, facts_of(data).orientation)
    if depth == 16:
        return alpha.astype(np.uint16) * 257 if alpha.dtype == np.uint8 else alpha
    return alpha if alpha.dtype == np.uint8 else (alpha // 257).astype(np.uint8)


def _keyed(data: bytes, grey: Pixels, depth: Literal[8, 16]) -> Pixels | None:
    """Opacity (H, W) of a grey PNG with a transparent level, which OpenCV ignores; None if there is no such level.

    The chunk tRNS holds the level with the file's number of bits (PNG, third edition, 11.3.1.1). OpenCV stretches fewer
    than 8 bits to 8.
    """
    at = data.find(b"tRNS", 0, data.find(b"IDAT"))
    if at < 0:
        return None
    level, bits = int.from_bytes(data[at + 4 : at + 6], "big"), data[24]
    level = level * 255 // (2**bits - 1) if bits < 8 else level
    alpha: Pixels = np.where(grey == level, 0, 65535 if depth == 16 else 255).astype(
        np.uint16 if depth == 16 else np.uint8
    )
    return upright(alpha, facts_of(data).orientation)


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn and mirror a picture (H, W) or (H, W, C) that is stored with an EXIF `orientation`, 1 to 8."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    flip_x, flip_y = orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def image_size(path: Path) -> tuple[int, int] | None:
    """Stored width and height of an image, before rotation, from its header; None if the header cannot be read."""
    try:
        with path.open("rb") as file:
            return _size(file)
    except OSError:
        return None


def _size(file: BinaryIO) -> tuple[int, int] | None:
    head = file.read(32)
    try:
        if head.startswith(_PNG):
            return struct.unpack(">II", head[16:24])
        if head.startswith(b"GIF8"):
            return struct.unpack("<HH", head[6:10])
        if head.startswith(_JPEG):
            return _jpeg_size(file)
        if head[:2] == b"BM":
            width, height = struct.unpack("<HH" if head[14] == 12 else "<ii", head[18 : 22 if head[14] == 12 else 26])
            return abs(width), abs(height)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp_size(head)
        if head[:4] in _TIFF:
            return _tiff_size(file, head)
    except (struct.error, IndexError, OverflowError, OSError, ValueError):
        pass  # the header is truncated or points beyond the end of the file
    return None


def _jpeg_size(file: BinaryIO) -> tuple[int, int] | None:
    file.seek(2)
    while file.read(1) == b"\xff":
        while (code := file.read(1)[0]) == 0xFF:
            pass
        if code in _ALONE:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        if code in _FRAMES:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        file.seek(length - 2, io.SEEK_CUR)
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", head[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _tiff_size(file: BinaryIO, head: bytes) -> tuple[int, int] | None:
    order, big = _TIFF[head[:4]], b"+" in head[:4]
    file.seek(struct.unpack(f"{order}Q", head[8:16])[0] if big else struct.unpack(f"{order}I", head[4:8])[0])
    (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
    found: dict[int, int] = {}
    for _ in range(min(count, 4096)):
        entry = file.read(20 if big else 12)
        tag, kind = struct.unpack(f"{order}HH", entry[:4])
        if tag in (256, 257):
            at = 12 if big else 8
            (found[tag],) = struct.unpack(
                f"{order}{'H' if kind == 3 else 'I'}", entry[at : at + (2 if kind == 3 else 4)]
            )
    return (found[256], found[257]) if len(found) == 2 else None


def _is_whole(data: bytes) -> bool:
    """Whether an image is not truncated. OpenCV accepts some truncated images and fills the rest with grey."""
    if data.startswith(_JPEG):
        return _jpeg_ends(data)
    if data.startswith(_PNG):
        return data.rfind(b"IEND") >= 0  # usually found at once, at the end
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 <= len(data) + 1  # the padding byte at the end may be missing
    return True


def _jpeg_ends(data: bytes) -> bool:
    """Whether the markers of a JPEG lead to an end marker; data after it is ignored."""
    at = 2
    while 0 <= at < len(data) - 1:
        code = data[at + 1]
        if data[at] != 0xFF or code == 0xFF:
            at = data.find(b"\xff", at + 1)
        elif code == _END:
            return True
        elif code in _ALONE:
            at += 2
        elif code < _FIRST:
            return False
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if code == _SCAN:
                marker = _NEXT_MARKER.search(data, at)
                at = marker.start() if marker else -1
    return False
