"""Models come from the Hugging Face Hub and go there, by the real client and a local server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

from recycle import Translator, push
from recycle.cli.options import bundle_of
from recycle.config import NetworkSettings, PatchSettings, ResNetSettings
from recycle.domains import Names
from recycle.errors import BundleError, ConfigError, OutputError, RecycleError
from recycle.networks.bundle import DISCRIMINATORS, Bundle, BundleConfig, digest, load_bundle, save_bundle
from recycle.runs.preset_start import start_of
from recycle.system.hub import find_model
from tests.system.fake_hub import Hub, serving

NAME = "anna/summer-winter"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a model, a preview and scores."""
    run = tmp_path_factory.mktemp("run")
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4), discriminator=PatchSettings(width=4))
    config = BundleConfig(
        name="seasons", networks=networks, predictors=False, short_side=32, step=7, domains=Names("summer", "winter")
    )
    judges = {"disc_a.model.0.weight": torch.ones(4, 3, 4, 4)}
    save_bundle(Bundle(config), run / "model", discriminators=judges)
    (run / "previews").mkdir()
    for step in (4, 7, 9):
        (run / "previews" / f"step-{step:06d}.png").write_bytes(b"picture %d" % step)
    (run / "metrics.json").write_text('{"step": 7, "kid_ab": 0.25, "kid_ab_input": 0.5}')
    return run


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server, to which the client in this process goes, with an empty cache."""
    with serving(Hub()) as running:
        go_to(running.address, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield running


def go_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT does, which the client reads when it is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def refused(kind: type[RecycleError], words: str, ask: Callable[[], object]) -> None:
    with pytest.raises(kind, match=words) as error:
        ask()
    assert "\n" not in str(error.value)


def test_a_model_goes_to_the_hub_and_comes_back(hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert push(model, NAME, footage="Our own videos.") == f"{hub.address}/{NAME}"
    assert hub.private == {NAME: True}
    (sha,) = hub.files[NAME]
    files = hub.files[NAME][sha]
    assert files["preview.png"] == b"picture 7"
    card = files["README.md"].decode()
    assert "library_name: recycle" in ModelCard(card).data.to_yaml()  # the client can read it
    for words in (
        "Translates video summer → winter and winter → summer",
        "Our own videos.",
        f"--model {NAME} --to winter",
        "0.25",
    ):
        assert words in card
    hub.commit(NAME, {"pytorch_model.bin": b"a pickle", "config.json": files["config.json"] + b"\n"})
    hub.asked.clear()

    newest = find_model(NAME)
    assert sorted(file.name for file in newest.iterdir()) == ["config.json", "model.safetensors"]
    assert digest(load_bundle(newest)) == digest(load_bundle(model / "model"))
    assert not any("bin" in path or "discriminators" in path for path in hub.asked)
    assert find_model(f"{NAME}@{sha}", further=DISCRIMINATORS).name == sha
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_model(NAME) == find_model(NAME, further=DISCRIMINATORS) == newest
    assert len(hub.asked) == asked, "offline, the cache suffices"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    go_to("http://127.0.0.1:9", monkeypatch)
    assert find_model(NAME) == newest


def test_what_the_hub_lacks_is_one_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("anna/other", {"pytorch_model.bin": b"a pickle"})
    refused(
        BundleError,
        "there is no folder anna/none here, and .* does not exist, or you may not use it",
        lambda: find_model("anna/none"),
    )
    refused(BundleError, "no such revision", lambda: find_model("anna/other@v9"))
    refused(
        BundleError,
        r"is not a model of recycle: it lacks config.json or model.safetensors",
        lambda: find_model("anna/other"),
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(BundleError, "HF_HUB_OFFLINE is set, and it is not in the cache", lambda: find_model("a/b"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    go_to("http://127.0.0.1:9", monkeypatch)
    refused(BundleError, r"no connection \(.*\), and it is not in the cache", lambda: find_model("a/b"))


def test_the_environment_of_the_client_applies(hub: Hub, model: Path, tmp_path: Path) -> None:
    push(model, NAME)
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    code = f"from recycle.system.hub import find_model; print(find_model({NAME!r}))"
    found = [
        subprocess.run([sys.executable, "-c", code], env=os.environ | each, capture_output=True, text=True, check=True)
        for each in (environment, environment | {"HF_HUB_OFFLINE": "1"})
    ]
    assert found[0].stdout == found[1].stdout
    assert digest(load_bundle(Path(found[0].stdout.strip()))) == digest(load_bundle(model / "model"))


def test_a_path_that_exists_is_never_looked_up(
    hub: Hub, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(model)
    assert find_model("runs/demo") == Path("runs/demo/model")
    assert hub.asked == []


def test_a_model_of_the_hub_is_taken_wherever_a_model_is(hub: Hub, model: Path) -> None:
    push(model, NAME)
    translator = Translator.from_pretrained(NAME, device="cpu")
    assert translator.domains == ("summer", "winter")
    assert bundle_of(NAME, "best") == str(find_model(NAME))
    start = start_of(Path(NAME))
    assert (start.place, start.config.step, start.judged) == (Path(NAME), 7, True)


def test_nothing_becomes_public_by_accident(hub: Hub, model: Path) -> None:
    refused(ConfigError, "needs --licence, such as cc-by-4.0, and --footage", lambda: push(model, NAME, public=True))
    assert hub.asked == []
    assert push(model, NAME, public=True, licence="mit", footage="Ours.", preview=False) == f"{hub.address}/{NAME}"
    assert hub.private == {NAME: False}
    (files,) = hub.files[NAME].values()
    assert sorted(files) == ["README.md", "config.json", "discriminators.safetensors", "model.safetensors"]
    assert b"license: mit" in files["README.md"]
    refused(
        ConfigError,
        f"{NAME} exists on the Hub and is public; give --public to publish this model there",
        lambda: push(model, NAME),
    )


def test_a_refusal_of_the_hub_is_one_line(hub: Hub, model: Path, tmp_path: Path) -> None:
    refused(ConfigError, "expected the name of a model", lambda: push(model, "anna"))
    refused(BundleError, "there is no model", lambda: push(tmp_path / "none", NAME))
    hub.refuses = True
    refused(OutputError, f"cannot upload the model to {NAME}: ", lambda: push(model, NAME))
    assert hub.files == {}
