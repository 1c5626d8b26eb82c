"""The Python interface of live translation: the same as `recycle live`."""

from os import PathLike
from typing import Any

from recycle.config import TranslateSettings, parse_settings
from recycle.events import Job
from recycle.streaming.run import LiveReport, run_live
from recycle.translation.opening import open_translator
from recycle.translation.translator import Translator


def live(
    source: str,
    sink: str = "window",
    *,
    model: Translator | str | PathLike[str],
    to: str,
    record: str | PathLike[str] | None = None,
    overwrite: bool = False,
    job: Job | None = None,
    **settings: Any,
) -> LiveReport:
    """Translate a camera, a stream or the screen until it ends, the window is closed or the job is cancelled.

    `source` is the number of a camera or its device, the address of a stream (RTSP, RTMP, HTTP, UDP, TCP), or
    "screen". `sink` is "window", "virtual" (a virtual camera), a video file, or the address of a stream. `record` is a
    file that gets the translation too. `model`, `to` and `overwrite` are as in `recycle.api.translate`. `settings` are
    those of `TranslateSettings` that apply: `scale`, `smoothing`, `stabilise`, `detail`, `max_pixels`, `device` and
    `precision`.
    The newest picture wins; see `recycle.streaming.run.run_live`, which also lists the errors.
    """
    chosen = parse_settings(TranslateSettings, settings)
    translator, target = open_translator(model, to, chosen)
    kept = None if record is None else str(record)
    return run_live(
        source, sink, translator=translator, to=target, settings=chosen, record=kept, overwrite=overwrite, job=job
    )
