"""Files of a folder on a Ray cluster: one model per GPU, or per share of cores; Ray places and restarts them.

Source: Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from recycle import __version__
from recycle.config import Domain, TranslateSettings
from recycle.errors import ConfigError
from recycle.networks.bundle import Bundle
from recycle.translation.batch import Plan, translate_one
from recycle.translation.ledger import Entry
from recycle.translation.translator import Translator

try:
    import ray
    from ray.util.queue import Queue
except ImportError:
    ray = None

ATTEMPTS = 3
"""Times that a file is given to a worker before it counts as the cause of their deaths."""

_DEADLY = f"{ATTEMPTS} workers died over it, for want of memory perhaps; Ray's session folder has their logs"
_CORES = 4
"""Cores of a worker without a GPU: more do not make one network much faster."""
_CONNECT_SECONDS = 5.0
_START_SECONDS = 300.0
_REPORT_SECONDS = 0.5
_POLL_SECONDS = 0.2


class Worker:
    """One model in a process of its own, somewhere in the cluster."""

    def __init__(self, to: Domain, settings: TranslateSettings, overwrite: bool, cores: int, events: Any) -> None:
        torch.set_num_threads(cores)
        self._translator: Translator | None = None
        self._to = to
        self._settings = settings
        self._overwrite = overwrite
        self._events = events

    def lacks(self, token: Path, version: str) -> str:
        """Why this process cannot serve; '' if it can. `token` is a file that the caller wrote."""
        if version != __version__:
            return f"has recycle {__version__}, not {version}; install one version everywhere"
        if not token.exists():
            return f"does not see {token.parent}; use a file system that all machines share, or a URL"
        return ""

    def ready(self) -> None:
        """Returns as soon as the process is there."""

    def translate(self, model: list[Any], one: Plan) -> Entry:
        """What became of a file; on the way, (name, done, total) goes into the queue.

        `model` holds the reference of the bundle, which is fetched once. Raises ConfigError as `Translator`.
        """
        if self._translator is None:
            bundle, settings = ray.get(model[0]), self._settings
            self._translator = Translator(bundle, device=settings.device, precision=settings.precision)
        told = 0.0

        def progress(done: int, total: int | None) -> None:
            nonlocal told
            if time.monotonic() - told >= _REPORT_SECONDS:
                told = time.monotonic()
                self._events.put((one.job.name, done, total))

        return translate_one(
            one,
            self._translator,
            to=self._to,
            settings=self._settings,
            overwrite=self._overwrite,
            progress=progress,
        )


@dataclass(frozen=True)
class Cluster:
    """Engine (see `recycle.translation.batch.Engine`) of the workers of a Ray cluster; made by `connect`."""

    workers: tuple[Any, ...]
    model: Any
    """Ray's reference of the bundle."""
    events: Any

    def run(
        self,
        plans: Sequence[Plan],
        changed: Callable[[Plan, Entry], None],
        progress: Callable[[Plan, int, int | None], None],
    ) -> None:
        """Translate the file of each plan; one whose worker dies goes to another, ATTEMPTS times.

        What a dead worker had finished of a file is not done again. Raises KeyboardInterrupt after Ctrl-C; the
        workers then die with the connection.
        """
        waiting, idle = deque(plans), list(self.workers)
        running: dict[Any, tuple[Any, Plan]] = {}
        restarting: dict[Any, Any] = {}
        attempts: Counter[str] = Counter()
        names = {one.job.name: one for one in plans}
        try:
            while waiting or running:
                while waiting and idle:
                    following, worker = waiting.popleft(), idle.pop()
                    changed(following, following.entry.model_copy(update={"state": "running"}))
                    running[worker.translate.remote([self.model], following)] = worker, following
                finished, _ = ray.wait([*running, *restarting], timeout=_POLL_SECONDS)
                for name, done, total in self.events.get_nowait_batch(self.events.size()):
                    if name in names:
                        progress(names[name], done, total)
                for result in finished:
                    one: Plan | None = None
                    if result in running:
                        worker, one = running.pop(result)
                    else:
                        worker = restarting.pop(result)
                    try:
                        entry = ray.get(result)
                    except ray.exceptions.RayActorError:  # died; Ray starts it again, here or elsewhere
                        restarting[worker.ready.remote()] = worker
                        if one is not None:
                            attempts[one.job.name] += 1
                            if attempts[one.job.name] < ATTEMPTS:
                                waiting.appendleft(one)
                            else:
                                changed(one, one.entry.model_copy(update={"state": "failed", "reason": _DEADLY}))
                        continue
                    idle.append(worker)
                    if one is not None:
                        changed(one, entry)
        except KeyboardInterrupt:
            for _, stopped in running.values():
                changed(stopped, stopped.entry.model_copy(update={"state": "waiting"}))
            raise


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
    """Connect to a Ray cluster, start workers in it, and stop them at the end.

    `address`: 'auto' (the cluster that this machine or RAY_ADDRESS belongs to; else one is started here, for as
    long as it is needed), 'local' (always one started here), or HOST:PORT. `at_once` workers, by default one per
    GPU, or one per 4 cores where there are none. Raises ConfigError, in one line, without Ray, without the
    cluster, and if a machine in it cannot serve.
    """
    if ray is None:
        raise ConfigError("a cluster needs Ray: pip install 'recycle[cluster]'")
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
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, on_term)  # Ray replaced it
    try:
        count, resources = _share(settings, at_once)
        events = Queue(actor_options={"num_cpus": 0})
        model = ray.put(bundle)
        actor = ray.remote(Worker).options(max_restarts=-1, max_task_retries=0, **resources)
        cores = max(1, int(resources["num_cpus"]))
        workers = [actor.remote(to, settings, overwrite, cores, events) for _ in range(count)]
        _check(workers, out)
        yield Cluster(tuple(workers), model, events)
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise ConfigError unless something listens at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no Ray cluster at '{address}': {error}; 'ray start --head' starts one, and tells its address"
        ) from error


def _share(settings: TranslateSettings, at_once: int | None) -> tuple[int, dict[str, float]]:
    """The number of workers, and what each takes of the cluster."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes)) if settings.device in ("auto", "cuda") else 0
    if gpus:
        count = at_once or gpus
        with_gpu = [node for node in nodes if node.get("GPU", 0)]
        cores = min(node.get("CPU", 1) / node["GPU"] for node in with_gpu) * gpus / count
        return count, {"num_gpus": min(1.0, gpus / count), "num_cpus": max(1, int(cores))}
    if at_once is None:
        share = _CORES
        count = sum(max(1, int(node.get("CPU", 0)) // _CORES) for node in nodes if node.get("CPU", 0) >= 1)
        share = min([_CORES, *(int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1)])
    else:
        count = at_once
        share = max(1, int(sum(node.get("CPU", 0) for node in nodes)) // count)
    return max(1, count), {"num_cpus": share}


def _check(workers: Sequence[Any], out: Path) -> None:
    """Raise ConfigError unless every worker starts and sees the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    token = out / f".{uuid4().hex}.{socket.gethostname()}.partial"
    token.touch()
    try:
        answers = [worker.lacks.remote(token, __version__) for worker in workers]
        problems = [problem for problem in ray.get(answers, timeout=_START_SECONDS) if problem]
    except ray.exceptions.GetTimeoutError as error:
        raise ConfigError(
            f"the cluster has no room for {len(workers)} workers, or they do not start; give a smaller --at-once"
        ) from error
    except ray.exceptions.RayError as error:
        cause = str(getattr(error, "cause", None) or error).strip().splitlines()[-1]
        raise ConfigError(f"a worker of the cluster does not start: {cause}") from error
    finally:
        token.unlink()
    if problems:
        raise ConfigError(f"a machine of the cluster {problems[0]}")
