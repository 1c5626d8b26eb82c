"""Opens media files without letting FFmpeg access any other file or the network."""

import re
from pathlib import Path
from typing import Any

import av
import cv2
from av.codec.hwaccel import HWAccel
from av.container import Container, InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.stream import VideoStream

from recycle.config import MAX_PIXELS
from recycle.errors import FootageError
from recycle.system.entries import refuse_special
from recycle.system.places import is_here

av.logging.set_level(None)

_VIDEO = (
    "3g2 3gp 4xm anm apng apv argo_asf argo_brp argo_cvg asf asf_o av1 avi avs avs2 avs3 bethsoftvid bfi bink bmv c93 "
    "cavsvideo cdg cdxl cine dfa dhav dirac dnxhd dsicin dv dxa ea ea_cdata evc film_cpk filmstrip flic flv gdv gif "
    "gxf h261 h263 h264 hevc hnm hxvs idcin iff ifv ingenient ipmovie ipu iss iv8 ivf ivr jpegxl_anim jv kux live_flv "
    "lmlm4 luodat lvf lxf m4v matroska mgsts mj2 mjpeg mjpeg_2000 mm mods moflex mov mp4 mpeg mpegts mpegtsraw "
    "mpegvideo mtv mv mvi mxf mxg nc nsv nut nuv obu ogg pdv pmp psxstr pva r3d rl2 rm roq rpl sdr2 ser sga "
    "simbiosis_imx siff smjpeg smk smush swf thp tiertexseq tmv ty usm vc1 vc1test vividas vivo vmd vvc wc3movie webm "
    "wsvqa wtv xmv yop yuv4mpegpipe"
)
_SOUND = "aac ac3 aiff amr ape au caf dts eac3 flac m4a mp3 oma tta w64 wav wv"
"""Audio formats; they are opened so that the error can say what the file holds."""
_PICTURES = "bmp dds dpx exr gif j2k jpeg jpegls jpegxl png psd qoi sgi tiff webp"
DEMUXERS = frozenset([*_VIDEO.split(), *_SOUND.split(), *(f"{name}_pipe" for name in _PICTURES.split())])
"""FFmpeg's names of the allowed demuxers: each reads only the file that it is given.

Playlists (hls, concat, dash, sdp …), devices, and formats that read further files are excluded.
"""

_NO_PROTOCOL = "none"
_ALIGNMENT = 64 * 16384
"""Maximum number of pixels that decoders add to a picture in memory as padding."""
_RAW_MJPEG = (".mjpeg", ".mjpg")
_HEAD = 4096
_LISTS = {
    "hls": rb"#EXTM3U",
    "concat": rb"ffconcat\s",
    "dash": rb"(?:<\?xml.*?)?(?:<!--.*?-->\s*)*<MPD\b",
    "smil": rb"(?:<\?xml.*?)?<smil\b",
    "asx": rb"<asx\b",
    "sdp": rb"v=0\s+(?:o=|s=|m=)",
    "imf": rb"(?:<\?xml.*?)?<(?:\w+:)?(?:CompositionPlaylist|AssetMap|PackingList)\b",
    "xspf": rb"(?:<\?xml.*?)?<playlist\b",
    "pls": rb"\[playlist\]",
    "cue": rb"(?:REM .*\s+)*(?:TITLE|PERFORMER|FILE) +\"",
    "metalink": rb"\[(?:Reference|ffmpeg)\]|(?:RTSPtext|SMILtext)",
}
"""Playlist formats and the regular expressions of their beginnings, after a byte order mark and white space."""


def open_container(path: Path, *, hardware: HWAccel | None = None, max_pixels: int = MAX_PIXELS) -> InputContainer:
    """Open a media file for reading, with a demuxer of DEMUXERS and without access to other files or hosts.

    `hardware` decodes its video on a GPU (see `recycle.video.nvdec.decoding`). Pictures of more than `max_pixels` are
    not decoded. Raises FootageError, in one line, if the file cannot be read, is empty, or is not a video or audio
    file.
    """
    refuse_special(path)
    here = is_here(path)
    try:
        if path.stat().st_size == 0:
            raise FootageError(f"{path} is empty (0 bytes)")
        # without "file:", FFmpeg would take a name with a colon for a protocol
        file: Any = f"file:{path}" if here else path.open("rb")
        container: InputContainer = av.open(
            file,
            "r",
            format="mjpeg" if path.suffix.lower() in _RAW_MJPEG and _is_jpeg(path) else None,
            options={"max_pixels": str(max_pixels + _ALIGNMENT)},
            container_options={
                "format_whitelist": ",".join(sorted(DEMUXERS)),
                "protocol_whitelist": "file" if here else _NO_PROTOCOL,
                "enable_drefs": "0",
            },
            metadata_errors="replace",
            hwaccel=hardware,
        )
    except av.error.InvalidDataError as error:
        reason = _playlist(path) or f"{path} is not a readable video file, or its header is incomplete"
        raise FootageError(reason) from error
    except av.error.ArgumentError as error:  # FFmpeg raises it for a demuxer that is not allowed
        raise FootageError(_playlist(path) or _other_kind(path)) from error
    except (av.FFmpegError, OSError) as error:
        raise FootageError(f"cannot read {path}: {error.strerror or error}") from error
    if container.format.name.endswith("_pipe"):
        container.close()
        raise FootageError(_IMAGE.format(path))
    for stream in container.streams.video:
        if stream.codec_context is not None:
            stream.codec_context.options = {"max_pixels": str(max_pixels + _ALIGNMENT)}
    return container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that VideoReader reads: the first that is not a cover picture.

    In an AVIF, it is the stream with the most frames. Raises FootageError if there is no video stream.
    """
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & covers and s.codec_context is not None]
    if streams and is_avif(container):  # an animation also has a stream with a still picture
        return max(streams, key=lambda stream: stream.frames)
    if streams:
        return streams[0]
    found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise FootageError(f"{path} has no video stream that can be decoded (it holds: {found})")


def is_avif(container: Container) -> bool:
    """Whether the file is an AVIF: a still picture, an animation, or both."""
    brands = container.metadata.get("major_brand", "") + container.metadata.get("compatible_brands", "")
    return any(brand in ("avif", "avis") for brand in re.findall("....", brands))


def is_raw(container: Container) -> bool:
    """Whether the file is a bare stream (such as .h264), which has no container and thus no timestamps."""
    return bool(Flags(container.format.flags) & Flags.no_timestamps)


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Raise FootageError, in one line, if `width` × `height` is more than `max_pixels`."""
    if width * height > max_pixels:
        raise FootageError(
            f"{path} has frames of {width}×{height}, more than {max_pixels:,} pixels; raise --max-pixels to allow them"
        )


_IMAGE = "{} is a single image, not a video; give a video or a folder of numbered images"


def _playlist(path: Path) -> str | None:
    """The error message for a playlist; None for any other file."""
    text = _head(path).removeprefix(b"\xef\xbb\xbf").lstrip()
    for name, beginning in _LISTS.items():
        if re.match(beginning, text, re.IGNORECASE | re.DOTALL):
            return f"{path} is a playlist ({name}), not a video; give the video files that it lists"
    return None


def _other_kind(path: Path) -> str:
    """The error message for a file that FFmpeg supports but recycle does not."""
    if is_here(path) and cv2.haveImageReader(str(path)):
        return _IMAGE.format(path)
    if _is_text(_head(path)):
        return f"{path} is text, not a video; give a video or a folder of numbered images"
    return f"{path} has a format that recycle does not read; give a video or a folder of numbered images"


def _is_text(head: bytes) -> bool:
    try:
        return "\0" not in head[: -4 if len(head) == _HEAD else None].decode()
    except UnicodeDecodeError:
        return False


def _is_jpeg(path: Path) -> bool:
    return _head(path).startswith(b"\xff\xd8")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return b""
