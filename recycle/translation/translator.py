"""Translates tensors, arrays, streams of frames and whole videos from one domain to the other with a trained model."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Literal, Self, overload

import numpy as np
import torch
from torch import Tensor

from recycle import inputs as inputs  # registers every kind of source
from recycle.config import TranslatePrecision, TranslateSettings, parse_settings
from recycle.domains import LETTERS, Domain, Names, into
from recycle.errors import ConfigError
from recycle.events import Job
from recycle.networks.bundle import Bundle, digest, load_bundle
from recycle.networks.flat import keeping_flat
from recycle.networks.inference import layout
from recycle.rendering.parts import Part, render_part
from recycle.rendering.render import RenderReport, render
from recycle.rendering.span import WHOLE, Span
from recycle.run_folder import IDENTITY
from recycle.system.devices import compute_dtype, find_device, used_precision
from recycle.system.hub import find_model
from recycle.system.nvidia import tell_unused_gpu
from recycle.translation.arrays import check_clip, check_picture, frames_of
from recycle.translation.exchange import Exchange, of_planes, of_rgb
from recycle.translation.finish import Weigh, finish, finished, masks_of
from recycle.translation.key import request_key
from recycle.translation.lanes import Lanes
from recycle.translation.ready import ready
from recycle.translation.scale import Size, network_size
from recycle.translation.smoothing import smooth
from recycle.translation.stream import FrameStream, stabilised_source
from recycle.translation.tiles import Network, tiled
from recycle.translation.transform import transform_of
from recycle.video.frame import Frame, Pixels
from recycle.video.planes import PlaneFormat, PlaneShrinker, PlaneWriter
from recycle.video.source import Source

DEFAULTS = TranslateSettings()


class Translator:
    """Translates in the directions of a bundle, usually both. Without a bundle, it leaves frames unchanged.

    The networks run in evaluation mode and without gradients. With bf16 or fp16, only the networks compute in lower
    precision; resizing, averaging and rounding are in float32.
    """

    def __init__(self, bundle: Bundle | None, *, device: str = "auto", precision: TranslatePrecision = "auto") -> None:
        """Take over `bundle`, which is changed, and move it to the device. None: leave frames unchanged.

        `device` is 'auto' (the best available), 'cpu', 'cuda' or 'mps'. The precision 'auto' is
        `recycle.system.devices.best_precision` for translation. Raises ConfigError for an unknown or unavailable device
        or precision, and as `recycle.networks.int8.generator.Int8Generator`.
        """
        kind = find_device(device)
        self.device = torch.device("cuda", torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)
        self._dtype = compute_dtype(kind, precision, training=False)
        self._precision = used_precision(precision, self._dtype)
        self.bundle = bundle
        self.takes_planes = self.device.type == "cuda"
        """Whether the device converts planes itself; a CPU converts frames faster with swscale."""
        if bundle is not None:
            self._lanes = Lanes(self.device)
            order = layout(self.device, self._dtype)
            bundle.eval().requires_grad_(False).to(self.device).to(memory_format=order)
            self._generators: dict[Domain, Network] = {
                d.target: ready(bundle.generator(d), self.device, self._dtype, int8=self._precision == "int8")
                for d in bundle.config.directions
            }

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *, device: str = "auto", precision: TranslatePrecision = "auto", smoothing: bool = True
    ) -> Self:
        """Load the bundle in `folder`, the best model of the run there, or org/name of the Hugging Face Hub.

        'identity' returns a translator that leaves frames unchanged. Without `smoothing` it cannot smooth, and is ready
        sooner. Raises BundleError if the folder holds no usable bundle, and ConfigError as `Translator`.
        """
        bundle = None if str(folder) == IDENTITY else load_bundle(find_model(folder), predictors=smoothing)
        return cls(bundle, device=device, precision=precision)

    @property
    def domains(self) -> Names:
        """Names of the domains. Methods that take a domain accept its name or its letter."""
        return LETTERS if self.bundle is None else self.bundle.config.domains

    def target(self, word: str) -> Domain:
        """The letter of the domain with this name or letter. Raises ConfigError if there is none, or if the model
        translates only in the other direction."""
        return LETTERS.find(word) if self.bundle is None else self.bundle.config.target(word)

    @overload
    def __call__(self, clip: Tensor, *, to: str, smoothing: bool = False) -> Tensor: ...

    @overload
    def __call__(self, clip: Pixels, *, to: str, smoothing: bool = False) -> Pixels: ...

    def __call__(self, clip: Tensor | Pixels, *, to: str, smoothing: bool = False) -> Tensor | Pixels:
        """Translate a frame, or a clip of one shot. The result has the shape and dtype of `clip`.

        `clip` is one of these:

        - a tensor (3, H, W), (T, 3, H, W) or (B, T, 3, H, W) of floats in [-1, 1], on any device and of any size. The
          networks run at this size. The result is on the same device.
        - an array (H, W, 3) or (T, H, W, 3), RGB, uint8 or uint16. The networks run at the scale of their training, as
          by default in `translate_video` and `stream`.

        `to` is the target domain, by its letter or name. `smoothing` averages with the predictor (see
        `recycle.translation.smoothing.smooth`); it starts anew for each of the B clips. There is no `stabilise` here:
        it compares pictures in the order in which they are shown, as `stream` and `translate_video` receive them.
        Raises ValueError for another shape or dtype; ConfigError for an unknown domain, or for smoothing if the bundle
        has no predictors.
        """
        if isinstance(clip, np.ndarray):
            pictures = clip if clip.ndim == 4 else clip[None]
            check_picture(pictures[0] if len(pictures) else pictures, "the clip")
            settings = TranslateSettings(smoothing=smoothing)
            translated = list(self.translate_frames(frames_of(pictures), to=to, settings=settings))
            return np.stack(translated).reshape(clip.shape)
        return self._clip(clip, to=to, smoothing=smoothing)

    def stream(
        self,
        frames: Iterable[Pixels],
        *,
        to: str,
        latency: int = 0,
        scale: Literal["trained", "source"] | int = "trained",
        smoothing: bool = False,
        stabilise: float = 0.0,
        detail: float = 1.0,
        strength: float = 1.0,
        keep_colour: bool = False,
    ) -> Iterator[Pixels]:
        """Translate pictures as they arrive, for example from a camera. Yields one picture for each, in order.

        `frames` are RGB arrays (H, W, 3), uint8 or uint16, all of one size and dtype; the results have the same size
        and dtype. `to` is the target domain, by its letter or name. `latency` is the number of further pictures that
        may be read before the translation of a picture is yielded. 0 suits a camera: each picture is translated before
        the next one is read; only with smoothing, one more picture is read first. A greater latency allows several
        cores, or a GPU, to process several pictures at a time. The other arguments are described in
        `TranslateSettings`; smoothing and stabilising start anew at every cut.

        Raises ConfigError as `__call__` and for settings out of range; ValueError for a picture of another shape, size
        or dtype.
        """
        if latency < 0:
            raise ConfigError(f"expected a latency of 0 or more frames, got {latency}")
        if stabilise:  # frames wait in two stages
            held = latency // 2 + 1
        elif smoothing:  # a group of frames waits until the next group is done
            held = max(1, (latency + 1) // 2)
        else:
            held = latency + 1
        size = None if self.bundle is None else self._lanes.group(held)
        chosen = {"scale": scale, "smoothing": smoothing, "stabilise": stabilise, "batch_size": size}
        chosen |= {"detail": detail, "strength": strength, "keep_colour": keep_colour}
        settings = parse_settings(TranslateSettings, chosen)
        return map(np.copy, self.translate_frames(frames_of(frames), to=to, settings=settings))

    def _clip(self, clip: Tensor, *, to: str, smoothing: bool) -> Tensor:
        check_clip(clip)
        domain = self._check(to, smoothing)
        if self.bundle is None:
            return clip
        if clip.ndim == 3:
            return self._clip(clip[None], to=to, smoothing=smoothing)[0]
        with torch.inference_mode():
            frames = clip.flatten(0, -4).to(self.device, torch.float32)
            generator = keeping_flat(tiled(self._generators[domain], self.bundle.generator(into(domain))))

            def work(group: list[Tensor]) -> Tensor:
                with torch.inference_mode():
                    return generator(torch.stack(group))

            limit = self._lanes.limit(self._bytes(self.bundle, clip.shape[-2:]))
            done = torch.cat(list(self._lanes.through(work, frames, limit=limit)))
            clips = done.reshape(-1, *clip.shape[-4:])
            if smoothing:
                uncut = [False] * clips.shape[1]
                clips = torch.stack([self._smooth(each, each[:0], uncut, domain)[0] for each in clips])
            return clips.reshape(clip.shape).to(clip.device, clip.dtype)

    def translate_frames(
        self,
        frames: Iterable[Frame],
        *,
        to: str,
        settings: TranslateSettings = DEFAULTS,
        pixel_aspect: Fraction = Fraction(1),
        masks: Weigh | None = None,
    ) -> Iterator[Pixels]:
        """Translate a stream of frames of one size. Yields for each an RGB picture (H, W, 3), same size and dtype;
        frames that equal their predecessor share its array.

        On a CPU, at most `settings.batch_size` frames are held; on a GPU, twice as many. Smoothing and stabilising hold
        one more group, and stabilising also the last PAST outputs (`recycle.translation.stabilise`). The batch size
        does not change the result on a CPU; on a GPU it may change the lowest bits. Smoothing and stabilising start
        anew at every cut. `pixel_aspect` is the sample aspect ratio of the frames; the networks run on square pixels.
        `masks` returns the share of the translation in each pixel of a frame, (H, W) float32 in [0, 1], in place of
        `settings.mask`, which has no effect here; nor have `settings.device` and `settings.precision`, which apply when
        a Translator is made. Raises ConfigError as `__call__`.
        """
        domain = self._check(to, settings.smoothing)

        def translated(frames: Iterable[Frame]) -> Iterator[Pixels]:
            if self.bundle is not None:
                return self._translate_stream(iter(frames), self.bundle, domain, settings, pixel_aspect)
            if settings.stabilise:
                return stabilised_source(frames, settings.stabilise)
            return (frame.pixels for frame in frames)

        inner = None if self.bundle is None else partial(self.inner, settings=settings, pixel_aspect=pixel_aspect)
        if not settings.finish() and masks is None and (inner is None or not settings.detail):
            return translated(frames)
        return finished(frames, translated, partial(finish, settings=settings, masks=masks, inner=inner))

    def translate_video(
        self,
        source: Path | Source,
        output: Path,
        *,
        to: str,
        settings: TranslateSettings = DEFAULTS,
        span: Span = WHOLE,
        compare: bool = False,
        overwrite: bool = False,
        job: Job | None = None,
    ) -> RenderReport:
        """Translate `source`, a path or an open source, to the domain `to`, and write it to `output`.

        Timestamps, audio, other streams, metadata and size are kept. Memory does not grow with the length. The same
        call continues interrupted work. `span`, `compare`, `job` and the errors are described in
        `recycle.rendering.render.render`; also raises ConfigError as `__call__`.
        """
        domain = self._check(to, settings.smoothing)
        if job is not None and self.bundle is not None:
            tell_unused_gpu(settings.device, job)
        with masks_of(source, settings, end=span.end, job=job) as masks:
            return render(
                source,
                output,
                transform_of(self, domain, settings, masks, whole=compare),
                settings=settings,
                span=span,
                compare=compare,
                overwrite=overwrite,
                job=job,
            )

    def translate_part(
        self,
        source: Path | Source,
        output: Path,
        part: Part,
        *,
        to: str,
        settings: TranslateSettings = DEFAULTS,
        job: Job | None = None,
    ) -> None:
        """Translate one part of a long video; see `recycle.rendering.parts.render_part`.

        Also raises ConfigError as `__call__`.
        """
        domain = self._check(to, settings.smoothing)
        with masks_of(source, settings) as masks:
            render_part(source, output, transform_of(self, domain, settings, masks), part, settings=settings, job=job)

    def translate_planes(
        self,
        frames: Iterable[Frame],
        *,
        to: str,
        settings: TranslateSettings,
        source: PlaneFormat,
        target: PlaneFormat,
        inner: Size,
    ) -> Iterator[Pixels]:
        """Translate frames of planes (H × 3/2, W) in the format `source`. Yields planes in the format `target`.

        The networks run at `inner`, height and width. The device converts the planes if `takes_planes` is True,
        otherwise swscale does. `settings` as for `translate_frames`, but with the scale of the source, and without
        detail, `finish()`, smoothing and stabilising. Not without a bundle.
        """
        domain = self._check(to, smoothing=False)
        assert self.bundle is not None, "without a bundle, frames stay as they are"
        if self.takes_planes:
            exchange, nbytes = of_planes(source, inner, target, self.device), 2 * source.bytes_per_frame
            yield from self._stream(self.bundle, domain, settings, inner, exchange, nbytes).through(iter(frames))
            return
        shrink, write = PlaneShrinker(source, inner[1], inner[0]), PlaneWriter(target)
        small = (replace(frame, pixels=shrink(frame.pixels)) for frame in frames)
        yield from map(write, self.translate_frames(small, to=to, settings=settings))

    @cached_property
    def digest(self) -> str:
        """Digest of the bundle; 'identity' without one."""
        return IDENTITY if self.bundle is None else digest(self.bundle)

    def key(self, to: Domain, settings: TranslateSettings) -> dict[str, object]:
        """Everything on which translated frames depend, beside the source.

        Parts of a video with equal keys fit together: they have one model, one precision and one kind of device.
        """
        computed = {"device": self.device.type, "precision": self._precision}
        return self.request(to, settings) | ({} if self.bundle is None else computed)

    def request(self, to: Domain, settings: TranslateSettings) -> dict[str, object]:
        """The `key` without device and precision. It identifies finished files, which are valid on every machine."""
        return request_key(self.digest, to, settings)

    def _translate_stream(
        self,
        frames: Iterator[Frame],
        bundle: Bundle,
        to: Domain,
        settings: TranslateSettings,
        pixel_aspect: Fraction,
    ) -> Iterator[Pixels]:
        first = next(frames, None)
        if first is None:
            return
        size = (first.pixels.shape[0], first.pixels.shape[1])
        inner = self.inner(size, settings, pixel_aspect)
        exchange = of_rgb(size, inner, torch.uint8 if first.pixels.dtype == np.uint8 else torch.uint16)
        stream = self._stream(bundle, to, settings, inner, exchange, first.pixels.nbytes)
        yield from stream.through(chain([first], frames))

    def _stream(
        self, bundle: Bundle, to: Domain, settings: TranslateSettings, inner: Size, exchange: Exchange, nbytes: int
    ) -> FrameStream:
        """The stream for frames of `nbytes` bytes, as RGB, that the network sees at the size `inner`."""
        return FrameStream(
            lanes=self._lanes,
            network=keeping_flat(tiled(self._generators[to], bundle.generator(into(to)))),
            smooth=partial(self._smooth, to=to) if settings.smoothing else None,
            stabilise=settings.stabilise,
            exchange=exchange,
            inner=inner,
            limit=settings.batch_size or self._lanes.limit(self._bytes(bundle, inner), nbytes),
        )

    def inner(self, size: Size, settings: TranslateSettings, pixel_aspect: Fraction) -> Size:
        """Height and width at which the networks see frames of `size`, height and width."""
        assert self.bundle is not None, "without networks, frames keep their size"
        trained = self.bundle.config.short_side
        return network_size(size, scale=settings.scale, trained=trained, pixel_aspect=pixel_aspect)

    def _bytes(self, bundle: Bundle, size: tuple[int, int] | torch.Size) -> int:
        """Estimated memory in bytes that a generator needs for a frame of `size`, height and width."""
        return bundle.generator(bundle.config.directions[0]).bytes_per_frame((size[0], size[1]), self._dtype)

    def _smooth(self, frames: Tensor, past: Tensor, cuts: list[bool], to: Domain) -> tuple[Tensor, Tensor]:
        assert self.bundle is not None
        predictor = self.bundle.predictor(into(to))
        assert predictor is not None, "checked by _check"
        with self._autocast():
            return smooth(frames, past, cuts, predictor, self.bundle.config.networks.predictor.past)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32, cache_enabled=False)

    def _check(self, to: str, smoothing: bool) -> Domain:
        """The domain `to`. Raises ConfigError as `target`, or if `smoothing` is set and there is no predictor."""
        domain = self.target(to)
        if smoothing and (self.bundle is None or self.bundle.predictor(into(domain)) is None):
            name = IDENTITY if self.bundle is None else self.bundle.config.name
            raise ConfigError(
                f"smoothing needs predictors, but the model '{name}' has none; "
                "switch smoothing off, or train with the recycle loss"
            )
        return domain
