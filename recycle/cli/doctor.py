"""`recycle doctor`: what this machine can do."""

from recycle.cli.output import show


def doctor() -> None:
    """Tell what this machine can do: devices, precisions, codecs, encoders that really work, versions.

    Example: recycle doctor
    """
    from recycle.doctor import examine

    for name, finding in examine():
        show(f"{name:<28} {finding}")
