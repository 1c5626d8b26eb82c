"""Errors that a user can act on."""


class RecycleError(Exception):
    """An error whose message is one line: what is wrong, where, what was expected and how to mend it.

    The command line prints the message without a traceback and exits with a non-zero code.
    """


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
