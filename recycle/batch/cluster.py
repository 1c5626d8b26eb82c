"""Translates the files of a folder on a Ray cluster: one worker per GPU or per group of cores.

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

from recycle import __version__
from recycle.batch.engine import Changed, awaits_disk
from recycle.batch.ledger import Entry
from recycle.batch.plan import Plan
from recycle.batch.threads import files_at_once
from recycle.batch.worker import Added, Offer, Shared, Worker
from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.errors import ConfigError, Interrupted
from recycle.events import FileState, Job
from recycle.networks.bundle import Bundle
from recycle.rendering.parts import Part
from recycle.system.crash import unexpected
from recycle.system.devices import Used
from recycle.video.encode import output_errors

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
_SLOW_TO_FAST: tuple[Used, ...] = ("fp32", "fp16", "bf16", "int8")
_POLL_SECONDS = 0.2


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
    at_once: int
    """Number of tasks that a worker does at a time."""
    shared: Shared

    def run(self, plans: Sequence[Plan], changed: Changed, job: Job) -> None:
        """Translate the file of each plan, long ones in parts; the task of a worker that dies goes to another worker.

        Finished segments are not rendered again. After a disk failure no further file is started. Raises
        KeyboardInterrupt after Ctrl-C, and Interrupted if the job is cancelled; the workers then end with the
        connection.
        """
        files = {one.job.name: _File(one) for one in plans}
        waiting = deque(_Task(file, split=True) for file in files.values())
        idle = list(self.workers) * self.at_once
        running: dict[Any, tuple[list[Any], _Task | None]] = {}  # None: the worker is restarting
        try:
            while waiting or any(task for _, task in running.values()):
                job.check()
                while waiting and (places := self._take(idle, waiting[0])):
                    task = waiting.popleft()
                    if not task.file.started:
                        task.file.started = time.monotonic()
                        changed(task.file.plan, task.file.plan.entry.model_copy(update={"state": "running"}))
                    reference = places[0].translate.remote(self.shared, task.file.plan, task.part, task.split)
                    running[reference] = places, task
                finished, _ = ray.wait(list(running), timeout=_POLL_SECONDS)
                self._report(files, job)
                for result in finished:
                    places, doing = running.pop(result)
                    try:
                        answer = ray.get(result)
                    except ray.exceptions.RayTaskError as error:  # a programming error, or one of the machine
                        idle += places
                        follow = [] if doing is None else _after_error(doing, error, changed)
                    except ray.exceptions.RayError:  # the worker died; Ray restarts it, perhaps on another machine
                        running[places[0].ready.remote()] = places, None
                        follow = [] if doing is None else _after_death(doing, changed)
                    else:
                        idle += places
                        follow = [] if doing is None else _after(doing, answer, changed)
                        if isinstance(answer, Entry) and awaits_disk(answer):
                            waiting.clear()
                    waiting.extendleft(reversed(follow))
        except (KeyboardInterrupt, Interrupted):
            for one in {task.file.plan for _, task in running.values() if task is not None}:
                changed(one, one.entry.model_copy(update={"state": "waiting"}))
            raise

    def _take(self, idle: list[Any], task: _Task) -> list[Any]:
        """Take a place of the least busy worker from `idle`; empty if there is none.

        The last attempt at a task gets all places of a worker: if the worker dies again, no other task is the cause.
        """
        if not idle:
            return []
        worker = max(idle, key=idle.count)
        count = self.at_once if task.deaths == ATTEMPTS - 1 else 1
        if idle.count(worker) < count:
            return []
        for _ in range(count):
            idle.remove(worker)
        return [worker] * count

    def _report(self, files: dict[str, _File], job: Job) -> None:
        """Pass on the progress that the workers reported."""
        for name, part, done, total in self.shared.events.get_nowait_batch(self.shared.events.size()):
            if name in files:
                files[name].frames[part] = done
                done_parts = sum(files[name].frames.values())
                frames = files[name].frames.get(None, done_parts)
                job.emit(FileState(name, "running", done=frames, total=total))


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
    (always a temporary one on this machine), or HOST:PORT. `bundle` must be on the CPU: this machine needs no GPU.
    `at_once` is the number of files at a time; by default as many for each GPU as a machine with its cores translates,
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
        share = _share(settings, at_once)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        options = {"max_restarts": -1, "max_task_retries": 0, "max_concurrency": share.at_once}
        actor = ray.remote(Worker).options(num_gpus=share.gpus, num_cpus=share.cores, **options)
        each = to, settings, overwrite, share.cores, share.gpus > 0, Added.here()
        workers = [actor.remote(*each) for _ in range(share.workers)]
        with output_errors(out):
            precision = _common_precision(_offers(workers, out))
            shared = Shared(ray.put(bundle), events, precision)
            _refuse(_answers([worker.load.remote(shared) for worker in workers]))
        yield Cluster(tuple(workers), share.at_once, shared)
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


class _Share(NamedTuple):
    """Each worker's part of the cluster."""

    workers: int
    at_once: int
    """Tasks of a worker at a time."""
    cores: int
    """Cores of each worker."""
    gpus: int = 0
    """GPUs of each worker: 0 or 1."""


def _share(settings: TranslateSettings, at_once: int | None) -> _Share:
    """Share the machines out for `at_once` tasks at a time. Raises ConfigError if a GPU is wanted and there is none.

    A GPU has one worker, whose threads keep it busy while files are opened, decoded and joined. Without GPUs, each task
    has a worker.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1] if settings.device in ("auto", "cuda") else []
    if with_gpu:
        gpus = sum(int(node["GPU"]) for node in with_gpu)
        workers = min(gpus, at_once or gpus)
        cores = max(1, int(min(node.get("CPU", 1) / int(node["GPU"]) for node in with_gpu)))
        return _Share(workers, ceil(at_once / workers) if at_once else files_at_once(cores), cores, 1)
    if settings.device == "cuda":
        raise ConfigError("no machine of the cluster has a GPU that Ray counts; choose the device auto or cpu")
    cores_of = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if at_once is None:
        share = min([_CORES, *cores_of])
        return _Share(max(1, sum(cores // share for cores in cores_of)), 1, share)
    share = max(1, sum(cores_of) // at_once)
    while share > 1 and sum(cores // share for cores in cores_of) < at_once:
        share -= 1
    return _Share(at_once, 1, share)


def _offers(workers: Sequence[Any], out: Path) -> list[Offer]:
    """What each worker can do. Raises ConfigError if one does not start."""
    out.mkdir(parents=True, exist_ok=True)
    token = out / f".{uuid4().hex}.{socket.gethostname()}.partial"
    token.touch()
    try:
        return _answers([worker.offer.remote(token, __version__) for worker in workers])
    finally:
        token.unlink()


def _common_precision(offers: Sequence[Offer]) -> Used:
    """The fastest precision that every worker computes fast. Raises ConfigError if one cannot work."""
    _refuse([offer.problem for offer in offers])
    return min((offer.precision for offer in offers), key=_SLOW_TO_FAST.index)


def _answers(references: list[Any]) -> list[Any]:
    """The answers of the workers. Raises ConfigError if one does not start."""
    try:
        return ray.get(references, timeout=_START_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ConfigError(
            f"the cluster has no resources for {len(references)} workers, or they do not start; give a smaller "
            "--at-once"
        ) from error
    except ray.exceptions.RayError as error:
        cause = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
        raise ConfigError(f"a worker of the cluster cannot start: {cause}") from error


def _refuse(problems: list[str]) -> None:
    if found := next(filter(None, problems), None):
        raise ConfigError(f"a machine of the cluster {found}")
