"""The ways in which a trained model is put to work before it is scored."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from recycle.config import Domain, Pipeline
from recycle.translation.translator import Translator
from tools.reproduction.task import Clip, Translate

PLAIN, SMOOTHED = "", "smoothed"
WAYS: Mapping[str, Mapping[str, Any]] = {PLAIN: {}, SMOOTHED: {"smoothing": True}}
"""Name → keywords of the Translator's call. To score another way, name it here and in `ways_of`."""


def ways_of(pipeline: Pipeline, *, smoothed: bool) -> tuple[str, ...]:
    """Those in which a model of this pipeline is scored; smoothed: by its predictors too, where it has any."""
    return (PLAIN, SMOOTHED) if smoothed and pipeline.predicts else (PLAIN,)


def translated_by(translator: Translator, way: str = PLAIN) -> Translate:
    """What a trained model makes of consecutive frames. A clip that comes again is not translated again."""
    kept: dict[tuple[int, Domain], tuple[Clip, Clip]] = {}  # with the source, whose id stays taken

    def translate(frames: Clip, to: Domain) -> Clip:
        key = id(frames), to
        if key not in kept:
            clip = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
            out = translator(clip, to=to, **WAYS[way]).clamp(-1, 1)
            kept[key] = frames, (out * 127.5 + 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return kept[key][1]

    return translate
