"""A worker of a Ray cluster: a process with one model, which translates one or several files at a time."""

import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import torch

from recycle import __version__
from recycle.batch.engine import translate_one
from recycle.batch.ledger import Entry
from recycle.batch.plan import Plan
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.errors import ConfigError
from recycle.events import Event, Job, Progress
from recycle.rendering.parts import Part
from recycle.rendering.parts import split as split_video
from recycle.system.devices import Used, compute_dtype, find_device, used_precision
from recycle.system.nvidia import unused_gpu
from recycle.system.places import is_here
from recycle.translation.translator import Translator
from recycle.video.codecs import AddedCodec, add_codec, added_codecs
from recycle.video.source import Source, add_source, added_kinds

try:
    import ray
except ImportError:
    ray = None

_REPORT_SECONDS = 0.5


class Added(NamedTuple):
    """The kinds of source and the codecs that this program added; each worker adds them too.

    Ray sends classes of the program's own script by value, and classes of a module by the name of the module.
    """

    kinds: tuple[type[Source], ...]
    codecs: tuple[AddedCodec, ...]

    @classmethod
    def here(cls) -> "Added":
        """What was added in this process."""
        return cls(added_kinds(), added_codecs())

    def add(self) -> None:
        """Add them in a new process."""
        for kind in reversed(self.kinds):
            add_source(kind)
        for codec in self.codecs:
            add_codec(codec.codec, codec.encoder, options=codec.options)


class Offer(NamedTuple):
    """What a worker can do."""

    problem: str
    """Why it cannot work, as the rest of a sentence; '' if it can."""
    precision: Used = "fp32"
    """The precision in which it would compute."""


class Shared(NamedTuple):
    """What all workers share. Ray leaves references within a value as they are; each is fetched when it is needed."""

    model: Any
    """Ray's reference of the bundle, which was loaded on the CPU."""
    events: Any
    """A queue that receives (name, part, frames done, total) as progress."""
    precision: Used
    """The precision of all workers, because the parts of a video must have one."""


class Worker:
    """A Ray actor. `translate` may run in several threads, which share the model."""

    def __init__(
        self, to: Domain, settings: TranslateSettings, overwrite: bool, cores: int, gpu: bool, added: Added
    ) -> None:
        torch.set_num_threads(cores)
        added.add()
        self._to, self._settings, self._overwrite, self._gpu = to, settings, overwrite, gpu
        self._translator: Translator | None = None
        self._loading = Lock()

    def offer(self, token: Path, version: str) -> Offer:
        """Examine this process. `token` is a file that the caller wrote, and `version` that of its package."""
        if version != __version__:
            return Offer(f"has recycle {__version__}, not {version}; install the same version on all machines")
        if not token.exists():
            return Offer(f"cannot see {token.parent}; use a file system that all machines share, or a URL")
        if self._gpu and not torch.cuda.is_available():
            why = unused_gpu() or "torch finds no GPU where Ray counts one"
            return Offer(f"cannot use its GPU: {why}; repair it, or translate with --device cpu")
        settings = self._settings
        try:
            dtype = compute_dtype(find_device(settings.device), settings.precision, training=False)
        except ConfigError as error:
            return Offer(f"cannot run the model: {error}")
        return Offer("", used_precision(settings.precision, dtype))

    def load(self, shared: Shared) -> str:
        """Load the model. Returns a problem as in `Offer`."""
        try:
            self._load(shared)
        except ConfigError as error:
            return f"cannot run the model: {error}"
        return ""

    def ready(self) -> None:
        """Return once the process has started."""

    def translate(self, shared: Shared, one: Plan, part: Part | None, split: bool) -> Entry | list[Part] | None:
        """Translate a file and return its entry; with `split`, return the parts of a long file instead.

        With `part`, translate only that part and return None. Errors in a part are ignored: the final pass over the
        file meets them again and reports them.
        """
        translator = self._load(shared)
        told = 0.0

        def observe(event: Event) -> None:
            nonlocal told
            if not isinstance(event, Progress) or not event.done:
                return
            if time.monotonic() - told >= _REPORT_SECONDS or (part is not None and event.done == len(part.stamps)):
                told = time.monotonic()
                shared.events.put((one.job.name, part and part.segment, event.done, event.total))

        file, to, settings, job = one.job, self._to, one.job.settings(self._settings), Job(observe)
        if part is not None:
            with suppress(Exception):
                translator.translate_part(file.source, file.output, part, to=to, settings=settings, job=job)
            return None
        if split and is_here(file.source) and is_here(file.output) and (self._overwrite or not file.output.exists()):
            with suppress(Exception):
                parts = split_video(file.source, file.output, settings=settings, key=translator.key(to, settings))
                if parts:
                    return parts
        return translate_one(one, translator, to=to, settings=settings, overwrite=self._overwrite, job=job)

    def _load(self, shared: Shared) -> Translator:
        with self._loading:
            if self._translator is None:
                bundle = ray.get(shared.model)
                self._translator = Translator(bundle, device=self._settings.device, precision=shared.precision)
            return self._translator
