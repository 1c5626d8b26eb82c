"""Writes image files of 8 or 16 bits, with one channel or three, transparency and the metadata of their source."""

import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ImageCms
from PIL.Image import Exif, fromarray
from PIL.PngImagePlugin import PngInfo

from recycle.video.frame import Pixels
from recycle.video.image_facts import ORIENTATION, ImageFacts, is_rgb
from recycle.video.provenance import Provenance

_PILLOW: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".webp": ("WEBP", {"quality": 95, "method": 4, "exact": True}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".bmp": ("BMP", {}),
}
"""Pillow's name of each format, and how it is written."""
_DESCRIPTION = 0x010E
"""EXIF tag of the description of a picture."""
_DEEP = (".png", ".tif", ".tiff")
"""Formats that hold 16 bits."""
_MADE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
_SRGB = _MADE[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + _MADE[36:]  # otherwise it holds the present time
_SAYS_NOTHING = ImageFacts()


def encode_image(
    suffix: str,
    pixels: Pixels,
    *,
    alpha: Pixels | None = None,
    grey: bool = False,
    facts: ImageFacts = _SAYS_NOTHING,
    made: Provenance | None = None,
) -> bytes:
    """The file of an image: RGB (H, W, 3) of uint8 or uint16, and its opacity (H, W) of the same dtype, if any.

    `suffix` is one of `recycle.video.picture_formats.STILLS`, in lower case; uint16 needs .png or .tif. `grey` writes
    one channel, the mean of the three. EXIF tags, text, resolution and XMP of `facts` are kept, except in a TIFF of 16
    bits. The orientation is not: the pixels are upright. A colour profile is kept if the pixels are still in its
    colours (16 bits, or one channel); a picture that was converted gets the profile of sRGB. `made` is stated in a PNG
    by its chunks, and otherwise by XMP, if the source has none, and in EXIF. BMP and a TIFF of 16 bits hold neither.
    """
    data = _encoded(suffix, pixels, alpha, grey, facts if made is None or suffix == ".png" else _stating(facts, made))
    return made.in_png(data) if made is not None and suffix == ".png" else data


def _stating(facts: ImageFacts, made: Provenance) -> ImageFacts:
    """The facts with a statement of how the picture was made, beside the description of the source."""
    exif = _exif(facts)
    described = str(exif.get(_DESCRIPTION, ""))
    exif[_DESCRIPTION] = f"{described} {made.sentence}".strip() if made.sentence not in described else described
    return replace(facts, exif=exif.tobytes(), xmp=facts.xmp or made.xmp())


def _encoded(suffix: str, pixels: Pixels, alpha: Pixels | None, grey: bool, facts: ImageFacts) -> bytes:
    samples = _mean(pixels) if grey else pixels
    if alpha is not None:
        samples = np.dstack((samples, alpha))
    profile = facts.profile
    if is_rgb(profile):
        profile = profile if samples.dtype == np.uint16 and facts.bits > 8 else _SRGB
        profile = b"" if grey else profile
    elif not grey:
        profile = b""
    if samples.dtype == np.uint16:
        return _encode_deep(suffix, samples, facts, profile)
    name, options = _PILLOW[suffix]
    kept: dict[str, Any] = {"icc_profile": profile or None}
    if name == "PNG":
        kept["pnginfo"] = _text(facts)
    if name == "TIFF":
        kept["tiffinfo"] = _exif(facts)
    elif name != "BMP":
        kept["exif"] = _exif(facts).tobytes()
    if facts.xmp and name in ("JPEG", "WEBP"):
        kept["xmp"] = facts.xmp
    if facts.dpi and name != "WEBP":
        kept["dpi"] = facts.dpi
    file = BytesIO()
    fromarray(np.ascontiguousarray(samples)).save(file, name, **options, **kept)
    return file.getvalue()


def write_image(path: Path, pixels: Pixels, **how: Any) -> None:
    """Write an image file; arguments as `encode_image`. Raises OSError."""
    path.write_bytes(encode_image(path.suffix.lower(), pixels, **how))


def _mean(pixels: Pixels) -> Pixels:
    return np.rint(pixels.mean(axis=-1)).astype(pixels.dtype)


def _exif(facts: ImageFacts) -> Exif:
    """The tags of the source without those that are wrong now."""
    kept = Exif()
    kept.load(facts.exif)
    kept.pop(ORIENTATION, None)
    return kept


def _text(facts: ImageFacts) -> PngInfo:
    info = PngInfo()
    for key, value in facts.text:
        info.add_itxt(key, value)
    return info


def _encode_deep(suffix: str, samples: Pixels, facts: ImageFacts, profile: bytes) -> bytes:
    """An image of 16 bits, which Pillow cannot write in colour."""
    assert suffix in _DEEP, "other formats have 8 bits"
    if samples.ndim == 3 and samples.shape[2] == 2:  # OpenCV writes no grey with alpha
        samples = np.ascontiguousarray(samples[..., [0, 0, 0, 1]])
    if samples.ndim == 3:
        samples = cv2.cvtColor(samples, cv2.COLOR_RGB2BGR if samples.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    done, data = cv2.imencode(suffix, samples)
    assert done, "it takes each of these shapes"
    return data.tobytes() if suffix != ".png" else _with_chunks(data.tobytes(), facts, profile)


def _with_chunks(png: bytes, facts: ImageFacts, profile: bytes) -> bytes:
    """A PNG with metadata, which belong before its pixels (PNG, third edition, 5.6)."""
    chunks = []
    if profile:
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if facts.dpi:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(per_inch / 0.0254) for per_inch in facts.dpi), 1)))
    if len(exif := _exif(facts)):
        chunks.append((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    chunks += [(b"iTXt", f"{key}\0\0\0\0\0{value}".encode()) for key, value in facts.text]
    head = 8 + 25  # signature and IHDR
    return png[:head] + b"".join(_chunk(name, body) for name, body in chunks) + png[head:]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
