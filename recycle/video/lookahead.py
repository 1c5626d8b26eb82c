"""Limits the lookahead and the threads of encoders for pictures beyond 4K, which bounds their memory."""

from recycle.system.cores import cores
from recycle.video.codecs import Choice

LOOKAHEAD_BYTES = 1 << 30
"""Maximum number of bytes of the frames in the lookahead. Up to 4K, it does not restrict the presets."""
THREAD_BYTES = 2 << 30
"""Maximum number of bytes of the frames that an encoder's threads process at once."""
_BYTES_PER_PIXEL = 3
"""Bytes per pixel of a frame in the lookahead with its analysis. A frame that is being encoded takes about twice as
much."""
_WANTED = {
    "libx264": (0, 0, 10, 20, 30, 40, 50, 60, 60, 60),
    "libx265": (5, 10, 15, 15, 15, 20, 25, 40, 40, 60),
}
"""Lookahead of the presets in frames, from 'ultrafast' to 'placebo'."""
_VP9_WANTED = 25
"""Default lookahead of libvpx-vp9 in frames."""
_X265_LEAST = 9
"""Minimum lookahead of x265 with B-frames; it must exceed the number of consecutive B-frames."""
_FEW = 8
"""Below this lookahead (beyond 8K), B-frames are disabled and references are limited to one."""


def bounded_options(choice: Choice, pixels: int) -> dict[str, str]:
    """The encoder options of `choice`, with a shorter lookahead and fewer threads for frames of very many `pixels`.

    Options that the user has set take precedence.
    """
    options = dict(choice.options)
    frames = max(1, LOOKAHEAD_BYTES // (_BYTES_PER_PIXEL * pixels))
    threads = max(1, THREAD_BYTES // (2 * _BYTES_PER_PIXEL * pixels))
    name, parameters = choice.encoder.name, ""
    if name in _WANTED and options.get("tune") != "zerolatency":
        usual = _WANTED[name][choice.encoder.presets.index(options["preset"])]
        wanted = int(options.get("rc-lookahead", usual))
        least = _X265_LEAST if name == "libx265" and frames >= _FEW else 0
        if (ahead := max(frames, least)) < wanted:
            parameters += f"rc-lookahead={ahead}:"
        if frames < _FEW:
            parameters += "bframes=0:ref=1:" + ("sync-lookahead=0:" if name == "libx264" else "frame-threads=1:")
    if parameters:
        key = name.removeprefix("lib") + "-params"  # a list in which the last value of an option wins
        options[key] = parameters + options[key]
    if name == "libvpx-vp9" and frames < _VP9_WANTED:
        options.setdefault("lag-in-frames", str(frames))
    if threads < cores():
        options.setdefault("threads", str(threads))
    return options
