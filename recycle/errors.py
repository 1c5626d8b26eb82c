"""Errors that a user can act on."""

from recycle.safe_text import redact


class RecycleError(Exception):
    """An error whose message is one line: what is wrong, where, what was expected and how to mend it.

    The command line prints the message without a traceback and exits with a non-zero code. Secrets in URLs are taken
    out of the message at once, so that no log or record of it can hold them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class FootageError(RecycleError):
    """Footage that cannot be read, or of which there is too little."""


class ConfigError(RecycleError):
    """A pipeline file or a setting that is not valid."""


class BundleError(RecycleError):
    """A model bundle or checkpoint that cannot be loaded."""


class OutputError(RecycleError):
    """An output that must not or cannot be written."""


class Interrupted(RecycleError):
    """The user stopped the work; what was done is saved."""
