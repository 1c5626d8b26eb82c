"""Models on the Hugging Face Hub: downloads them to its cache, and uploads them.

Only the files of a bundle are downloaded, config.json and .safetensors, which cannot contain code. The environment
variables of huggingface_hub apply, such as HF_HUB_OFFLINE, HF_ENDPOINT and HF_HOME.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from recycle.errors import BundleError, ConfigError, OutputError, RecycleError
from recycle.run_folder import CONFIG, WEIGHTS, Which, is_bundle, is_hub_name, model_in

_FILES = (CONFIG, WEIGHTS)
_LONGEST = 300


def find_model(model: str | Path, which: Which = "best", *, further: str | None = None) -> Path:
    """The bundle that `model` names: a run, a bundle, or org/name or org/name@revision on the Hugging Face Hub.

    An existing path always wins. For a run, `which` selects the model. A model of the Hub is downloaded unless the
    cache has it; `further` is another file to download if the model has it. A path that does not exist and cannot be a
    name on the Hub is returned unchanged. Raises BundleError if the model cannot be downloaded.
    """
    if Path(model).exists() or not is_hub_name(model):
        return model_in(Path(model), which)
    name, _, revision = str(model).partition("@")
    folder = _download(name, revision or None, [*_FILES, *([further] if further else [])])
    if not is_bundle(folder):
        raise BundleError(f"{model} on the Hugging Face Hub is not a model of recycle: it lacks {' or '.join(_FILES)}")
    return folder


def _download(name: str, revision: str | None, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import IncompleteSnapshotError

    problem = f"there is no folder {name} here, and the model cannot be downloaded from the Hub"
    try:
        with _asking(BundleError, problem), _bars():
            return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except BundleError as error:
        if isinstance(error.__cause__, IncompleteSnapshotError) and len(files) > len(_FILES):
            return _download(name, revision, files[: len(_FILES)])  # offline, with a cache for translation
        raise


class Published(NamedTuple):
    """A model on the Hub."""

    address: str
    """Its page."""
    private: bool
    """Whether only its owners see it."""


def upload(files: Mapping[str, Path | bytes], name: str, *, public: bool) -> Published:
    """Upload files, by their names there, to the model `name` on the Hub, in one commit. A new model is private unless
    `public`.

    Raises ConfigError if `name` is not of the form org/name, or if the model exists and is public without `public`;
    OutputError if the Hub cannot be reached or refuses.
    """
    if not is_hub_name(name) or "@" in name:
        raise ConfigError(
            f"expected the name of a model on the Hugging Face Hub, such as anna/summer-winter, got {name}"
        )
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with _asking(OutputError, f"cannot upload the model to {name}"), _bars():
        page = api.create_repo(name, private=not public, exist_ok=True)
        private = bool(api.model_info(name).private)
        if not private and not public:
            raise ConfigError(f"{name} exists on the Hub and is public; give --public to publish this model there")
        operations = [CommitOperationAdd(there, here) for there, here in files.items()]
        api.create_commit(name, operations, commit_message="Upload a model of recycle")
        return Published(str(page), private)


@contextmanager
def _asking(kind: type[RecycleError], failed: str) -> Iterator[None]:
    """Convert every error of the Hub's client in the body into one line that begins with `failed`."""
    from huggingface_hub.errors import (
        IncompleteSnapshotError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except RecycleError:
        raise
    except RevisionNotFoundError as error:
        raise kind(f"{failed}: it has no such revision") from error
    except RepositoryNotFoundError as error:  # private models look like missing ones
        why = "it does not exist, or you may not use it; check the name, or log in with 'hf auth login'"
        raise kind(f"{failed}: {why}") from error
    except (LocalEntryNotFoundError, IncompleteSnapshotError, OfflineModeIsEnabled) as error:
        cause = error.__cause__
        offline = isinstance(error, OfflineModeIsEnabled) or isinstance(cause, OfflineModeIsEnabled)
        why = "HF_HUB_OFFLINE is set" if offline else f"no connection ({_brief(cause or error)})"
        raise kind(f"{failed}: {why}, and it is not in the cache") from error
    except Exception as error:  # of the client, of its network library, of the disk
        raise kind(f"{failed}: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


@contextmanager
def _bars() -> Iterator[None]:
    """Show the client's progress bars only in a terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
