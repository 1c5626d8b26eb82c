"""Begins a run with the weights of a trained model, as far as they fit."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor, nn

from recycle.config import NetworkSettings, Settings
from recycle.domains import BY_TARGET, DIRECTIONS, DOMAINS, Names
from recycle.networks.bundle import DISCRIMINATORS, BundleConfig, load_bundle, load_discriminators
from recycle.networks.weights import misfit
from recycle.objective.sides import bare
from recycle.system.hub import find_model
from recycle.training.run import Run

Weights = Mapping[str, Tensor]


def begin(run: Run) -> list[str]:
    """Load the networks of `train.start_from`, if set, into a new run; returns notices, one line each.

    Every process of the run loads the same weights. Domains correspond by their letters, or by their names if the model
    has one of them under the other letter. Raises BundleError if there is no model, or if it is damaged.
    """
    place = run.pipeline.train.start_from
    if place is None:
        return []
    folder = find_model(place, further=DISCRIMINATORS)
    bundle, judges = load_bundle(folder), load_discriminators(folder)
    crossed = _crossed(bundle.config.domains, run.pipeline.domains)
    held: dict[str, Weights] = dict(judges)
    names = [d.generator for d in DIRECTIONS] + [d.predictor for d in BY_TARGET]
    held |= {name: network.state_dict() for name in names if (network := getattr(bundle, name)) is not None}
    start = _Start(folder, bundle.config, held, crossed=crossed)
    translators, discriminators = bare(run.model.translators), bare(run.model.discriminators)
    own = {name: network for name in names if (network := getattr(translators, name)) is not None}
    own |= dict(discriminators.networks.items())
    notices = list(start.load(own, {name: _settings_of(name, run.pipeline.networks) for name in own}))
    averaged, current = run.average.bundle, translators.state_dict()
    averaged.load_state_dict({key: current[key] for key in averaged.state_dict()})
    return notices


class _Start:
    """The model from which a run begins."""

    def __init__(self, folder: Path, config: BundleConfig, held: Mapping[str, Weights], *, crossed: bool) -> None:
        self._folder, self._config, self._held, self._crossed = folder, config, held, crossed

    def load(self, own: Mapping[str, nn.Module], settings: Mapping[str, Settings | None]) -> Iterator[str]:
        """Load what fits into the networks `own`, and describe what does not. `settings` are those of `own`."""
        loaded, notes, asked = [], [], set[str]()
        for name, network in own.items():
            there = _other(name) if self._crossed else name
            asked.add(there)
            problem = self._load(network, there, settings[name])
            if problem is None:
                loaded.append(name)
                if differences := self._differences(there, settings[name]):
                    notes.append(f"{name} has other settings than in {self._folder}: {differences}")
            else:
                notes.append(f"{name} does not start from {self._folder}, but anew: {problem}")
        if loaded:
            swapped = ", with its domains exchanged, because their names are" if self._crossed else ""
            yield f"starting from {self._folder}{swapped}: {', '.join(loaded)}"
        yield from notes
        if unused := sorted(self._held.keys() - asked):
            yield f"{', '.join(unused)} of {self._folder}: not used, because this training has no such network"

    def _load(self, network: nn.Module, there: str, settings: Settings | None) -> str | None:
        """Load the weights of the network that the model calls `there`; returns why they do not fit, if so."""
        weights = self._held.get(there)
        if weights is None:
            return f"the model has no {there}"
        if difference := misfit(network.state_dict(), weights):
            return self._differences(there, settings) or difference
        network.load_state_dict(weights)
        return None

    def _differences(self, there: str, settings: Settings | None) -> str:
        """The settings in which a network of the model and one of this training differ; '' if none do."""
        before = _settings_of(there, self._config.networks)
        if before is None or settings is None or before == settings:
            return ""
        kinds = (getattr(before, "kind", ""), getattr(settings, "kind", ""))
        if kinds[0] != kinds[1]:
            return f"kind = '{kinds[1]}' here, '{kinds[0]}' in the model"
        pairs = {key: (getattr(settings, key), getattr(before, key)) for key in type(settings).model_fields}
        return ", ".join(
            f"{key} = {ours} here, {theirs} in the model" for key, (ours, theirs) in pairs.items() if ours != theirs
        )


def _settings_of(name: str, networks: NetworkSettings) -> Settings | None:
    """The settings of the network with this name; None if there are none."""
    kind, _, _ = name.rpartition("_")
    of_kind: dict[str, Settings | None] = {"gen": networks.generator, "pred": networks.predictor}
    of_kind |= {f"{each.prefix}disc": each for each in networks.discriminators} | {"clip_disc": networks.of_clips}
    return of_kind.get(kind)


def _other(name: str) -> str:
    """The name of the corresponding network of the other domain, such as gen_ba for gen_ab."""
    head, _, domains = name.rpartition("_")
    return f"{head}_{''.join('ba'['ab'.index(letter)] for letter in domains)}"


def _crossed(before: Names, now: Names) -> bool:
    """Whether a name of the model's domains is now that of the other domain."""
    a, b = DOMAINS
    return now.of(a) == before.of(b) or now.of(b) == before.of(a)
