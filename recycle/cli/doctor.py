"""`recycle doctor`: shows what this machine supports."""

from recycle.cli.output import show


def doctor() -> None:
    """Show what this machine supports: versions, devices, precisions, codecs and encoders. Encoders are tested.

    Example: recycle doctor
    """
    from recycle.doctor import examine

    for name, finding in examine():
        show(f"{name:<28} {finding}")
