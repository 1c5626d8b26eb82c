"""The ways in which a trained model translates for scoring."""

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
"""Name → settings of `translate`. To add a way of scoring, add it here and to a Bench."""


def ways_of(pipeline: Pipeline, second: str | None) -> tuple[str, ...]:
    """The ways in which a model is scored: plainly, and in the second way unless it lacks the predictors for it."""
    return (PLAIN,) if second is None or (second == SMOOTHED and not pipeline.predicts) else (PLAIN, second)


def translated_by(translator: Translator, way: str = PLAIN) -> Translate:
    """The translation of consecutive frames by a trained model, as of a video at its own size.

    Repeated clips are translated only once.
    """
    settings = TranslateSettings(scale="source", **WAYS[way])
    kept: dict[tuple[int, Domain], tuple[Clip, Clip]] = {}  # the source is kept, so that its id is not reused

    def translate(frames: Clip, to: Domain) -> Clip:
        key = id(frames), to
        if key not in kept:
            stream = (Frame(picture, index, Fraction(1, 25)) for index, picture in enumerate(frames))
            kept[key] = frames, np.stack(list(translator.translate_frames(stream, to=to, settings=settings)))
        return kept[key][1]

    return translate
