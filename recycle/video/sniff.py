"""Recognises videos by their content, for files with unknown suffixes."""

from functools import lru_cache
from pathlib import Path

from recycle.errors import FootageError
from recycle.video.container import open_container, video_stream

NOT_VIDEO = "not a video"
IMAGE = "a single image"
SOUND = "sound without video"
WEBP = "an animated WebP"
EMPTY = "empty"

_HEAD = 4096
_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"pnot"}
_STILL_BRANDS = {b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1"}
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"GIF87a",
    b"GIF89a",
    b"DKIF",  # IVF
    b".RMF",
    b"YUV4MPEG2",
    b"nut/multimedia container",
    b"BBCD\x00",  # Dirac
    b"BIK",
    b"SMK2",
    b"SMK4",
    b"NSVf",
    b"NSVs",
    b"\x12\x00\x0a",  # AV1
    b"\x00\x00\x00\x00\x01\xbc",  # GXF
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",  # MXF
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
)
_START_CODES = frozenset(bytes([code]) for code in b"\xba\xb3\xb0\xb5\x0f\x67\x27\x47\x09\x06\x40\x46\x4e")
"""Possible first bytes after 00 00 01 in MPEG-PS, MPEG-1, -2 and -4, VC-1, H.264 and HEVC."""
_TS_PACKETS = (188, 192, 204)
_TS_SYNC = 0x47


def sniff(path: Path) -> str | None:
    """None for a video, even a damaged one; otherwise a short description of the file.

    Reads 4 KiB and opens the file if these look like a video. Raises OSError if the file cannot be read.
    """
    facts = path.stat()
    return _sniff(path, facts.st_size, facts.st_mtime)


@lru_cache(maxsize=100_000)
def _sniff(path: Path, size: int, changed: float) -> str | None:
    """Implements `sniff`; the cache, keyed by size and time, avoids repeated reads of the files in a watched folder."""
    if size == 0:
        return EMPTY
    with path.open("rb") as file:
        head = file.read(_HEAD)
    what = _of_head(head)
    if what is not None:
        return what
    try:
        with open_container(path) as container:
            if container.streams.audio and not container.streams.video:
                return SOUND
            video_stream(container, path)
    except FootageError:
        pass  # it begins like a video; the error is reported when it is read
    return None


def _of_head(head: bytes) -> str | None:
    """Description of a file that is not a video, by its first bytes; None if they are those of a video."""
    if head.startswith(b"\x89PNG"):
        return None if b"acTL" in head.partition(b"IDAT")[0] else IMAGE
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return WEBP if head[12:16] == b"VP8X" and head[20] & 2 else IMAGE
        return None if head[8:12] in (b"AVI ", b"AMV ", b"CDXA") else NOT_VIDEO
    if head[4:8] in _BOXES:
        return IMAGE if head[4:12] in {b"ftyp" + brand for brand in _STILL_BRANDS} else None
    if head.startswith((b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")):
        return IMAGE
    return None if _begins_as_video(head) else NOT_VIDEO


def _begins_as_video(head: bytes) -> bool:
    if head.startswith(_STARTS):
        return True
    if head.startswith(b"\x1f\x07\x00") and head[80:83] == b"\x3f\x07\x00":  # DV
        return True
    code = head[1:5] if head.startswith(b"\x00\x00\x00") else head[:4]
    if code.startswith(b"\x00\x00\x01") and code[3:] in _START_CODES:
        return True
    return b"\x00" in head and any(_is_transport_stream(head, length) for length in _TS_PACKETS)


def _is_transport_stream(head: bytes, length: int) -> bool:
    """Whether `head` is an MPEG transport stream: three or more packets of `length` bytes have their sync byte.

    A recording may begin within a packet.
    """
    if len(head) < 3 * length:
        return False
    return any(set(head[first::length]) == {_TS_SYNC} for first in range(length))
