"""`recycle doctor`: shows what this machine supports."""

from recycle.cli.output import show


def doctor() -> None:
    """Show what this machine supports: devices, codecs, versions.

    Every encoder is tried on a frame.

    Example: recycle doctor
    """
    from recycle.doctor import examine

    for name, finding in examine():
        show(f"{name:<28} {finding}")
