"""States in a file that its picture was made by a model, which one, and by which version of recycle.

The statement is one sentence in a tag that every container and player knows; mp4 and mov files also get an XMP packet.
Both name the Digital Source Type of IPTC, by which other programs recognise such media: `trainedAlgorithmicMedia` if a
model made the whole picture, `compositeWithTrainedAlgorithmicMedia` if it made a part. Source: IPTC NewsCodes, "Digital
Source Type", and IPTC Photo Metadata Standard 2023.1.
"""

import struct
import zlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from recycle import __version__

_TAGS = ("comment", "description", "synopsis")
"""Tags for the sentence, in order of preference; those that the author of the source has used stay as they are."""
_BEGIN = "Made by a model"
"""The first words of the sentence, by which it is found again."""
_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""UUID of the box for XMP in an mp4 file (ISO 16684-3, "MPEG-4"; QuickTime readers accept it too)."""
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Provenance:
    """How a picture was made."""

    model: str
    """Name of the model."""
    digest: str
    """Digest of its weights, 64 hex digits."""
    to: str
    """Name of the domain to which it translated."""
    composite: bool = False
    """Whether a part of the picture is that of the source."""

    @property
    def source_type(self) -> str:
        """IPTC's Digital Source Type, a URI."""
        return _IPTC + ("compositeWithTrainedAlgorithmicMedia" if self.composite else "trainedAlgorithmicMedia")

    @property
    def sentence(self) -> str:
        """The statement for people."""
        return (
            f"{_BEGIN}: recycle {__version__} translated the picture to '{self.to}' with the model '{self.model}' "
            f"(digest {self.digest[:16]}). Digital source type: {self.source_type}"
        )

    def xmp(self) -> bytes:
        """The statement for programs: an XMP packet (ISO 16684-1) with properties of IPTC Photo Metadata 2023.1."""
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
            ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
            ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
            f"<xmp:CreatorTool>recycle {__version__}</xmp:CreatorTool>"
            f"<Iptc4xmpExt:DigitalSourceType>{self.source_type}</Iptc4xmpExt:DigitalSourceType>"
            f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{escape(self.sentence)}</rdf:li></rdf:Alt>'
            '</dc:description></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
        ).encode()

    def tag(self, tags: MutableMapping[str, str]) -> None:
        """Add the sentence to the tags of a file, without a change of other tags.

        An earlier sentence is replaced. If all tags for it are used, it follows the text of the first one.
        """
        held = {key.lower(): key for key in tags}
        free = [key for key in _TAGS if tags.get(held.get(key, key), _BEGIN).startswith(_BEGIN)]
        if free:
            tags[held.get(free[0], free[0])] = self.sentence
        else:
            first = held[_TAGS[0]]
            tags[first] = f"{tags[first].partition(_BEGIN)[0].rstrip()} {self.sentence}"

    def append_to(self, file: Path) -> None:
        """Append the XMP packet to a finished mp4 or mov file, as a box of its own. Raises OSError."""
        packet = self.xmp()
        with file.open("ab") as end:
            end.write(struct.pack(">I4s", 8 + len(_XMP_BOX) + len(packet), b"uuid") + _XMP_BOX + packet)

    def in_png(self, image: bytes) -> bytes:
        """A PNG file with the XMP packet and the sentence added in text chunks (PNG, third edition, 11.3.3).

        Raises ValueError if `image` is no PNG file.
        """
        if not image.startswith(_PNG):
            raise ValueError("expected a PNG file")
        after = len(_PNG) + 25  # the chunk IHDR
        comment = b"Comment\0" + self.sentence.encode("latin-1", "replace")
        xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + self.xmp()
        return image[:after] + _chunk(b"tEXt", comment) + _chunk(b"iTXt", xmp) + image[after:]


def provenance_in(tags: Mapping[str, str]) -> str | None:
    """The sentence of a Provenance in the tags of a file; None if there is none."""
    for key, value in tags.items():
        if key.lower() in _TAGS and _BEGIN in value:
            return value[value.index(_BEGIN) :]
    return None


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))
