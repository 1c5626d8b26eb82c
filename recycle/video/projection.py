"""Spherical mapping and stereo mode of a video, written as MP4 boxes because PyAV can read but not set them."""

import io
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import av
from av.sidedata.sidedata import Type

from recycle.video.sidedata import side_data

_SPHERE = struct.Struct("=4i4II")
"""AVSphericalMapping: projection; yaw, pitch, roll; left, top, right, bottom; padding."""
_STEREO = struct.Struct("=4i")
"""First fields of AVStereo3D: type, flags, view, primary eye."""
_EQUIRECTANGULAR, _CUBEMAP, _TILE = 0, 1, 2
_ST3D = {1: 2, 2: 1}
"""AVStereo3DType → mode of an st3d box, for side by side and top-bottom."""
_MONO = 0
_STEREO_MODES = {8: "unspecified", 3: "alternating frames", 4: "checkerboard", 5: "quincunx", 6: "rows", 7: "columns"}
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_STSD_HEAD = 8
"""Bytes before the sample entries of an stsd box."""


@dataclass(frozen=True)
class Projection:
    """Spherical mapping and stereo mode of a picture, as boxes of Google's Spherical Video V2 RFC."""

    boxes: bytes
    """The st3d and sv3d boxes that can be written; may be empty."""
    plain: bool
    """Whether the boxes describe at most a full equirectangular picture, with one view and no rotation."""
    lost: tuple[str, ...]
    """Descriptions of properties that cannot be written."""

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        """Read the projection from the side data of a decoded frame."""
        data = side_data(frame)
        boxes, plain, lost = b"", True, []
        stereo = data.get(Type.STEREO3D)
        if stereo is not None:
            kind, inverted, *_ = _STEREO.unpack_from(stereo)
            if kind in _ST3D and not inverted & 1:
                boxes, plain = _box(b"st3d", bytes(4) + bytes([_ST3D[kind]])), False
            elif kind != _MONO:
                mode = _STEREO_MODES.get(kind, "right view first" if kind in _ST3D else "another mode")
                lost.append(f"stereo mode ({mode})")
        sphere = data.get(Type.SPHERICAL)
        if sphere is not None and len(sphere) >= _SPHERE.size:
            facts = _SPHERE.unpack_from(sphere)
            box = _sv3d(*facts)
            boxes, plain = boxes + box, plain and not any(facts)
            lost += [] if box else ["spherical mapping"]
        return cls(boxes, plain, tuple(lost))

    def boxes_in(self, container: str, encoder: str, pixel_aspect: Fraction) -> bytes:
        """The boxes to write to a container with the stream of an encoder (FFmpeg's names of both); may be empty.

        They are left out for FFV1, which mp4 cannot hold; for mov unless they are plain, because FFmpeg writes nothing
        else there; and for non-square pixels, because PyAV cannot set the pixel aspect ratio of a copied stream.
        """
        keeps = encoder != "ffv1" and (container != "mov" or self.plain) and pixel_aspect == 1
        return self.boxes if keeps else b""


def _sv3d(
    kind: int, yaw: int, pitch: int, roll: int, left: int, top: int, right: int, bottom: int, padding: int
) -> bytes:
    if kind in (_EQUIRECTANGULAR, _TILE):
        shape = _box(b"equi", struct.pack(">5I", 0, top, bottom, left, right))
    elif kind == _CUBEMAP:
        shape = _box(b"cbmp", struct.pack(">3I", 0, 0, padding))
    else:
        return b""
    pose = _box(b"prhd", struct.pack(">I3i", 0, yaw, pitch, roll))
    return _box(b"sv3d", _box(b"svhd", bytes(4) + b"recycle\0") + _box(b"proj", pose + shape))


def with_boxes(mp4: bytes, boxes: bytes) -> io.BytesIO:
    """Add `boxes` to the sample entry of an mp4 or mov file that has one stream and its header after its data."""
    return io.BytesIO(_insert(mp4, _PATH, boxes))


def _insert(data: bytes, path: tuple[bytes, ...], boxes: bytes) -> bytes:
    """Return `data` with `boxes` appended to the sample entries in the box at `path`."""
    out, at = b"", 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        if path and name == path[0]:
            inner = path[1:]
            head = 0 if inner else _STSD_HEAD
            body = body[:head] + _insert(body[head:], inner, boxes)
        elif not path:  # a sample entry
            body += boxes
        out += _box(name, body)
        at += size
    return out


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body
