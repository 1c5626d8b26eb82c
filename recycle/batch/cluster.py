"""Translates the files of a folder on a Ray cluster: one model per GPU or per group of cores.

Ray places the workers and restarts those that die. Source: Moritz et al., "Ray: A Distributed Framework for Emerging AI
Applications", OSDI 2018.
"""

import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import torch

from recycle import __version__
from recycle.batch.engine import Changed, awaits_disk, translate_one
from recycle.batch.ledger import Entry
from recycle.batch.plan import Plan
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.errors import ConfigError, Interrupted
from recycle.events import Event, FileState, Job, Progress
from recycle.networks.bundle import Bundle
from recycle.rendering.parts import Part
from recycle.rendering.parts import split as split_video
from recycle.system.crash import unexpected
from recycle.system.places import is_here
from recycle.translation.translator import Translator
from recycle.video.codecs import AddedCodec, add_codec, added_codecs
from recycle.video.encode import output_errors
from recycle.video.source import Source, add_source, added_kinds

try:
    import ray
    from ray.util.queue import Queue
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    ray = None

ATTEMPTS = 3
"""Number of workers that may die while translating a file before the file counts as failed."""

_DEADLY = (
    f"{ATTEMPTS} workers died while translating it, perhaps because memory ran out; see their logs in Ray's session "
    "folder"
)
_CORES = 4
"""Cores of a worker without a GPU; more do not speed up one network much."""
_CONNECT_SECONDS = 5.0
_START_SECONDS = 300.0
_REPORT_SECONDS = 0.5
_POLL_SECONDS = 0.2


class Added(NamedTuple):
    """The kinds of source and the codecs that this program added; each worker adds them too.

    Ray sends classes of the program's own script by value, and classes of a module by the name of the module.
    """

    kinds: tuple[type[Source], ...]
    codecs: tuple[AddedCodec, ...]

    @classmethod
    def here(cls) -> "Added":
        """What was added in this process."""
        return cls(added_kinds(), added_codecs())

    def add(self) -> None:
        """Add them in a new process."""
        for kind in reversed(self.kinds):
            add_source(kind)
        for codec in self.codecs:
            add_codec(codec.codec, codec.encoder, options=codec.options)


class Worker:
    """A process with one model on a machine of the cluster; a Ray actor."""

    def __init__(self, to: Domain, settings: TranslateSettings, overwrite: bool, cores: int, added: Added) -> None:
        torch.set_num_threads(cores)
        added.add()
        self._translator: Translator | None = None
        self._to = to
        self._settings = settings
        self._overwrite = overwrite

    def lacks(self, shared: list[Any], token: Path, version: str) -> str:
        """Why this process cannot work, as the rest of a sentence; '' if it can. `token` is a file that the caller
        wrote."""
        if version != __version__:
            return f"has recycle {__version__}, not {version}; install the same version on all machines"
        if not token.exists():
            return f"cannot see {token.parent}; use a file system that all machines share, or a URL"
        try:
            self._load(shared)
        except ConfigError as error:
            return f"cannot run the model: {error}"
        return ""

    def ready(self) -> None:
        """Return once the process has started."""

    def translate(self, shared: list[Any], one: Plan, part: Part | None, split: bool) -> Entry | list[Part] | None:
        """Translate a file and return its entry; with `split`, return the parts of a long file instead.

        With `part`, translate only that part and return None. `shared` holds the reference of the bundle, which is
        fetched once, and a queue that receives (name, part, frames done, total) as progress. Errors in a part are
        ignored: the final pass over the file meets them again and reports them.
        """
        translator = self._load(shared)
        told = 0.0

        def observe(event: Event) -> None:
            nonlocal told
            if not isinstance(event, Progress) or not event.done:
                return
            if time.monotonic() - told >= _REPORT_SECONDS or (part is not None and event.done == len(part.stamps)):
                told = time.monotonic()
                shared[1].put((one.job.name, part and part.segment, event.done, event.total))

        file, to, settings, job = one.job, self._to, one.job.settings(self._settings), Job(observe)
        if part is not None:
            with suppress(Exception):
                translator.translate_part(file.source, file.output, part, to=to, settings=settings, job=job)
            return None
        if split and is_here(file.source) and is_here(file.output) and (self._overwrite or not file.output.exists()):
            with suppress(Exception):
                parts = split_video(file.source, file.output, settings=settings, key=translator.key(to, settings))
                if parts:
                    return parts
        return translate_one(one, translator, to=to, settings=settings, overwrite=self._overwrite, job=job)

    def _load(self, shared: list[Any]) -> Translator:
        if self._translator is None:
            bundle, settings = ray.get(shared[0]), self._settings
            self._translator = Translator(bundle, device=settings.device, precision=settings.precision)
        return self._translator


@dataclass(eq=False)
class _File:
    """A file that the cluster is translating."""

    plan: Plan
    started: float = 0.0
    parts: int = 0
    """Number of unfinished parts; 0 if the file is not split."""
    frames: dict[int | None, int] = field(default_factory=dict)
    """Completed frames, by the first segment of each part."""


@dataclass(frozen=True, eq=False)
class _Task:
    """The unit of work of a worker: a file, or a part of one."""

    file: _File
    part: Part | None = None
    split: bool = False
    """Whether the worker may return the file's parts instead of translating it."""
    deaths: int = 0
    """Number of workers that died while working on it."""


@dataclass(frozen=True)
class Cluster:
    """Engine (see `recycle.batch.engine.Engine`) with the workers of a Ray cluster; made by `connect`."""

    workers: tuple[Any, ...]
    model: Any
    """Ray's reference of the bundle."""
    events: Any

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Translate the file of each plan, long ones in parts; the task of a worker that dies goes to another worker.

        Finished segments are not rendered again. After a disk failure no further file is started. Raises
        KeyboardInterrupt after Ctrl-C, and Interrupted if the job is cancelled; the workers then end with the
        connection.
        """
        files = {one.job.name: _File(one) for one in plans}
        waiting = deque(_Task(file, split=True) for file in files.values())
        idle = list(self.workers)
        running: dict[Any, tuple[Any, _Task | None]] = {}  # None: the worker is restarting
        try:
            while waiting or any(task for _, task in running.values()):
                job.check()
                while waiting and idle:
                    task, worker = waiting.popleft(), idle.pop()
                    if not task.file.started:
                        task.file.started = time.monotonic()
                        changed(task.file.plan, task.file.plan.entry.model_copy(update={"state": "running"}))
                    reference = worker.translate.remote(
                        [self.model, self.events], task.file.plan, task.part, task.split
                    )
                    running[reference] = worker, task
                finished, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                for name, part, done, total in self.events.get_nowait_batch(self.events.size()):
                    if name in files:
                        files[name].frames[part] = done
                        done_parts = sum(files[name].frames.values())
                        frames = files[name].frames.get(None, done_parts)
                        job.emit(FileState(name, "running", done=frames, total=total))
                for result in finished:
                    worker, doing = running.pop(result)
                    try:
                        answer = ray.get(result)
                    except ray.exceptions.RayTaskError as error:  # a programming error, or one of the machine
                        idle.append(worker)
                        follow = [] if doing is None else _after_error(doing, error, changed)
                    except ray.exceptions.RayError:  # the worker died; Ray restarts it, perhaps on another machine
                        running[worker.ready.remote()] = worker, None
                        follow = [] if doing is None else _after_death(doing, changed)
                    else:
                        idle.append(worker)
                        follow = [] if doing is None else _after(doing, answer, changed)
                        if isinstance(answer, Entry) and awaits_disk(answer):
                            waiting.clear()
                    waiting.extendleft(reversed(follow))
        except (KeyboardInterrupt, Interrupted):
            for one in {task.file.plan for _, task in running.values() if task is not None}:
                changed(one, one.entry.model_copy(update={"state": "waiting"}))
            raise


def _after(task: _Task, answer: Entry | list[Part] | None, changed: Changed) -> list[_Task]:
    """Tasks that follow after `task` returned `answer` (see `Worker.translate`)."""
    file = task.file
    if isinstance(answer, list):
        file.parts = len(answer)
        return [_Task(file, part) for part in answer]
    if answer is not None:
        if file.frames.keys() - {None}:  # translated in parts: the entry has only the time of the final pass
            answer = answer.model_copy(update={"seconds": round(time.monotonic() - file.started, 2)})
        changed(file.plan, answer)
        return []
    file.parts -= 1
    return [] if file.parts else [_Task(file)]


def _after_error(task: _Task, error: Exception, changed: Changed) -> list[_Task]:
    """Tasks that follow after `task` raised an error that is not the file's fault."""
    if task.part is not None:
        return _after(task, None, changed)
    cause = getattr(error, "cause", None) or error
    reason = unexpected(cause)
    changed(task.file.plan, task.file.plan.entry.model_copy(update={"state": "failed", "reason": reason}))
    return []


def _after_death(task: _Task, changed: Changed) -> list[_Task]:
    """Tasks that follow after the worker of `task` died."""
    if task.deaths + 1 < ATTEMPTS:
        return [replace(task, deaths=task.deaths + 1)]
    if task.part is not None:
        return _after(task, None, changed)  # the final pass over the whole file may still succeed
    changed(task.file.plan, task.file.plan.entry.model_copy(update={"state": "failed", "reason": _DEADLY}))
    return []


@contextmanager
def connect(
    address: str,
    bundle: Bundle | None,
    *,
    to: Domain,
    settings: TranslateSettings,
    out: Path,
    overwrite: bool = False,
    at_once: int | None = None,
) -> Iterator[Cluster]:
    """Connect to a Ray cluster, start workers, and stop them at the end.

    `address` is 'auto' (the cluster of this machine or of RAY_ADDRESS, else a temporary one on this machine), 'local'
    (always a temporary one on this machine), or HOST:PORT. `at_once` is the number of workers; by default one per GPU,
    or one per 4 cores without GPUs. Raises ConfigError if Ray is not installed, the cluster cannot be reached, or one
    of its machines cannot work.
    """
    if ray is None:
        raise ConfigError("a cluster needs Ray; run: pip install 'recycle[cluster]'")
    where = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if where not in ("", "auto", "local"):
        _check_address(where)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=None if address == "auto" else address,
            include_dashboard=False if address in ("auto", "local") else None,
            logging_level="CRITICAL",
            log_to_driver=False,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"cannot join the Ray cluster at '{address}': {reason}; if it has token authentication, set "
            "RAY_AUTH_MODE=token"
        ) from error
    with suppress(ValueError):  # raised outside the main thread
        signal.signal(signal.SIGTERM, on_term)  # Ray replaced the handler
    try:
        count, resources = _share(settings, at_once)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        model = ray.put(bundle)
        actor = ray.remote(Worker).options(max_restarts=-1, max_task_retries=0, **resources)
        cores = max(1, int(resources["num_cpus"]))
        workers = [actor.remote(to, settings, overwrite, cores, Added.here()) for _ in range(count)]
        with output_errors(out):
            _check(workers, [model, events], out)
        yield Cluster(tuple(workers), model, events)
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise ConfigError unless HOST:PORT accepts connections; Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no Ray cluster at '{address}': {error}; 'ray start --head' starts one and prints its address"
        ) from error


def _share(settings: TranslateSettings, at_once: int | None) -> tuple[int, dict[str, float]]:
    """The number of workers, and the resources of each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes)) if settings.device in ("auto", "cuda") else 0
    if gpus:
        count = at_once or gpus
        with_gpu = [node for node in nodes if node.get("GPU", 0)]
        cores = min(node.get("CPU", 1) / node["GPU"] for node in with_gpu) * gpus / count
        return count, {"num_gpus": 1 / ceil(count / gpus), "num_cpus": max(1, int(cores))}
    cores_of = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if at_once is None:
        share = min([_CORES, *cores_of])
        return max(1, sum(cores // share for cores in cores_of)), {"num_cpus": share}
    share = max(1, sum(cores_of) // at_once)
    while share > 1 and sum(cores // share for cores in cores_of) < at_once:
        share -= 1
    return at_once, {"num_cpus": share}


def _check(workers: Sequence[Any], shared: list[Any], out: Path) -> None:
    """Raise ConfigError unless every worker starts and can see the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    token = out / f".{uuid4().hex}.{socket.gethostname()}.partial"
    token.touch()
    try:
        answers = [worker.lacks.remote(shared, token, __version__) for worker in workers]
        problems = [problem for problem in ray.get(answers, timeout=_START_SECONDS) if problem]
    except ray.exceptions.GetTimeoutError as error:
        raise ConfigError(
            f"the cluster has no resources for {len(workers)} workers, or they do not start; give a smaller --at-once"
        ) from error
    except ray.exceptions.RayError as error:
        cause = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
        raise ConfigError(f"a worker of the cluster cannot start: {cause}") from error
    finally:
        token.unlink()
    if problems:
        raise ConfigError(f"a machine of the cluster {problems[0]}")
