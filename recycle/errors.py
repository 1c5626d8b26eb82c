"""Errors that a user can act on."""

from recycle.safe_text import redact


class RecycleError(Exception):
    """An error whose message is one line: what is wrong, where, what was expected, and the remedy.

    The command line prints the message without a traceback and exits with a non-zero code. The constructor removes
    secrets in URLs from the message, so that no log or record contains them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redact(message))


class FootageError(RecycleError):
    """Footage that cannot be read, or too little footage."""


class ConfigError(RecycleError):
    """An invalid pipeline file, setting or argument."""


class BundleError(RecycleError):
    """A model bundle or checkpoint that cannot be loaded."""


class OutputError(RecycleError):
    """An output that cannot be written, or that must not be replaced."""


class Interrupted(RecycleError):
    """The user stopped the work. Completed work is saved; the same call continues it."""

    def __init__(self, message: str = "stopped; run the same command again to continue") -> None:
        super().__init__(message)
