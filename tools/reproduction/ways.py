"""The ways in which a trained model is put to work before it is scored."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from recycle.config import Pipeline, TranslateSettings
from recycle.domains import Domain
from recycle.translation.translator import Translator
from recycle.video.frame import Frame
from tools.reproduction.task import Clip, Translate

PLAIN, STABILISED, SMOOTHED = "", "stabilised", "smoothed"
WAYS: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {},
    STABILISED: {"stabilise": 1.0},
    SMOOTHED: {"smoothing": True},
}
"""Name → settings of `translate`. To score another way, name it here and in a Bench."""


def ways_of(pipeline: Pipeline, second: str | None) -> tuple[str, ...]:
    """Those in which a model is scored: plainly, and in a second way, unless it lacks the predictors for that."""
    return (PLAIN,) if second is None or (second == SMOOTHED and not pipeline.predicts) else (PLAIN, second)


def translated_by(translator: Translator, way: str = PLAIN) -> Translate:
    """What a trained model makes of consecutive frames, as of a video at its own size.

    A clip that comes again is not translated again.
    """
    settings = TranslateSettings(scale="source", **WAYS[way])
    kept: dict[tuple[int, Domain], tuple[Clip, Clip]] = {}  # with the source, whose id stays taken

    def translate(frames: Clip, to: Domain) -> Clip:
        key = id(frames), to
        if key not in kept:
            stream = (Frame(picture, index, Fraction(1, 25)) for index, picture in enumerate(frames))
            kept[key] = frames, np.stack(list(translator.translate_frames(stream, to=to, settings=settings)))
        return kept[key][1]

    return translate
