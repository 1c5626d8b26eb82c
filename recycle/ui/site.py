"""What all browsers share: the queue, the files, and the folder of the runs; and the works that the page can add."""

import tempfile
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from time import monotonic
from typing import Any

import recycle
from recycle.errors import ConfigError, Interrupted
from recycle.evaluation.playable import plays_in_browsers
from recycle.events import Job
from recycle.names import plain
from recycle.rendering.render import RenderReport
from recycle.runs.listing import RunInfo
from recycle.runs.preset import Choice
from recycle.runs.wishes import Wishes
from recycle.ui.desk import Desk, Work
from recycle.ui.shelf import Shelf
from recycle.video.masks import MOTION
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
    masks: tuple[str, str] = ("", "")
    """Paths of the masks of the footage; '' if there are none."""
    start_from: str = ""
    """Folder of the model from which training starts; '' for none."""
    name: str = ""
    """Name of the run's folder; '' for one after the footage."""


@dataclass(frozen=True)
class Translated:
    """The result of a translation, for the player."""

    output: Path
    source: Path | None
    """The source, or a copy that browsers can play; None if there is none."""
    preview: bool
    resumed: int = 0
    """Number of its frames that an earlier, interrupted translation had finished."""


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
        asked = _asked(form)
        footage = {name: asked.get(name) for name in ("a", "b")}
        wishes = Wishes(footage, None, form.hours, form.steps, domains=asked["domains"])
        given = bool(form.a or form.b)
        if given:
            wishes.check()
        usual = "-".join(form.names) if all(form.names) else wishes.name if given else Path(form.start).stem
        folder = _free(self.runs / (form.name.strip() or usual))
        pipeline = None if form.start == CHOOSE else Path(form.start)

        def call(job: Job) -> object:
            return recycle.train(pipeline, out=folder, job=job, **asked)

        return self.desk.add(Work("train", f"Training {plain(folder.name)}", call, folder))

    def plan(self, form: Training) -> Choice:
        """The pipeline that would be chosen. Raises ConfigError for a form that is not complete; see `recycle.plan`."""
        return recycle.plan(**_asked(replace(form, start=CHOOSE)))

    def resume(self, folder: Path, *, hours: float | None = None, steps: int | None = None) -> Work:
        """Queue the continuation of a run."""

        def call(job: Job) -> object:
            return recycle.resume(folder, hours=hours, steps=steps, job=job)

        return self.desk.add(Work("train", f"Training {plain(folder.name)}", call, folder))

    def translate(
        self,
        source: str,
        output: str,
        *,
        model: str,
        to: str,
        overwrite: bool = False,
        preview: bool = False,
        mask: str = "",
        **settings: Any,
    ) -> Work:
        """Queue the translation of a file or a folder, or of four seconds of a file.

        `mask` is the path of a mask or MOTION; `settings` are further ones of `TranslateSettings`. Raises ConfigError.
        """
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
        if mask.strip():
            settings["mask"] = MOTION if mask.strip() == MOTION else _existing(mask, "the mask")
        what = f"{'Preview of' if preview else 'Translating'} {plain(path.name)} → {to}"

        def call(job: Job) -> object:
            part = preview and not still
            report = recycle.translate(
                path,
                goal,
                model=model,
                to=to,
                preview=part,
                overwrite=overwrite or preview,
                retry_failed=True,
                job=job,
                **settings,
            )
            beside = self._beside(path, preview, job) if goal.is_file() and not still else None
            return Translated(goal, beside, preview, report.resumed if isinstance(report, RenderReport) else 0)

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


def _asked(form: Training) -> dict[str, Any]:
    """The arguments that `recycle.train` and `recycle.plan` share. Raises ConfigError if the form is not complete."""
    paths = {"a": form.a, "b": form.b, "mask_a": form.masks[0], "mask_b": form.masks[1]}
    what = {"a": "footage A", "b": "footage B", "mask_a": "the mask of A", "mask_b": "the mask of B"}
    needed = ("a", "b") if form.start == CHOOSE or any(path.strip() for path in paths.values()) else ()
    if any(form.names) and not all(form.names):
        raise ConfigError("give names for both domains, or for none")
    return {
        **{name: [_existing(path, what[name])] for name, path in paths.items() if path.strip() or name in needed},
        "domains": form.names if all(form.names) else None,
        "hours": form.hours,
        "steps": form.steps,
        "start_from": form.start_from or None,
    }


def _existing(text: str, what: str) -> Path:
    path = Path(text.strip()).expanduser().absolute() if text.strip() else None
    if path is None:
        raise ConfigError(f"{what} is missing; choose a file or a folder")
    if not path.exists():
        raise ConfigError(f"{path} does not exist; choose another file or folder for {what}")
    return path


def _free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, … that does not exist."""
    numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))
    return next(own for own in chain((path,), numbered) if not own.exists())
