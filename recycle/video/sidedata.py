"""Reads the side data of decoded frames."""

import sys
from collections.abc import Iterator, Mapping
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

TIMECODES = "timecodes of frames"
_TIME = 0x1FFFFFF & ~(1 << 24) & ~(1 << 12)
"""Bits of hours, minutes, seconds and pictures in a GOP timecode (ISO/IEC 13818-2, 6.3.8)."""
_NAMES = {
    Type.DOVI_METADATA: "Dolby Vision",
    Type.DOVI_RPU_BUFFER: "Dolby Vision",
    Type.DYNAMIC_HDR_PLUS: "HDR10+",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid",
    Type.ICC_PROFILE: "the ICC colour profile",
    Type.S12M_TIMECODE: TIMECODES,
    Type.GOP_TIMECODE: TIMECODES,
    Type.FILM_GRAIN_PARAMS: "film grain",
    Type.AFD: "the active format description",
    Type.REGIONS_OF_INTEREST: "regions of interest",
    Type.DETECTION_BBOXES: "detected objects",
}
"""Kinds of side data that re-encoding loses, with names for messages."""
_LIGHT = {
    Type.MASTERING_DISPLAY_METADATA: "light levels of the mastering display",
    Type.CONTENT_LIGHT_LEVEL: "light levels of the content",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the viewing environment",
}
"""Kinds of side data that tone mapping invalidates; not listed separately if the loss of HDR is reported."""


def side_data(frame: av.VideoFrame) -> Mapping[Type, bytes]:
    """All side data of a frame; empty if one of its kinds is unknown to PyAV, which then returns none at all."""
    try:
        return {data.type: bytes(data) for data in cast("Iterator[SideData]", iter(frame.side_data))}
    except ValueError:
        return {}


def lost_kinds(frame: av.VideoFrame, *, hdr: bool) -> tuple[str, ...]:
    """Names of a frame's side data that are lost when its pixels are re-encoded, in alphabetical order.

    `hdr`: whether the frame is tone-mapped, which is reported elsewhere together with its light levels.
    """
    data = side_data(frame)
    names = _NAMES if hdr else _NAMES | _LIGHT
    time = int.from_bytes(data.get(Type.GOP_TIMECODE, b""), sys.byteorder) & _TIME
    empty = set() if time else {Type.GOP_TIMECODE}  # many encoders write a meaningless timecode of 0
    return tuple(sorted({names[kind] for kind in data if kind in names and kind not in empty}))
