"""Writes the frames of a rendering as an animation or as numbered images, and a single image as a single image."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from recycle.config import TranslateSettings
from recycle.errors import ConfigError, OutputError
from recycle.events import Job
from recycle.rendering.notices import before_work
from recycle.rendering.passage import name_of
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer
from recycle.rendering.work import Work, work_folder
from recycle.system.atomic import atomic_path, flush
from recycle.system.places import is_here
from recycle.video.animation_write import Shown, Times, write_animation
from recycle.video.codecs import Choice
from recycle.video.container import open_container, video_stream
from recycle.video.encode import Picture, output_errors
from recycle.video.frame import sized
from recycle.video.image_facts import facts_at
from recycle.video.image_write import encode_image, write_image
from recycle.video.numbered import images_at, listed, pattern_name
from recycle.video.picture_formats import PictureFormat, format_of, holds_pictures, is_sequence
from recycle.video.source import Source

_FASTEST = Fraction(1, 50)
"""Shortest time in seconds for which browsers show a frame of a GIF as long as it states."""
_PUBLISHING = "publishing"
"""Name of the file that says that the images in the work folder are being moved to their names."""


def format_for(output: Path, source: Source) -> PictureFormat:
    """The format in which `source` is written to `output`. Raises OutputError if `output` holds one image only."""
    form = format_of(output, source.path, still=source.still)
    still_png = output.suffix.lower() == ".png" and not is_sequence(output, source.path)
    if form is None or (still_png and not source.still and source.plays is None):  # nobody expects a .png of 300 frames
        raise OutputError(
            f"cannot write {output}: {source.path.name} is not a single image; give a pattern such as "
            f"{output.stem}_%05d{output.suffix}, or an animation (.gif, .apng, .webp)"
        )
    return form


def _unused(settings: TranslateSettings) -> list[str]:
    """Names of the encoder settings that differ from the usual; they have no effect on pictures."""
    usual = TranslateSettings()
    names = ("codec", "crf", "bitrate", "preset", "depth", "pixel_format", "alpha", "options", "hardware")
    return [name for name in names if getattr(settings, name) != getattr(usual, name)]


def check_settings(output: Path, settings: TranslateSettings) -> None:
    """Raise ConfigError if an encoder setting is given for an output that is a picture."""
    names = _unused(settings)
    if holds_pictures(output) and names:
        raise ConfigError(f"{output} holds pictures: {', '.join(names)} can be set for video only; remove them")


def working_settings(source: Source, form: PictureFormat, settings: TranslateSettings) -> TranslateSettings:
    """The settings of the lossless segments between the network and the pictures.

    They keep the transparency and the depth of the source, as far as `form` holds them.
    """
    alpha = source.alpha and form.alpha != "none"
    deep = form.bits == 16 and source.bits > 8
    pixel_format = {
        (False, False): "bgr0",
        (True, False): "bgra",
        (False, True): "gbrp16le",
        (True, True): "gbrap16le",
    }[alpha, deep]
    chosen = {"codec": "ffv1", "alpha": "keep" if alpha else "drop", "depth": 10 if deep else 8}
    plain = TranslateSettings().model_dump(include={"crf", "bitrate", "preset", "options", "hardware"})
    return settings.model_copy(update={**plain, **chosen, "pixel_format": pixel_format})


def picture_notices(
    source: Source, picture: Picture, choice: Choice, form: PictureFormat, output: Path, *, compared: bool = False
) -> Iterator[str]:
    """The notices before the work: what pictures of this format cannot hold, one line each."""
    deep = TranslateSettings(depth=10)  # `before_work` would tell users of 8 bits to give --depth 10
    timed = not (source.still or is_sequence(output, source.path))
    nothing = OtherStreams(None, "matroska")
    yield from before_work(source, picture, choice, deep, nothing, compared=compared, timed=timed)
    file = source.companion()
    if file is not None and source.plays is None:
        with open_container(file) as container:
            own = video_stream(container, file)
            others = [name_of(stream) for stream in container.streams if stream is not own]
        if others:
            yield f"left out, because {output.suffix} holds pictures only: {', '.join(others)}"
    if source.bits > 8 and form.bits == 8:
        yield f"the source has {source.bits} bits per sample: {output.suffix} has 8; .png and .tif keep more"
    if form.alpha == "mask" and source.transparent and source.path.suffix.lower() != ".gif":
        yield "a GIF is either transparent or opaque at each pixel: half-transparent pixels become one of both"
    if source.still and source.bits > 8 and output.suffix.lower() in (".tif", ".tiff"):
        yield "metadata is left out: a TIFF of 16 bits is written without"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one rendering."""

    output: Path
    """An animation, or a pattern of images."""
    form: PictureFormat
    renderer: Renderer

    def write(self, work: Work, stamps: list[int], whole: Path, job: Job) -> Iterator[str]:
        """Write the finished segments to `whole`, a file or a folder of images; yields notices. Raises Interrupted."""
        if is_sequence(self.output, self.renderer.reader.path):
            whole.mkdir(exist_ok=True)
            made = self.renderer.transform.provenance
            for number, shown in enumerate(self._shown(work, job), start=1):
                place = whole / pattern_name(self.output.name, number)
                write_image(place, shown.pixels, alpha=shown.alpha, grey=self._grey, made=made)
            return
        reader = self.renderer.reader
        unit = self.renderer.picture.time_base
        lasting = max(1, reader.lasting or round(1 / self.renderer.picture.rate / unit))
        starts = tuple((stamp - stamps[0]) * unit for stamp in stamps)
        times = Times(starts, starts[-1] + lasting * unit)
        made, alpha = self.renderer.transform.provenance, self.renderer.choice.alpha
        write_animation(whole, self._shown(work, job), times, plays=reader.plays or 0, alpha=alpha, made=made)
        if self.form.unit and not times.exact_in(self.form.unit):
            yield f"times are rounded to {1 / self.form.unit:g} s, the unit of this format; .apng keeps them exactly"
        ticks = times.in_units(self.form.unit or 1000)
        shortest = min(after - before for before, after in pairwise(ticks))
        if self.form.alpha == "mask" and Fraction(shortest, self.form.unit) < _FASTEST:
            yield "browsers show frames of a GIF for at least 0.02 s: it plays slower there; .webp and .apng do not"

    def write_still(self, *, overwrite: bool) -> None:
        """Write a single image, atomically. Metadata of the source is kept (see `encode_image`).

        Raises FootageError if the source cannot be read or changed, OutputError if the output cannot be written.
        """
        reader, transform = self.renderer.reader, self.renderer.transform
        size = reader.info.width, reader.info.height
        with reader.watched():
            frame = next(reader.read()).develop(None if transform.size is None else transform.size(reader.info))
            picture = sized(next(transform.pictures(iter([frame]), reader.info)), size)
            alpha = frame.beside.alpha
            if self.renderer.compare:
                picture = np.hstack((sized(frame.pixels, size), picture))
                alpha = None if alpha is None else np.hstack((alpha, alpha))
            suffix, facts = self.output.suffix.lower(), facts_at(reader.path)
            made = transform.provenance
            data = encode_image(suffix, picture, alpha=alpha, grey=self._grey, facts=facts, made=made)
            reader.check()
        with output_errors(self.output), atomic_path(self.output) as temporary:
            temporary.write_bytes(data)
            if self.output.exists() and not overwrite:
                raise OutputError(
                    f"{self.output} was created by another process meanwhile; give --overwrite to replace it"
                )

    @property
    def _grey(self) -> bool:
        return self.renderer.transform.grey(self.renderer.reader)

    def _shown(self, work: Work, job: Job) -> Iterator[Shown]:
        """The frames of the finished segments."""
        choice = self.renderer.choice
        wide = "16" in choice.pixel_format
        form = {False: ("rgb24", "rgb48le"), True: ("rgba", "rgba64le")}[choice.alpha][wide]
        for index in range(work.finished()):
            with open_container(work.segment(index)) as file:
                for frame in file.decode(file.streams.video[0]):
                    job.check()
                    samples: Any = frame.to_ndarray(format=form)
                    yield Shown(np.ascontiguousarray(samples[..., :3]), samples[..., 3] if choice.alpha else None)

    def publish(self, whole: Path, work: Work, *, overwrite: bool) -> Iterator[str]:
        """Move the images of a sequence to their names; yields a notice about images of an earlier, longer one.

        Raises OutputError if one of them was created meanwhile and `overwrite` is False.
        """
        names = sorted(path.name for path in whole.iterdir())
        folder = self.output.parent
        taken = [name for name in names if (folder / name).exists()]
        moving = work.folder / _PUBLISHING
        if taken and not overwrite and not moving.exists():
            raise OutputError(
                f"{folder / taken[0]} was created by another process meanwhile; give --overwrite to replace it"
            )
        for name in names:
            flush(whole / name)
        moving.touch()
        for name in names:
            (whole / name).replace(folder / name)
        flush(folder)
        left = [path for path in images_at(self.output) or [] if path.name not in set(names)]
        if left:
            yield f"images of an earlier sequence are still there: {listed([path.name for path in left])}"


def check_sequence(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the images of a pattern must not be written: they are the source, or they exist.

    Images that an interrupted call had already moved to their names do not count.
    """
    existing = images_at(output) if output.parent.is_dir() else None
    if not existing:
        return
    read = {path.resolve() for path in (images_at(source) or [source])} if is_here(source) else set()
    if any(path.resolve() in read for path in existing):
        raise OutputError(f"{output} names images of the input itself; give another name or folder for the output")
    if not overwrite and not (work_folder(output) / _PUBLISHING).exists():
        raise OutputError(f"{existing[0]} exists; give --overwrite to replace the images of {output}")
