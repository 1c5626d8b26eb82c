"""Formats the facts of `recycle probe` as text."""

from recycle.safe_text import printable
from recycle.video.probe import StreamFacts, VideoInfo


def describe(info: VideoInfo) -> str:
    """Format the facts about a source as a few aligned lines, without a final line break."""
    duration = "unknown" if info.duration_seconds is None else f"{info.duration_seconds:.2f} s"
    rate = "unknown" if info.rate is None else f"{info.rate:.3f}".rstrip("0").rstrip(".") + " frames/s"
    rate += {None: "", "stated": " (stated by the stream)", "assumed": " (assumed)"}[info.rate_is]
    colour = info.colour
    assumed = [
        name for name, is_assumed in (("matrix", colour.matrix_assumed), ("range", colour.range_assumed)) if is_assumed
    ]
    rows = [
        (
            "container",
            f"{info.container}, {_size(info.size)}, {duration}, starts at {info.start_seconds:.3f} s",
        ),
        (
            "picture",
            f"{info.width}x{info.height}, pixel aspect ratio {info.sample_aspect_ratio}, rotation {info.rotation}",
        ),
        ("rate", rate + (", variable" if info.variable_rate else "") + (", interlaced" if info.interlaced else "")),
        ("pixels", f"{info.pixel_format}, {info.bit_depth} bit"),
        (
            "colour",
            f"{colour.matrix}, {colour.range} range" + (f" ({' and '.join(assumed)} assumed)" if assumed else ""),
        ),
        *(("stream", _stream(stream)) for stream in info.streams),
    ]
    if info.cuts is not None:
        times = ", ".join(f"{cut:.2f}" for cut in info.cuts) or "none"
        rows += [("frames", str(info.frames)), ("cuts", f"{times} (s)" if info.cuts else times)]
    rows += [("made by", info.made_by)] if info.made_by else []
    rows += [("note", notice) for notice in info.notices]
    return "\n".join([printable(info.path), *(f"  {name:<10}{printable(text)}" for name, text in rows)])


def _size(size: int) -> str:
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"


def _stream(stream: StreamFacts) -> str:
    words = [f"{stream.index}: {stream.type}", stream.codec or "unknown codec"]
    language = None if stream.language == "und" else stream.language  # "und": undetermined
    words += [word for word in (language, stream.title, *stream.disposition) if word]
    return ", ".join(words)
