"""Scores translated clips and, for comparison, their untouched inputs; averages over frames and clips."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recycle.config import EvaluateSettings
from recycle.domains import Direction, Domain
from recycle.errors import FootageError
from recycle.evaluation import metrics
from recycle.evaluation.distance import fid, kid
from recycle.evaluation.features import Describe, Features, open_features
from recycle.evaluation.memorisation import Gallery, memorisation
from recycle.evaluation.metrics import Pixels
from recycle.evaluation.palette import Palette, open_palette
from recycle.events import Job
from recycle.inputs import open_source
from recycle.video.flow import optical_flow
from recycle.video.padding import is_padded
from recycle.video.shots import CutDetector
from recycle.video.stated import estimate_frames

Video = Path | NDArray[np.uint8]
"""A video file, a folder of numbered images, or frames as uint8 RGB (T, H, W, 3)."""


@dataclass(frozen=True)
class ClipSet:
    """A test clip of one direction: videos of equal size whose frames correspond one to one."""

    source: Video
    translated: Video
    back: Video | None = None
    """The translation, translated back to the source's domain."""
    truth: Video | None = None
    """The true counterpart of the source in the target domain (ground truth)."""
    name: str = "clip"
    """Name of the clip in error messages."""


def evaluate(
    directions: Mapping[Direction, Sequence[ClipSet]],
    settings: EvaluateSettings,
    *,
    features: Describe | None = None,
    trained: Mapping[Domain, Gallery] | None = None,
    job: Job | None = None,
) -> dict[str, float]:
    """Score the clips of each direction; return a flat dict such as {'kid_ab': …, 'kid_ab_input': …}.

    Keys are `<figure>_<direction>`. The twin `<figure>_<direction>_input` is the same figure for the untouched source
    instead of the translation. Figures that are not computed against the truth also have a twin
    `<figure>_<direction>_truth` if there is a truth. The figures are:

    - `warp_error` (see metrics.warp_error) and `diversity` (see metrics.diversity, in grey levels);
    - `change`: mean absolute difference of translation and source in grey levels, without twins;
    - `tof`: difference in motion from the truth, or from the source without a truth, in pixels (see
      metrics.flow_difference); the reference has no twin;
    - `collapse`: diversity divided by that of the truth, or by that of the source without a truth. 1 means equally
      varied, near 0 means perceptual mode collapse; left out if the reference does not vary;
    - `structure`: correlation of edges with those of the source (see metrics.structure); the source has no twin;
    - with `back`: `cycle_error`, mean absolute difference of `back` and source in grey levels; its `_input` twin is 0;
    - with `truth`: `psnr` (dB, at most 100) and `ssim`;
    - with `truth`, for translations into `settings.label_domain`: `mp`, `ac` and `iou` in percent (see
      metrics.label_scores);
    - with `settings.features`: `fid` and `kid`, distances to real frames of the target domain (see
      recycle.evaluation.distance), and for 'lite2' also `kid_mid`, the KID of features of a middle level. The real
      frames are the sources of the other direction, or the truth without these;
    - with `trained` (training frames by domain): `memorisation`, which shows whether the output copies training frames
      of the target domain, relative to the same real frames (see recycle.evaluation.memorisation).

    At most `settings.max_frames` frames of each clip are scored. Figures are means over all frames of a direction, or
    over all pairs of consecutive frames within a shot. Label scores are computed from the pixel counts of all frames.
    Diversity is the mean over clips, weighted by their numbers of frames. Undefined figures are left out, such as
    `warp_error` of a single frame.

    Frames are streamed: only one or two vectors of at most 14 kB are kept of each, and only for `features` and
    `trained`. The job's progress counts frames. `features` is the opened network of `settings.features` or another
    description; if None, the network is opened here.

    Raises FootageError if the videos of a clip cannot be read or do not correspond, ConfigError for an unreadable
    palette, Interrupted if the job is cancelled, and the errors of `open_features`.
    """
    if settings.features is not None and features is None:
        features = open_features(settings.features, device=settings.device)
    describes = set(filter(None, (features, *(gallery.describe for gallery in (trained or {}).values()))))
    palette = None if settings.palette is None else open_palette(settings.palette)
    tallies: dict[Direction, Tally] = {}
    count = (job or Job()).counting("evaluating", total=_expected(directions, settings.max_frames))
    for d, clips in directions.items():
        tally = tallies[d] = Tally(palette=palette if d.target == settings.label_domain else None, describes=describes)
        for clip in clips:
            for _ in tally.add(clip, settings.max_frames):
                count.add(1)
    count.finish()
    scores: dict[str, float] = {}
    for d, tally in tallies.items():
        own = tally.scores() | _beside_real_frames(d, tallies, features, trained or {})
        scores |= {f"{figure}_{d.name}{twin}": value for (figure, twin), value in own.items()}
    return scores


def _expected(directions: Mapping[Direction, Sequence[ClipSet]], max_frames: int) -> int | None:
    """Number of frames that will be scored, as the translations state it; None if one does not."""
    videos = [clip.translated for clips in directions.values() for clip in clips]
    stated = [estimate_frames(video) if isinstance(video, Path) else len(video) for video in videos]
    return sum(min(frames or 0, max_frames) for frames in stated) if all(stated) else None


def _beside_real_frames(
    d: Direction,
    tallies: Mapping[Direction, "Tally"],
    features: Describe | None,
    trained: Mapping[Domain, Gallery],
) -> dict[tuple[str, str], float]:
    """Figures that compare a direction's frames with real frames of its target domain, by (figure, twin)."""
    other, gallery = tallies.get(d.back), trained.get(d.target)
    mid = features.mid if isinstance(features, Features) else 0
    scores: dict[tuple[str, str], float | None] = {}

    def beside(describe: Describe) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield each twin, its vectors, and the vectors of the real frames."""
        described = tallies[d].vectors(describe)
        seen = other.vectors(describe).get("_input") if other else None
        real = described.pop("_truth", None) if seen is None else seen
        if real is not None:
            yield from ((twin, vectors, real) for twin, vectors in described.items())

    if features is not None:
        for twin, vectors, real in beside(features):
            deep, real_deep = vectors[:, mid:], real[:, mid:]
            scores |= {("fid", twin): fid(deep, real_deep), ("kid", twin): kid(deep, real_deep)}
            if mid:
                scores["kid_mid", twin] = kid(vectors[:, :mid], real[:, :mid])
    if gallery is not None:
        for twin, vectors, real in beside(gallery.describe):
            scores["memorisation", twin] = memorisation(vectors, real, gallery)
    return {name: value for name, value in scores.items() if value is not None}


@dataclass
class Tally:
    """Accumulates the figures of one direction by (figure, twin); twin "" is the translation."""

    palette: Palette | None
    describes: Collection[Describe] = ()
    values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    confusion: dict[str, Tensor] = field(default_factory=dict)
    described: dict[tuple[Describe, str], list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    """Vectors (1, D) of all frames, by description and twin."""

    def vectors(self, describe: Describe) -> dict[str, Tensor]:
        """Vectors (N, D) of all frames, by twin."""
        return {twin: torch.cat(rows) for (own, twin), rows in self.described.items() if own == describe}

    def add(self, clip: ClipSet, max_frames: int) -> Iterator[None]:
        """Score a clip frame by frame and yield after each frame.

        Frames are not kept; only thumbnails and vectors are.
        """
        cuts = CutDetector()
        thumbnails: dict[str, list[Pixels]] = defaultdict(list)
        previous: dict[str, Pixels] = {}
        for source, translated, back, truth in _frames(clip, max_frames):
            judged = {"": translated, "_input": source} | ({} if truth is None else {"_truth": truth})
            if not cuts.is_cut(source) and previous:
                self._add_motion(previous, judged)
            previous = judged
            for twin, frame in judged.items():
                thumbnails[twin].append(metrics.thumbnail(frame))
            for describe in self.describes:
                for twin, vector in zip(judged, describe(list(judged.values())).split(1), strict=True):
                    self.described[describe, twin].append(vector)
            self.values["change", ""].append(metrics.mean_difference(translated, source))
            self._add_structure(source, judged)
            if back is not None:
                self.values["cycle_error", ""].append(metrics.mean_difference(back, source))
                self.values["cycle_error", "_input"].append(0.0)
            if truth is not None:
                self._add_truth("", translated, truth)
                self._add_truth("_input", source, truth)
            yield
        for twin, taken in thumbnails.items():
            self.values["diversity", twin] += [metrics.diversity(taken)] * len(taken)

    def scores(self) -> dict[tuple[str, str], float]:
        """Means and derived figures, by (figure, twin)."""
        scores = {name: float(np.mean(values)) for name, values in self.values.items()}
        for twin, confusion in self.confusion.items():
            named = metrics.label_scores(confusion)._asdict()
            scores |= {(name, twin): value for name, value in named.items()}
        varied = {twin: scores[name, twin] for name, twin in scores if name == "diversity"}
        reference = "_truth" if "_truth" in varied else "_input"
        if varied.get(reference):
            scores |= {("collapse", twin): varied[twin] / varied[reference] for twin in varied if twin != reference}
        return scores

    def _add_structure(self, source: Pixels, judged: Mapping[str, Pixels]) -> None:
        for twin, frame in judged.items():
            if twin != "_input" and (alike := metrics.structure(frame, source)) is not None:
                self.values["structure", twin].append(alike)

    def _add_motion(self, previous: dict[str, Pixels], current: dict[str, Pixels]) -> None:
        """Add the scores of a pair of consecutive frames within a shot; the source's flow is computed once."""
        moved = metrics.motion(previous["_input"], current["_input"])
        flows = {
            twin: moved.forward if twin == "_input" else optical_flow(previous[twin], current[twin]) for twin in current
        }
        reference = flows.pop("_truth" if "_truth" in flows else "_input")
        for twin, flow in flows.items():
            self.values["tof", twin].append(metrics.flow_difference(flow, reference))
        for twin, frame in current.items():
            error = metrics.warp_error(previous[twin], frame, moved)
            if error is not None:
                self.values["warp_error", twin].append(error)

    def _add_truth(self, twin: str, frame: Pixels, truth: Pixels) -> None:
        self.values["psnr", twin].append(metrics.psnr(frame, truth))
        self.values["ssim", twin].append(metrics.ssim(frame, truth))
        if self.palette is not None:
            counts = metrics.label_confusion(frame, truth, self.palette)
            self.confusion[twin] = self.confusion.get(twin, 0) + counts


def _frames(clip: ClipSet, limit: int) -> Iterator[tuple[Pixels, Pixels, Pixels | None, Pixels | None]]:
    """Yield corresponding frames of source, translation, back and truth.

    Raises FootageError if sizes or numbers of frames differ, or there are no frames.
    """
    roles = {
        "source": clip.source,
        "translation": clip.translated,
        "back": clip.back,
        "truth": clip.truth,
    }
    size: tuple[int, int] | None = None
    with ExitStack() as stack:
        videos = {r: islice(_open(video, stack), limit) for r, video in roles.items() if video is not None}
        for count in range(limit + 1):
            frames = {r: frame for r, video in videos.items() if (frame := next(video, None)) is not None}
            if not frames and count:
                return
            if len(frames) < len(videos):
                counts = {r: count + (r in frames) + sum(1 for _ in video) for r, video in videos.items()}
                raise FootageError(_mismatch(clip.name, counts, limit))
            size = size or frames["source"].shape[:2]
            whole = {r: _fit(frame, size, clip.name, r) for r, frame in frames.items()}
            yield whole["source"], whole["translation"], whole.get("back"), whole.get("truth")


def _open(video: Video, stack: ExitStack) -> Iterator[Pixels]:
    if isinstance(video, Path):
        reader = open_source(video)
        stack.callback(reader.close)
        return (frame.pixels.astype(np.uint8, copy=False) for frame in reader)
    return iter(video)


def _fit(frame: Pixels, size: tuple[int, int], name: str, role: str) -> Pixels:
    """Crop the row and column with which an encoder pads odd sizes.

    Raises FootageError for any other difference in size, and for frames that are too small to score.
    """
    height, width = size
    if min(size) < metrics.SMALLEST:
        raise FootageError(
            f"{name}: frames of {width}×{height} pixels are too small to score; "
            f"at least {metrics.SMALLEST}×{metrics.SMALLEST} are needed"
        )
    if not is_padded(size, frame.shape[:2]):
        raise FootageError(
            f"{name}: {role} is {frame.shape[1]}×{frame.shape[0]} pixels and the source "
            f"{width}×{height}; both must have the same size, so resize one of them"
        )
    return frame[:height, :width]


def _mismatch(name: str, counts: Mapping[str, int], limit: int) -> str:
    if not any(counts.values()):
        return f"{name}: the videos hold no frames; there is nothing to score"
    named = [f"{role} {n}{' or more' if n == limit else ''}" for role, n in counts.items()]
    return f"{name}: numbers of frames differ: {', '.join(named)}; frames must correspond one to one"
