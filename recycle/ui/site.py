"""What all browsers share: the queue, the files, and the folder of the runs; and the works that the page can add."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic

import recycle
from recycle.errors import ConfigError, Interrupted
from recycle.evaluation.playable import plays_in_browsers
from recycle.events import Job
from recycle.names import plain
from recycle.runs.listing import RunInfo
from recycle.runs.wishes import Wishes
from recycle.ui.desk import Desk, Work
from recycle.ui.shelf import Shelf
from recycle.video.numbered import IMAGE_SUFFIXES

CHOOSE = "choose"
"""Stands for the pipeline that recycle chooses for the footage."""
FILE = "file"
"""Stands for a pipeline file of the user."""
_AGE = 1.0
"""Seconds for which a list of runs stays valid."""
_COPIED = 600
"""Maximum length in seconds of a source that is copied for the player because browsers cannot play it."""


@dataclass(frozen=True)
class Training:
    """What the form for a new training holds."""

    start: str = CHOOSE
    """CHOOSE, the name of an included pipeline, or the path of a pipeline file."""
    a: str = ""
    b: str = ""
    """Paths of the footage."""
    names: tuple[str, str] = ("", "")
    """Names of the domains; '' if not given."""
    hours: float | None = None
    steps: int | None = None
    """Length; at most one of the two. Both None: as the pipeline says."""
    name: str = ""
    """Name of the run's folder; '' for one after the footage."""


@dataclass(frozen=True)
class Translated:
    """The result of a translation, for the player."""

    output: Path
    source: Path | None
    """The source, or a copy that browsers can play; None if there is none."""
    preview: bool


@dataclass
class Site:
    """The state of the server."""

    runs: Path
    """Folder in which new runs are made and the runs of the lists lie."""
    work: Path = field(default_factory=Path.cwd)
    """Folder for uploads, translations and comparisons."""
    desk: Desk = field(default_factory=Desk)

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.work / "uploads")
        self._scratch = tempfile.TemporaryDirectory(prefix="recycle-ui-")
        self._number = count(1)
        self._found: list[RunInfo] = []
        self._read = -_AGE

    def close(self) -> None:
        """Stop the work, wait until it is saved, and remove temporary files."""
        self.desk.close()
        self._scratch.cleanup()

    def scratch(self, name: str) -> Path:
        """A new path in the folder for temporary files."""
        return Path(self._scratch.name) / f"{next(self._number)}-{name}"

    def list_runs(self) -> list[RunInfo]:
        """The runs, read again after _AGE seconds: every open page asks twice a second."""
        if monotonic() - self._read > _AGE:
            self._found, self._read = recycle.list_runs(self.runs), monotonic()
        return self._found

    def train(self, form: Training) -> Work:
        """Queue a new training. Raises ConfigError for a form that is not complete."""
        own = form.start != CHOOSE and not (form.a or form.b)
        footage = {"a": [_existing(form.a, "footage A")], "b": [_existing(form.b, "footage B")]} if not own else {}
        pipeline = None if form.start == CHOOSE else Path(form.start)
        if any(form.names) and not all(form.names):
            raise ConfigError("give names for both domains, or for none")
        wishes = Wishes(footage, None, form.hours, form.steps, domains=form.names if all(form.names) else None)
        if not own:
            wishes.check()
        usual = Path(form.start).stem if own else "-".join(form.names) if all(form.names) else wishes.name
        folder = _free(self.runs / (form.name.strip() or usual))

        def call(job: Job) -> object:
            return recycle.train(
                pipeline,
                a=footage.get("a", ()),
                b=footage.get("b", ()),
                domains=wishes.domains,
                out=folder,
                hours=form.hours,
                steps=form.steps,
                job=job,
            )

        return self.desk.add(Work("train", f"Training {plain(folder.name)}", call, folder))

    def resume(self, folder: Path, *, hours: float | None = None, steps: int | None = None) -> Work:
        """Queue the continuation of a run."""

        def call(job: Job) -> object:
            return recycle.resume(folder, hours=hours, steps=steps, job=job)

        return self.desk.add(Work("train", f"Training {plain(folder.name)}", call, folder))

    def translate(
        self, source: str, output: str, *, model: str, to: str, overwrite: bool = False, preview: bool = False
    ) -> Work:
        """Queue the translation of a file or a folder, or of four seconds of a file. Raises ConfigError."""
        path = _existing(source, "the video or folder to translate")
        if not model:
            raise ConfigError("choose a model first; a training makes one")
        still = path.suffix.lower() in IMAGE_SUFFIXES
        if preview:
            goal = self.scratch(f"{path.stem}-{to}{path.suffix if still else '.mp4'}")
        elif output.strip():
            goal = Path(output.strip()).expanduser().absolute()
        else:
            raise ConfigError("say where to write the translation")
        what = f"{'Preview of' if preview else 'Translating'} {plain(path.name)} → {to}"

        def call(job: Job) -> object:
            part = preview and not still
            recycle.translate(path, goal, model=model, to=to, preview=part, overwrite=overwrite or preview, job=job)
            moving = goal.is_file() and not still
            return Translated(goal, self._beside(path, preview, job) if moving else None, preview)

        return self.desk.add(Work("translate", what, call))

    def _beside(self, source: Path, preview: bool, job: Job) -> Path | None:
        """The source in a form that browsers can play beside its translation; None if that takes too long."""
        if not preview:
            if source.is_file() and plays_in_browsers(source):
                return source
            length = recycle.probe(source, cuts=False).duration_seconds
            if length is None or length > _COPIED:
                return None
        copy = self.scratch(f"{source.stem}.mp4")
        quiet = job.observed_by(lambda event: None)
        try:
            recycle.translate(source, copy, model="identity", to="b", preview=preview, job=quiet)
        except Interrupted:  # the translation itself is done
            return None
        return copy

    def compare(self, folders: list[Path], *, a: str = "", b: str = "") -> Work:
        """Queue a comparison of runs. Raises ConfigError for fewer than two."""
        if len(folders) < 2:
            raise ConfigError("choose at least two runs to compare")
        clips = {name: [_existing(path, f"the video of {name}")] if path else [] for name, path in (("a", a), ("b", b))}
        page = self.work / "comparisons" / f"{'-'.join(folder.name for folder in folders)[:100]}.html"

        def call(job: Job) -> object:
            recycle.compare(folders, page, a=clips["a"], b=clips["b"], job=job)
            return page

        return self.desk.add(Work("compare", f"Comparing {len(folders)} runs", call))

    def suggest(self, source: str, to: str) -> str:
        """A free path for the translation of `source`; '' without a source."""
        if not source.strip():
            return ""
        path = Path(source.strip())
        still = path.suffix.lower() in IMAGE_SUFFIXES
        suffix = "" if path.is_dir() else path.suffix if still else ".mp4"
        name = path.name if path.is_dir() else path.stem
        return str(_free(self.work / "translated" / f"{name}-{to}{suffix}"))


def _existing(text: str, what: str) -> Path:
    path = Path(text.strip()).expanduser().absolute() if text.strip() else None
    if path is None:
        raise ConfigError(f"{what} is missing; choose a file or a folder")
    if not path.exists():
        raise ConfigError(f"{path} does not exist; choose another file or folder for {what}")
    return path


def _free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, … that does not exist."""
    names: Callable[[int], Path] = lambda number: path.with_name(f"{path.stem}-{number}{path.suffix}")  # noqa: E731
    return path if not path.exists() else next(own for number in count(2) if not (own := names(number)).exists())
