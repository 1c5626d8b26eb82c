"""The finished segments of an output and the other streams of its source become one file."""

from fractions import Fraction
from pathlib import Path

from recycle.errors import RecycleError
from recycle.events import Job
from recycle.footage.codecs import CONTAINERS
from recycle.translation.segments import join, open_output, open_stream
from recycle.translation.streams import OtherStreams
from recycle.translation.stretch import Renderer
from recycle.translation.work import Work


def join_whole(
    work: Work,
    stamps: list[int],
    whole: Path,
    shift: int,
    moved: int,
    others: OtherStreams,
    renderer: Renderer,
    job: Job,
) -> None:
    """Join the segments and the other streams into `whole`; a stream that makes this fail is left out.

    Frames of the segments are later by `shift` than in the source, and set back by `moved`, both in units of the
    picture's time base. Raises Interrupted where the job is cancelled.
    """
    while True:
        try:
            _write(work, stamps, whole, shift, moved, others, renderer, job)
            return
        except RecycleError:
            raise
        except Exception as error:  # of a muxer, encoder or converter: any kind
            if not others.give_up(error):
                raise


def _write(
    work: Work,
    stamps: list[int],
    whole: Path,
    shift: int,
    moved: int,
    others: OtherStreams,
    renderer: Renderer,
    job: Job,
) -> None:
    container, picture, choice = CONTAINERS[whole.suffix.lower()], renderer.picture, renderer.choice
    projection = renderer.reader.projection
    boxes = projection.boxes_in(container, choice.encoder.name, picture.sample_aspect_ratio)
    boxes = b"" if renderer.compare else boxes
    late, first = (shift - moved) * picture.time_base, stamps[0] * picture.time_base
    segments = [work.segment(index) for index in range(work.finished())]
    with open_output(f"file:{whole}", container, picture, spherical=bool(boxes)) as file:
        target = open_stream(file, choice, picture, first=segments[0], boxes=boxes, tag=container in ("mp4", "mov"))
        with others.attach(file, target, shift=late, first=first) as passage:

            def before(time: Fraction) -> None:
                job.check()
                passage.copy_until(time - late)

            join(
                segments,
                [stamp + shift for stamp in stamps],
                target,
                choice,
                picture,
                before=before,
                lasting=renderer.reader.lasting,
                moved=-moved,
            )
            passage.finish()
    others.conclude(passage)
