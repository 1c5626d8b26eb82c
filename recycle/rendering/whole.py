"""Joins the finished segments of an output and the other streams of its source into one file."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from recycle.errors import RecycleError
from recycle.events import Job
from recycle.rendering.segments import join, open_output, open_stream
from recycle.rendering.streams import OtherStreams
from recycle.rendering.stretch import Renderer
from recycle.rendering.work import Work
from recycle.video.codecs import CONTAINERS


@dataclass(frozen=True)
class Whole:
    """The inputs of the joined file.

    Frames in the segments are later by `shift` than in the source, and are moved back by `moved`, both in units of the
    picture's time base.
    """

    work: Work
    stamps: list[int]
    path: Path
    shift: int
    moved: int
    others: OtherStreams
    renderer: Renderer

    def join(self, job: Job) -> None:
        """Write the file; streams that make this fail are converted or left out. Raises Interrupted if the job is
        cancelled."""
        while True:
            try:
                self._write(job)
                return
            except RecycleError:
                raise
            except Exception as error:  # muxers, encoders and converters raise exceptions of any type
                if not self.others.give_up(error):
                    raise

    def _write(self, job: Job) -> None:
        renderer, shift = self.renderer, self.shift
        container, picture, choice = CONTAINERS[self.path.suffix.lower()], renderer.picture, renderer.choice
        projection = renderer.reader.projection
        boxes = projection.boxes_in(container, choice.encoder.name, picture.sample_aspect_ratio)
        boxes = b"" if renderer.compare else boxes
        late, first = (shift - self.moved) * picture.time_base, self.stamps[0] * picture.time_base
        made = renderer.transform.provenance
        segments = [self.work.segment(index) for index in range(self.work.finished())]
        with open_output(f"file:{self.path}", container, picture, spherical=bool(boxes)) as file:
            target = open_stream(file, choice, picture, first=segments[0], boxes=boxes, tag=container in ("mp4", "mov"))
            with self.others.attach(file, target, shift=late, first=first) as passage:
                if made is not None:
                    made.tag(file.metadata)

                def before(time: Fraction) -> None:
                    job.check()
                    passage.copy_until(time - late)

                join(
                    segments,
                    [stamp + shift for stamp in self.stamps],
                    target,
                    choice,
                    picture,
                    before=before,
                    lasting=renderer.reader.lasting,
                    moved=-self.moved,
                )
                passage.finish()
        if made is not None and container in ("mp4", "mov"):
            made.append_to(self.path)
        self.others.conclude(passage)
