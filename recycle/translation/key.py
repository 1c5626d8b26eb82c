"""What translated frames depend on, to tell whether earlier work can be continued."""

from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.video.masks import identify


def request_key(model: str, to: Domain, settings: TranslateSettings) -> dict[str, object]:
    """All that is asked for, beside the source: the digest of the model, the domain and the settings.

    Device and precision are not part of it. Raises FootageError if the mask cannot be read.
    """
    return {
        "model": model,
        "to": to,
        "scale": settings.scale,
        "smoothing": settings.smoothing,
        **({"detail": settings.detail} if settings.detail else {}),
        **({"stabilise": settings.stabilise} if settings.stabilise else {}),
        **({"fps": str(settings.fps)} if settings.fps else {}),
        **settings.finish(),
        **({} if settings.mask is None else {"mask": identify(settings.mask)}),
    }
