"""Opens a model to translate into a domain: the first step of the Python functions that translate."""

from os import PathLike, fspath

from recycle.config import TranslateSettings
from recycle.domains import Domain
from recycle.networks.bundle import target_of
from recycle.system.hub import find_model
from recycle.translation.translator import Translator


def open_translator(
    model: Translator | str | PathLike[str], to: str, settings: TranslateSettings
) -> tuple[Translator, Domain]:
    """The translator of `model`, and the letter of the domain that `to` names, by its letter or name.

    `model` is what `recycle.system.hub.find_model` accepts, or a Translator, which is returned; `settings` give device
    and precision. The domain is looked up before the networks are loaded. Raises BundleError if there is no usable
    model, and ConfigError for an unknown domain, device or precision.
    """
    if isinstance(model, Translator):
        return model, model.target(to)
    bundle = find_model(fspath(model))
    target = target_of(bundle, to)
    return Translator.from_pretrained(bundle, device=settings.device, precision=settings.precision), target
