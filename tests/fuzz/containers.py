"""One tiny film in every container that FFmpeg's wheels can write and read again."""

from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from recycle.system.priority import usual_priority
from tests.video.conftest import moving

FRAMES = 8
_QUIET_X265 = {"x265-params": "log-level=none"}
_DNXHR = {"profile": "dnxhr_hq"}


@dataclass(frozen=True)
class Film:
    """How a container is written; without a codec: the container's own."""

    codec: str | None = None
    size: tuple[int, int] = (96, 64)
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)


_CIF, _PAL, _HD = (352, 288), (720, 576), (1280, 720)

FILMS = {
    **dict.fromkeys(["asf", "avi", "avm2", "dvd", "f4v", "flv", "h264", "ipod", "ismv", "ivf"], Film()),
    **dict.fromkeys(["m4v", "matroska", "mov", "mp4", "mpeg", "mpeg1video", "mpeg2video", "mpegts"], Film()),
    **dict.fromkeys(["mxf", "nut", "ogv", "rm", "svcd", "swf", "vcd", "vob", "webm", "wtv"], Film()),
    **dict.fromkeys(["3g2", "3gp", "h263", "h261"], Film(size=_CIF)),
    **dict.fromkeys(["dv", "gxf"], Film(size=_PAL)),
    **dict.fromkeys(["apng", "film_cpk"], Film(pixel_format="rgb24")),
    **dict.fromkeys(["avif", "obu"], Film("libsvtav1", options={"preset": "13"})),
    **dict.fromkeys(["dnxhd", "mxf_opatom"], Film(size=_HD, pixel_format="yuv422p", options=_DNXHR)),
    **dict.fromkeys(["oga", "ogg", "opus", "spx"], Film("libvpx")),
    "asf_stream": Film("mpeg4"),
    "fits": Film(pixel_format="gray"),
    "gif": Film(pixel_format="rgb8"),
    "hevc": Film(options=_QUIET_X265),
    "mjpeg": Film(pixel_format="yuvj420p"),
    "roq": Film(pixel_format="yuvj444p", size=(96, 64)),
    "yuv4mpegpipe": Film("rawvideo"),
}
"""By muxer."""

UNWRITTEN = {
    # a folder, a network or a device
    *("dash", "fifo", "hds", "hls", "image2", "image2pipe", "segment", "smoothstreaming", "stream_segment,ssegment"),
    *("tee", "webm_chunk", "webm_dash_manifest", "rtp", "rtp_mpegts", "rtsp", "sap", "whip"),
    *("alsa", "fbdev", "oss", "video4linux2,v4l2"),
    # no pictures
    *("crc", "data", "ffmetadata", "framecrc", "framehash", "framemd5", "hash", "md5", "mkvtimestamp_v2", "null"),
    *("streamhash", "uncodedframecrc", "aiff", "flac", "mp3"),
    # pictures of a codec that the wheels do not encode
    *("amv", "apv", "avs2", "avs3", "cavsvideo", "dirac", "evc", "mxf_d10", "vc1", "vc1test", "vvc"),
    # nothing that FFmpeg itself reads again
    *("a64", "filmstrip", "ico", "mpjpeg", "psp", "rawvideo", "smjpeg", "webp"),
}


def muxers_of_pictures() -> set[str]:
    """All muxers of the wheels that have a codec for pictures, but those that are known not to serve."""
    found = set()
    for name in set(av.formats_available) - UNWRITTEN:
        with suppress(ValueError):
            av.ContainerFormat(name, "w")
            if _own_codec(name) != "none":
                found.add(name)
    return found


def _own_codec(name: str) -> str:
    with av.open("/dev/null", "w", format=name) as container:
        return container.default_video_codec


def write_film(folder: Path, name: str) -> Path:
    """A film of FRAMES frames in the container of that muxer."""
    film = FILMS[name]
    path = folder / f"film.{min(av.ContainerFormat(name, 'w').extensions, default=name)}"
    with av.open(str(path), "w", format=name) as container:
        codec = film.codec or container.default_video_codec
        stream: Any = container.add_stream(codec, rate=Fraction(25), options=film.options)
        stream.width, stream.height = film.size
        stream.pix_fmt = film.pixel_format
        with usual_priority():  # for SVT-AV1
            for pixels in moving(FRAMES, *film.size):
                picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(picture.reformat(format=film.pixel_format)))
        container.mux(stream.encode(None))
    return path
