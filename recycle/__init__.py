"""Learn to translate video between two domains from footage never filmed together (ReCycle-GAN)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recycle.api import (
        compare,
        evaluate,
        export,
        extract,
        import_model,
        list_pipelines,
        list_runs,
        plan,
        probe,
        push,
        resume,
        run_info,
        train,
        translate,
        tune,
    )
    from recycle.config import Pipeline
    from recycle.events import Job
    from recycle.streaming.interface import live
    from recycle.translation.translator import Translator

    __version__: str

__all__ = [
    "Job",
    "Pipeline",
    "Translator",
    "__version__",
    "compare",
    "evaluate",
    "export",
    "extract",
    "import_model",
    "list_pipelines",
    "list_runs",
    "live",
    "plan",
    "probe",
    "push",
    "resume",
    "run_info",
    "train",
    "translate",
    "tune",
]

_HOMES = dict.fromkeys((name for name in __all__ if name.islower() and name != "__version__"), "recycle.api") | {
    "Job": "recycle.events",
    "Pipeline": "recycle.config",
    "Translator": "recycle.translation.translator",
    "live": "recycle.streaming.interface",
}


def __getattr__(name: str) -> Any:
    # `import recycle` must stay light: what a name needs, such as torch, is imported when it is first used.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("recycle")
    raise AttributeError(f"module 'recycle' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
