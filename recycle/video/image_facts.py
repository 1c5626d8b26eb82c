"""Reads what an image file states beside its pixels: depth, channels, colour profile, orientation and metadata."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import (
    BmpImagePlugin,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import Exif, Image, fromarray

from recycle.plural import counted
from recycle.video.frame import Pixels

ORIENTATION = 0x0112
"""EXIF tag of the rotation and mirroring that make a picture upright."""
_JPEG = b"\xff\xd8"
_LONGEST_FTYP = 256
"""Maximum size in bytes of the first box of a video behind a picture."""
_OPENERS: tuple[tuple[bytes, Callable[[io.BytesIO], ImageFile.ImageFile]], ...] = (
    (b"\x89PNG", PngImagePlugin.PngImageFile),
    (_JPEG, JpegImagePlugin.jpeg_factory),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"II", TiffImagePlugin.TiffImageFile),
    (b"MM", TiffImagePlugin.TiffImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
"""Pillow's readers by the first bytes of a file. They are called directly: `PIL.Image.open` has a limit of its own on
the number of pixels; recycle checks its own limit before it decodes."""
_GREY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")
"""Pillow's modes of one channel, with or without alpha."""
_KEPT_TAGS = frozenset({270, 271, 272, 305, 306, 315, 33432, 282, 283, 296})
"""TIFF tags that a copy keeps: description, camera, date, artist, copyright and resolution."""


@dataclass(frozen=True)
class ImageFacts:
    """What the header of an image file states. The defaults are those of a file that says nothing."""

    bits: int = 8
    """Bits per sample."""
    grey: bool = False
    """Whether it has one channel, apart from alpha."""
    lab: bool = False
    """Whether its colours are those of CIE L*a*b*."""
    more: tuple[str, ...] = ()
    """Names of what the file holds beside the picture, such as further pages or the video of a motion photo."""
    orientation: int = 1
    """EXIF orientation, 1 to 8; 1 is upright."""
    profile: bytes = b""
    """ICC profile; empty if there is none."""
    exif: bytes = b""
    """EXIF tags, as in a file; of a TIFF, only those that do not describe how its pixels are stored."""
    text: tuple[tuple[str, str], ...] = ()
    """Text chunks of a PNG."""
    xmp: bytes = b""
    """XMP packet."""
    dpi: tuple[float, float] | None = None
    """Pixels per inch; None if not stated."""


def facts_of(data: bytes) -> ImageFacts:
    """The facts of an image file with the content `data`; those of a file that says nothing if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about damaged metadata
            opener = next(opener for head, opener in _OPENERS if data.startswith(head))
            with opener(io.BytesIO(data)) as image:
                return _facts(image, data)
    except Exception:  # damaged metadata raises exceptions of many types, and is not needed for the picture
        return ImageFacts()


def facts_at(path: Path) -> ImageFacts:
    """The facts of the image file at `path`; see `facts_of`."""
    try:
        return facts_of(path.read_bytes())
    except OSError:
        return ImageFacts()


def _facts(image: ImageFile.ImageFile, data: bytes) -> ImageFacts:
    exif = image.getexif()
    orientation = exif.get(ORIENTATION, 1)
    text: tuple[tuple[str, str], ...] = ()
    bits, more = 1, list[str]()
    if isinstance(image, PngImagePlugin.PngImageFile):
        bits = data[24]
        text = tuple((key, str(value)) for key, value in image.text.items() if not key.startswith("XML:"))
    elif isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(258, (8,)))
        exif = _kept(exif)
        if image.n_frames > 1:
            more.append(f"pages 2 to {image.n_frames} of the TIFF")
    elif isinstance(image, MpoImagePlugin.MpoImageFile) and image.n_frames > 1:
        more.append(f"{counted(image.n_frames - 1, 'further picture')} (MPO)")
    if data.startswith(_JPEG) and _has_video(data):
        more.append("the video of a motion photo")
    xmp = image.info.get("xmp", b"")
    return ImageFacts(
        bits=max(8, bits),
        grey=image.mode in _GREY,
        lab=image.mode == "LAB",
        more=tuple(more),
        orientation=orientation if orientation in range(1, 9) else 1,
        profile=image.info.get("icc_profile") or b"",
        exif=exif.tobytes() if len(exif) else b"",
        text=text,
        xmp=xmp.encode() if isinstance(xmp, str) else bytes(xmp),
        dpi=image.info.get("dpi"),
    )


def _has_video(jpeg: bytes) -> bool:
    """Whether an MP4 file follows the picture, as phones write it: it begins with a short box 'ftyp'."""
    at = jpeg.find(b"ftyp")
    return at > 4 and int.from_bytes(jpeg[at - 4 : at], "big") <= _LONGEST_FTYP and b"\xff\xd9" in jpeg[:at]


def _kept(exif: Exif) -> Exif:
    """The tags of a TIFF that do not describe how its pixels are stored."""
    kept = Exif()
    for tag, value in exif.items():
        if tag in _KEPT_TAGS:
            kept[tag] = value
    return kept


def profile_of(data: bytes) -> bytes:
    """The ICC profile in an image file with the content `data`; empty if there is none."""
    marked = any(mark in data for mark in (b"ICC_PROFILE", b"iCCP", b"ICCP"))  # a fast search, before Pillow opens it
    return facts_of(data).profile if marked or data.startswith((b"II", b"MM")) else b""


def is_rgb(profile: bytes) -> bool:
    """Whether an ICC profile is one of RGB (bytes 16 to 19 of its header: ICC.1:2022, 7.2.6)."""
    return profile[16:20] == b"RGB "


def to_srgb(pixels: Pixels, profile: bytes) -> Pixels:
    """Convert uint8 RGB (H, W, 3) from the colours of an ICC profile to sRGB.

    A profile that is sRGB itself, of another kind than RGB, or damaged, changes nothing.
    """
    transform = _transform(profile) if is_rgb(profile) else None
    if transform is None:
        return pixels
    image = fromarray(pixels)
    converted: Image | None = transform.apply(image)
    return pixels if converted is None else np.array(converted)


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return None
        target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.buildTransform(own, target, "RGB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except (ImageCms.PyCMSError, OSError):
        return None
