"""How far an encoder may look ahead: fewer frames of a picture beyond 4K, so that memory does not grow with it."""

from recycle.system.cores import cores
from recycle.video.codecs import Choice

LOOKAHEAD_BYTES = 1 << 30
"""Bytes of the frames among which an encoder chooses types and qualities: up to 4K, as many as its preset wants."""
THREAD_BYTES = 2 << 30
"""Bytes of the frames on which its threads work."""
_BYTES_PER_PIXEL = 3
"""Of a waiting frame with what is known of it. One that is being encoded takes about twice as much."""
_WANTED = {
    "libx264": (0, 0, 10, 20, 30, 40, 50, 60, 60, 60),
    "libx265": (5, 10, 15, 15, 15, 20, 25, 40, 40, 60),
}
"""Frames that the presets look ahead, from 'ultrafast' to 'placebo'."""
_VP9_WANTED = 25
_X265_LEAST = 9
"""x265 looks at least as far ahead as it may use B-frames in a row."""
_FEW = 8
"""Below this many frames ahead, beyond 8K, there are no B-frames and one reference either."""


def bounded_options(choice: Choice, pixels: int) -> dict[str, str]:
    """The options of an encoder, with fewer frames in memory at a time if they have very many `pixels`.

    What a user has set stays.
    """
    options = dict(choice.options)
    frames = max(1, LOOKAHEAD_BYTES // (_BYTES_PER_PIXEL * pixels))
    threads = max(1, THREAD_BYTES // (2 * _BYTES_PER_PIXEL * pixels))
    name, parameters = choice.encoder.name, ""
    if name in _WANTED and options.get("tune") != "zerolatency":
        wanted = _WANTED[name][choice.encoder.presets.index(options["preset"])]
        least = _X265_LEAST if name == "libx265" and frames >= _FEW else 0
        if (ahead := max(frames, least)) < wanted:
            parameters += f"rc-lookahead={ahead}:"
        if frames < _FEW:
            parameters += "bframes=0:ref=1:" + ("sync-lookahead=0:" if name == "libx264" else "frame-threads=1:")
    if parameters:
        key = name.removeprefix("lib") + "-params"  # a list, in which the last of a name counts
        options[key] = parameters + options[key]
    if name == "libvpx-vp9" and frames < _VP9_WANTED:
        options.setdefault("lag-in-frames", str(frames))
    if threads < cores():
        options.setdefault("threads", str(threads))
    return options
