"""Languages, titles, roles and tags: how containers write them, and which of them they lose."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from av.stream import Disposition, Stream

from recycle.safe_text import brief

_OWN_CODES = {"swe": "sve", "hrv": "hr ", "srp": "sr ", "fao": "fo ", "pan": "pa "}
"""Language codes that FFmpeg reads from and writes to QuickTime files in a non-standard spelling."""
_OTHER_CODES = {"cze": "ces", "fre": "fra", "rum": "ron", "slo": "slk"}
"""Codes of ISO 639-2/B → codes of ISO 639-2/T of the same languages."""
_QUICKTIME = {
    **{"sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "nld": "dut", "kat": "geo", "deu": "ger"},
    **{"ell": "gre", "isl": "ice", "mkd": "mac", "msa": "may", "fas": "per", "bod": "tib", "cym": "wel"},
    **_OTHER_CODES,
    **_OWN_CODES,
}
"""ISO 639-2 codes that have another name in FFmpeg's table of QuickTime languages."""
_USUAL_HANDLERS = {"SoundHandler", "VideoHandler", "SubtitleHandler", "DataHandler"}
"""Names that FFmpeg gives to unnamed tracks."""
_ROLES = (
    Disposition.dub,
    Disposition.original,
    Disposition.comment,
    Disposition.lyrics,
    Disposition.karaoke,
    Disposition.forced,
    Disposition.hearing_impaired,
    Disposition.visual_impaired,
    Disposition.clean_effects,
    Disposition.captions,
    Disposition.descriptions,
)
_TECHNICAL = re.compile(
    r"(.*_)?(uid|umid|ul)|(company|product)_(name|version)|(.*_)?version_num|(application|toolkit)_(platform|version)|software"
    r"|modification_date|wmfsdk.*|wm/(tool|encoding).*|deviceconformancetemplate|isvbr|peakvalue|averagelevel"
    r"|mediafoundationversion|metadatacreator|(has|can).*|last(key)?.*timestamp|.*size|creation_?time|timecode"
    r"|major_brand|minor_version|compatible_brands|encoder"
)
"""Lower-case keys of tags in ASF, MXF, FLV and mp4 files that describe the file itself; no author wrote them."""


@dataclass(frozen=True)
class Labels:
    """Language, title and roles of one stream."""

    language: str | None
    title: str | None
    roles: Disposition

    @classmethod
    def of(cls, stream: Stream) -> "Labels":
        """The labels of a stream, of an output or of a file that was read."""
        return cls(stream.metadata.get("language"), _title(stream.metadata), stream.disposition)

    def missing(self, found: Stream) -> list[str]:
        """Descriptions of the labels that are missing from `found`, the same stream as read from the output."""
        lost = [role.name or "" for role in _ROLES if role & self.roles and not role & found.disposition]
        language = self.language or "und"
        if language != "und" and _code(language) != _code(found.metadata.get("language")):
            lost.append(f"language {language.strip()}")
        held = {found.metadata.get(key) for key in ("title", "name", "handler_name")}
        if self.title and self.title not in held:
            lost.append(f"title {brief(self.title)}")
        return lost


def written_as(metadata: Mapping[str, str], container: str) -> dict[str, str]:
    """The metadata of a stream as `container` (FFmpeg's name) expects them; mp4 and mov use special keys and codes."""
    written = {key: value for key, value in metadata.items() if key != "name"}
    title = _title(metadata)
    if title:
        written["title"] = title
    if title and container in ("mp4", "mov") and metadata.get("handler_name", "") in _USUAL_HANDLERS | {""}:
        written["handler_name"] = title  # players show it
    if "language" in written:
        standard = {own: code for code, own in _OWN_CODES.items()}
        codes = _QUICKTIME if container == "mov" else standard
        written["language"] = codes.get(written["language"], written["language"])
    return written


def missing_tags(wanted: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Keys of the tags in `wanted` that are missing from `found`, except technical ones."""
    held = {_plain(key) for key in found}
    for key, value in wanted.items():
        if value and _plain(key) not in held and not _TECHNICAL.fullmatch(_plain(key)):
            held.add(_plain(key))
            yield key


def _title(metadata: Mapping[str, str]) -> str | None:
    return metadata.get("title") or metadata.get("name")


def _plain(key: str) -> str:
    """The key in lower case without its language suffix, as in title-eng; FFmpeg gives both forms."""
    return re.sub(r"-[a-z]{3}$", "", key.lower())


def _code(language: str | None) -> str:
    """One code for each language that has two codes in ISO 639-2."""
    language = (language or "").split("\0")[0]
    same = {**{other: code for code, other in _QUICKTIME.items()}, **_OTHER_CODES}
    return same.get(language, language)
