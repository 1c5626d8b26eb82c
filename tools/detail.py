"""Measure what the fine detail of the source does to a translation: `detail` of 0, 0.5 and 1.

Usage, from the repository's folder:
    python -m tools.detail MODEL SOURCE --to DOMAIN [--real VIDEO] [--truth VIDEO] [--sheet PICTURE]

MODEL is the folder of a run or of a bundle, SOURCE a video that has more lines than the model was trained with. The
kernel distances are those of tools.reproduce, but from frames of up to 512 lines. The time is that of whole files.
"""

import argparse
import tempfile
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
import torch

from recycle.config import TranslateSettings
from recycle.evaluation.metrics import evenly, psnr, ssim
from recycle.inputs import open_source
from recycle.networks.distance import kernel_distance
from recycle.run_folder import model_in
from recycle.translation.translator import Translator
from tools.reproduction.judge import FRAMES, STRIDES, Features, describe, edges, mean_warp_error, structure
from tools.reproduction.task import Clip, Film

SHARES = (0.0, 0.5, 1.0)
"""Values of `detail`, in the order of the lines."""
ROUNDS = 3
"""Number of times that a file is translated with each share, in turns."""
LINES = 512
"""Most lines of a frame that the judge sees."""


def frames_of(video: Path, most: int, step: int = 1) -> Clip:
    """At most `most` frames of a video, each `step`-th from its first, uint8 RGB (T, H, W, 3)."""
    with open_source(video) as reader:
        chosen = islice(reader, 0, most * step, step)
        return np.stack([np.asarray(frame.pixels, np.uint8) for frame in chosen])


def spread(video: Path) -> Clip:
    """FRAMES frames of a whole video, evenly spread."""
    with open_source(video) as reader:
        count = sum(1 for _ in reader)
    return frames_of(video, FRAMES, max(1, count // FRAMES))


def scores(made: Clip, film: Film, real: Features | None, lines: int) -> dict[str, float]:
    """Name → score of a translation of `film`, in the order of the columns. `real` is of frames of `lines`."""
    found: dict[str, float] = {}
    if film.truth is not None:
        pairs = list(zip(made, film.truth, strict=False))
        found |= {name: float(np.mean([of(*pair) for pair in pairs])) for name, of in (("PSNR", psnr), ("SSIM", ssim))}
    if real is not None:
        ours = describe(list(made), lines=lines)
        for name, figure in zip(("KD, mid", "KD, deep"), STRIDES, strict=True):
            found[name] = kernel_distance(torch.from_numpy(ours[figure]), torch.from_numpy(real[figure]))
    chosen = evenly(len(made), FRAMES)
    for name, of in (("structure", structure), ("edges", edges)):
        found[name] = float(np.mean([of(made[i], film.frames[i]) for i in chosen]))
    error, own = (mean_warp_error([clip], [film.motions]) for clip in (made, film.frames))
    return found | ({"warp ÷ source's": error / own} if error is not None and own else {})


def times_of(translator: Translator, source: Path, to: str, stabilise: float) -> list[float]:
    """Median seconds of translating a file, for each of SHARES."""
    taken: list[list[float]] = [[] for _ in SHARES]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for share, seconds in zip(SHARES, taken, strict=True):
                output = Path(folder, f"{number}-{share}.mp4")
                started = perf_counter()
                settings = TranslateSettings(detail=share, stabilise=stabilise)
                translator.translate_video(source, output, to=to, settings=settings)
                seconds.append(perf_counter() - started)
    return [median(seconds) for seconds in taken]


def main() -> None:
    """Print a table with a line for each share, and one for the source itself."""
    parser = argparse.ArgumentParser("python -m tools.detail", description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--to", required=True, help="domain, by its letter or name")
    parser.add_argument("--real", type=Path, help="real video of that domain")
    parser.add_argument("--truth", type=Path, help="the true translation")
    parser.add_argument("--frames", type=int, default=64, help="number of frames that are scored")
    parser.add_argument("--stabilise", type=float, default=0.0)
    parser.add_argument("--sheet", type=Path, help="PNG to write: the middle frame of source and translations")
    chosen = parser.parse_args()
    source = frames_of(chosen.source, chosen.frames)
    truth = None if chosen.truth is None else frames_of(chosen.truth, chosen.frames)
    film, lines = Film.of(source, truth), min(LINES, source.shape[1])
    real = None if chosen.real is None else describe(list(spread(chosen.real)), lines=lines)
    translator = Translator.from_pretrained(model_in(chosen.model))
    options = {"to": chosen.to, "latency": 8, "stabilise": chosen.stabilise}
    made = [np.stack(list(translator.stream(source, detail=share, **options))) for share in SHARES]
    rows = [scores(clip, film, real, lines) for clip in (source, *made)]
    times = times_of(translator, chosen.source, chosen.to, chosen.stabilise)
    print(f"| | {' | '.join((*rows[0], 'time'))} |\n|---{'|---' * (len(rows[0]) + 1)}|")
    names = ("source", *(f"detail {share:g}" for share in SHARES))
    for name, row, seconds in zip(names, rows, (None, *times), strict=True):
        time = "" if seconds is None else f"{seconds / times[0]:.2f}"
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in row.values())} | {time} |")
    if chosen.sheet is not None:
        shown = np.concatenate([clip[len(clip) // 2] for clip in (source, *made)], axis=0)
        cv2.imwrite(str(chosen.sheet), cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
