"""Extracts one video, or one folder of images, into one folder of frames in a single pass."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from recycle.config import ExtractSettings
from recycle.dataset.manifest import MANIFEST, MASKS, Manifest, ManifestFrame
from recycle.dataset.selection import DuplicateDropper, RateSelector
from recycle.errors import FootageError
from recycle.inputs import open_source
from recycle.names import plain
from recycle.plural import counted
from recycle.system.atomic import atomic_path
from recycle.video.fingerprint import content, modified
from recycle.video.frame import ASSUMED_RATE, LazyFrame, StreamInfo
from recycle.video.masks import Masks, identify, open_masks
from recycle.video.numbered import listed
from recycle.video.shots import ShotFinder, detection_size
from recycle.video.source import Reading, Source

_ENCODING = {
    "jpg": [
        *(cv2.IMWRITE_JPEG_QUALITY, 95),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ],
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 1],
}
_REPORT_EVERY = 16


def extract_source(
    source: Path,
    target: Path,
    fingerprint: str,
    settings: ExtractSettings,
    count: Callable[[int], None],
    *,
    threads: bool = True,
    mask: Path | None = None,
) -> tuple[int, list[str]]:
    """Write the selected frames of `source` and their manifest to the folder `target`, atomically.

    `fingerprint` is that of the source. `count` receives the number of frames decoded since its last call; `threads` is
    that of `Reading`. `mask` marks the objects (see `recycle.video.masks`) and is written beside the frames. Returns
    the number of frames written, and notices of one line each. Raises FootageError if the source or the mask cannot be
    read, if the source changes meanwhile or is smaller than the crop; OSError if the target cannot be written.
    """
    reading = Reading(square_pixels=True, threads=threads, max_pixels=settings.max_pixels)
    with open_source(source, reading) as reader, reader.watched(), atomic_path(target) as folder:
        if reader.fingerprint() != fingerprint:
            raise FootageError(
                f"{source} changed after the extraction started; run the same command again when the file is complete"
            )
        crop = _crop_box(source, reader.info, settings)
        size = _size(crop[2], crop[3], settings.short_side)
        folder.mkdir()
        with nullcontext() if mask is None else open_masks(mask, reader, feather=0) as masks:
            kept, starts = _write_frames(reader, folder, size, settings, count, masks)
        about_masks = [] if masks is None else [note for note in (masks.note, masks.problem()) if note]
        manifest = Manifest(
            source=plain(str(source.resolve())),
            fingerprint=fingerprint,
            settings=settings.record(),
            width=size[0],
            height=size[1],
            rotation=reader.info.rotation,
            time_base=f"{reader.info.time_base.numerator}/{reader.info.time_base.denominator}",
            modified=modified(source),
            content=content(source),
            masks="" if mask is None else identify(mask),
            grey=reader.grey,
            frames=tuple(
                ManifestFrame(file=name, shot=bisect_right(starts, index) - 1, pts=pts) for name, index, pts in kept
            ),
        )
        reader.check()
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    return len(kept), [*_notices(source, crop[2:], settings, reader), *about_masks]


def _write_frames(
    reader: Source,
    folder: Path,
    size: tuple[int, int],
    settings: ExtractSettings,
    count: Callable[[int], None],
    masks: Masks | None,
) -> tuple[list[tuple[str, int, int]], list[int]]:
    """Name, number in the source and timestamp of each written frame; and the frame numbers at which shots start."""
    rate = RateSelector(settings.fps, source_rate=reader.info.average_rate)
    duplicates = DuplicateDropper(settings.drop_duplicates)
    shots = ShotFinder(threshold=settings.cut_threshold)
    kept: list[tuple[str, int, int]] = []
    if masks is not None:
        (folder / MASKS).mkdir()
    index = -1
    small = detection_size(reader.info.width, reader.info.height)
    own = (frame for frame in reader.read() if not frame.concealed)
    for index, frame in enumerate(own):
        shots.add(frame.pixels(small, rough=True))
        if rate.keeps(frame.seconds):
            pixels = _kept(frame, settings.crop, size)
            if duplicates.keeps(pixels):
                name = f"{len(kept):06d}.{settings.format}"
                _write_image(folder / name, pixels, settings)
                if masks is not None:
                    inside = _cropped(masks(frame.develop()), settings.crop, size)
                    _write_mask(folder / MASKS / f"{Path(name).stem}.png", inside)
                kept.append((name, index, frame.pts))
        if index % _REPORT_EVERY == _REPORT_EVERY - 1:
            count(_REPORT_EVERY)
    count((index + 1) % _REPORT_EVERY)
    return kept, shots.finish()


def _notices(source: Path, size: tuple[int, int], settings: ExtractSettings, reader: Source) -> Iterator[str]:
    wanted = settings.short_side
    if wanted is not None and min(size) < wanted:
        yield f"{source}: frames keep their size of {size[0]}×{size[1]}, below the short side of {wanted}"
    if reader.rate_assumed and reader.companion() is not None:  # images have no rate of their own
        yield f"{source}: no frame rate is stated; {ASSUMED_RATE} frames per second are assumed"
    if reader.deinterlaced:
        yield f"{source}: deinterlaced {counted(reader.deinterlaced, 'interlaced frame')}"
    if reader.bad and reader.damaged:
        yield f"{source}: left out {counted(reader.damaged, 'image')} that cannot be read: {listed(list(reader.bad))}"
    elif reader.damaged:
        yield f"{source}: skipped {counted(reader.damaged, 'damaged packet')}"


def _crop_box(source: Path, info: StreamInfo, settings: ExtractSettings) -> tuple[int, int, int, int]:
    if settings.crop is None:
        return 0, 0, info.width, info.height
    x, y, width, height = settings.crop
    if x + width > info.width or y + height > info.height:
        raise FootageError(
            f"{source}: the crop of {width}×{height} at ({x}, {y}) does not fit into its upright frames of "
            f"{info.width}×{info.height}"
        )
    return settings.crop


def _size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Size after reduction to `short_side`; frames are never enlarged."""
    if short_side is None or min(width, height) <= short_side:
        return width, height
    scale = short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _kept(frame: LazyFrame, crop: tuple[int, int, int, int] | None, size: tuple[int, int]) -> NDArray[np.uint8]:
    if crop is None:
        return np.asarray(frame.pixels(size), dtype=np.uint8)
    return np.asarray(_cropped(frame.pixels(), crop, size), dtype=np.uint8)


def _cropped(pixels: NDArray[Any], crop: tuple[int, int, int, int] | None, size: tuple[int, int]) -> NDArray[Any]:
    """The box `crop` of a picture, reduced to `size` (width, height)."""
    if crop is not None:
        x, y, width, height = crop
        pixels = pixels[y : y + height, x : x + width]
    if (pixels.shape[1], pixels.shape[0]) != size:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    return pixels


def _write_mask(path: Path, inside: NDArray[np.float32]) -> None:
    _, data = cv2.imencode(".png", (inside >= 0.5).astype(np.uint8) * 255)
    path.write_bytes(data.tobytes())


def _write_image(path: Path, pixels: NDArray[np.uint8], settings: ExtractSettings) -> None:
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(f".{settings.format}", bgr, _ENCODING[settings.format])
    path.write_bytes(data.tobytes())
