"""Reviews during training: previews of held-out clips, and a score by which the best bundle is kept."""

import numpy as np
from torch import Tensor

from recycle.dataset.shots import Split
from recycle.domains import BY_TARGET, DOMAINS, Direction
from recycle.events import Job
from recycle.events import Review as Reviewed
from recycle.system.disk import writing
from recycle.system.memory import release
from recycle.system.out_of_memory import is_out_of_memory
from recycle.training.logs import Logs
from recycle.training.preview import Columns, held_out_clip, held_out_name, preview, write_held_out, write_preview
from recycle.training.run import Run
from recycle.training.validation import Scores, Validator


class Review:
    """Makes previews and scores, and keeps the best bundle of one run."""

    def __init__(self, run: Run, splits: list[Split], logs: Logs, job: Job) -> None:
        self._run, self._logs, self._job = run, logs, job
        self._batch_size = 4  # 0: a single frame does not fit into memory
        self._clips = [held_out_clip(own.held_out) for own in splits]
        names = [held_out_name(own.held_out, domain) for domain, own in zip(DOMAINS, splits, strict=True)]
        clips = zip(names, splits, self._clips, strict=True)
        self._keep({name: (own, clip) for name, own, clip in clips if own.unseen})
        self._validate = Validator(
            (splits[0].train, splits[1].train),
            (self._clips[0], self._clips[1]),
            paired=run.pipeline.footage.paired,
        )
        self.scores = Scores.load(run.where.validation, run.step, held_out=names, kind=self._validate.kind)
        if self.scores.outdated:
            job.say(
                "the validation score is computed differently than when this run began: scores start over, and the "
                f"next review writes {run.where.best.name}"
            )

    def _keep(self, held_out: dict[str, tuple[Split, Tensor]]) -> None:
        """Write these clips as videos to the run's folder, and delete other clips there."""
        folder = self._run.where.held_out
        with writing(folder):
            folder.mkdir(exist_ok=True)
        for old in folder.glob(f"[{''.join(DOMAINS)}]-*.mp4"):
            if old.name not in held_out:
                old.unlink()
        for name, (own, clip) in held_out.items():
            if not (folder / name).exists():
                with writing(folder / name):
                    write_held_out(own.held_out, clip, folder / name)

    def hold(self) -> None:
        """Review the current averaged weights, and emit the result.

        Whole frames need more memory than crops; if a single frame does not fit, there are no reviews.
        """
        run, step = self._run, self._run.step
        rows = self._rows()
        if rows is None:
            return
        stem = run.where.preview(step)
        picture = write_preview(rows, run.pipeline.domains, stem)
        self._logs.add_image("preview", np.ascontiguousarray(picture), step)
        scores = self._validate(*(rows[d].translated for d in BY_TARGET))
        self._logs.add_scalars({f"score/{name}": value for name, value in scores.items()}, step)
        if self.scores.add(step, scores["total"]):
            run.write_bundle(run.where.best)
        self._job.emit(Reviewed(step, scores["total"], stem.with_suffix(".png")))

    def _rows(self) -> dict[Direction, Columns] | None:
        run = self._run
        while self._batch_size:
            try:
                with run.fabric.autocast():
                    clips = (clip.to(run.fabric.device) for clip in self._clips)
                    return preview(run.average.bundle, *clips, batch_size=self._batch_size)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            release(run.fabric.device)
            self._batch_size //= 2
            if not self._batch_size:
                sizes = " and ".join("x".join(map(str, clip.shape[-2:])) for clip in self._clips)
                self._job.say(
                    f"step {run.step}: whole held-out frames ({sizes}) do not fit into memory: from now on there are "
                    f"no previews, no validation scores and no {run.where.best.name}; extract with a smaller "
                    "short_side"
                )
        return None
