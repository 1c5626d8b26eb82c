"""What a run shows of itself now and then: previews of held-out clips, and a score by which the best bundle is kept."""

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from recycle.footage.clips import Split
from recycle.networks.bundle import save_bundle
from recycle.training.preview import held_out_clip, preview, write_preview
from recycle.training.run import Run
from recycle.training.validation import Scores, Validator

BEST = "model-best"
"""Folder of the bundle with the best score."""


class Review:
    """Previews, scores and keeps the best bundle of one run."""

    def __init__(self, run: Run, splits: list[Split], writer: SummaryWriter) -> None:
        self._run, self._writer = run, writer
        self._clips = [held_out_clip(own.held_out) for own in splits]
        self._validate = Validator(
            (splits[0].train, splits[1].train),
            (self._clips[0], self._clips[1]),
            paired=run.pipeline.footage.paired,
        )
        self.scores = Scores.load(run.folder / "validation.json", run.step)

    def hold(self) -> str:
        """Review the averaged weights as they are now; returns the score in words, for a progress line."""
        run, step = self._run, self._run.step
        with run.fabric.autocast():
            rows = preview(run.average.bundle, *(clip.to(run.fabric.device) for clip in self._clips))
        picture = write_preview(rows, run.folder / "previews" / f"step-{step:06d}")
        self._writer.add_image("preview", np.ascontiguousarray(picture), step, dataformats="HWC")
        fake_b, fake_a = (row.chunk(4, dim=-1)[1] for row in rows.values())
        scores = self._validate(fake_a, fake_b)
        for name, value in scores.items():
            self._writer.add_scalar(f"score/{name}", value, step)
        if self.scores.add(step, scores["total"]):
            bundle = run.average.bundle
            bundle.config = bundle.config.model_copy(update={"step": step})
            save_bundle(bundle, run.folder / BEST)
        return f"score {scores['total']:.3f}"
