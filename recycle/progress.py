"""How long work reports its progress: one plain callable, and the rich bar that the command line gives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None], None]
"""Called as `progress(done, total)`, in units of the work (frames, steps, files); total None: unknown."""

StepProgress = Callable[[int, int, str], None]
"""Called as `progress(step, steps, detail)`; the detail is a few words, such as the losses."""


def silent(done: int, total: int | None) -> None:
    """Progress that reports to nobody: the default of every function of the library."""


@contextmanager
def bar(description: str, unit: str = "frames") -> Iterator[Progress]:
    """Show a rich progress line with rate and ETA on standard error while the body runs."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as lines:
        task = lines.add_task(description, total=None, rate="", detail="")

        def report(done: int, total: int | None, detail: str = "") -> None:
            speed = lines.tasks[0].speed
            rate = f"{speed:.1f} {unit}/s" if speed else ""
            lines.update(task, completed=done, total=total, rate=rate, detail=detail)

        yield report
