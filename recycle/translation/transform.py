"""Makes the transform with which `recycle.rendering` translates a video."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.rendering.stretch import Transform
from recycle.translation.detail import add_detail_to_planes, loses_detail
from recycle.translation.finish import Weigh, finished
from recycle.translation.scale import Size
from recycle.translation.stabilise import PAST
from recycle.video.frame import Frame, Pixels, StreamInfo
from recycle.video.planes import PlaneFormat
from recycle.video.provenance import Provenance
from recycle.video.source import Source

if TYPE_CHECKING:
    from recycle.translation.translator import Translator


def transform_of(
    translator: "Translator",
    to: Domain,
    settings: TranslateSettings,
    masks: Weigh | None = None,
    *,
    whole: bool = False,
) -> Transform:
    """The transform of `translator` to the domain `to`. With `whole`, it takes and returns frames of the source's size.

    It also takes such frames if some of the source is kept, or if detail is added. Otherwise frames are scaled to the
    size of the network when they are decoded, and to that of the source when they are encoded.
    """
    bundle = translator.bundle
    past = bundle.config.networks.predictor.past if bundle is not None and settings.smoothing else 0
    kept = bool(settings.finish()) or masks is not None

    def grey(source: Source) -> bool:
        if bundle is None:
            return source.grey
        return to in bundle.config.grey and (source.grey or not kept)  # what is kept may have colours

    def pictures(frames: Iterator[Frame], info: StreamInfo) -> Iterator[Pixels]:
        aspect = info.sample_aspect_ratio
        return translator.translate_frames(frames, to=to, settings=settings, pixel_aspect=aspect, masks=masks)

    made = None
    if bundle is not None and settings.provenance == "on":
        name = bundle.config.name
        made = Provenance(name, translator.digest, translator.domains.of(to), composite=whole or kept)
    plain = partial(
        Transform,
        key=translator.key(to, settings),
        context=past + (PAST if settings.stabilise else 0),
        anew=settings.smoothing,
        grey=grey,
        provenance=made,
    )
    if bundle is None or whole or kept:
        return plain(pictures)
    scaled = _Scaled(translator, to, settings)
    return plain(
        lambda frames, info: pictures(frames, info) if scaled.adds(info) else scaled.pictures(frames),
        size=scaled.size,
        planes=None if settings.smoothing or settings.stabilise else scaled.planes,
        takes_planes=lambda info: translator.takes_planes or scaled.adds(info),
    )


class _Scaled:
    """The parts of a transform that keeps nothing of the source except, perhaps, its detail."""

    def __init__(self, translator: "Translator", to: Domain, settings: TranslateSettings) -> None:
        self._translator, self._to, self._settings = translator, to, settings
        self._as_given = settings.model_copy(update={"scale": "source", "detail": 0.0})

    def adds(self, info: StreamInfo) -> bool:
        """Whether detail is added to the translation of a source."""
        return bool(self._settings.detail) and loses_detail((info.height, info.width), self._inner(info))

    def size(self, info: StreamInfo) -> tuple[int, int]:
        """Width and height to which frames of RGB are scaled when they are decoded."""
        return (info.width, info.height) if self.adds(info) else self._inner(info)[::-1]

    def pictures(self, frames: Iterator[Frame]) -> Iterator[Pixels]:
        """Translate frames that have the size of the network."""
        return self._translator.translate_frames(frames, to=self._to, settings=self._as_given)

    def planes(
        self, frames: Iterator[Frame], info: StreamInfo, source: PlaneFormat, target: PlaneFormat
    ) -> Iterator[Pixels]:
        """Translate frames of planes."""
        inner = self._inner(info)
        translated = partial(
            self._translator.translate_planes,
            to=self._to,
            settings=self._as_given,
            source=source,
            target=target,
            inner=inner,
        )
        if not self.adds(info):
            return translated(frames)
        share = self._settings.detail
        add = partial(add_detail_to_planes, inner=inner, share=share, form=source, height=target.height)
        return finished(frames, translated, lambda frame, picture: add(frame.pixels, picture))

    def _inner(self, info: StreamInfo) -> Size:
        return self._translator.inner((info.height, info.width), self._settings, info.sample_aspect_ratio)
