"""Learn to translate video between two domains from footage never filmed together (ReCycle-GAN)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recycle.translation.translator import Translator

    __version__: str

__all__ = ["Translator", "__version__"]


def __getattr__(name: str) -> Any:
    # `import recycle` must stay light: torch is imported when a Translator is first asked for.
    if name == "Translator":
        from recycle.translation.translator import Translator

        return Translator
    if name == "__version__":
        from importlib.metadata import version

        return version("recycle")
    raise AttributeError(f"module 'recycle' has no attribute {name!r}")
