"""Every code block of README and guide works: the real command line parses each command, and runs the quick ones.

A block below the comment `<!-- only checked -->` is parsed and not run.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from recycle.cli.app import app
from recycle.cli.entry import _with_addresses
from recycle.config import (
    GENERATORS,
    NetworkSettings,
    ResNetSettings,
    encoder_options,
    find_pipeline,
    parse_pipeline,
)
from recycle.config.losses import FURTHER
from recycle.domains import Names
from recycle.networks.bundle import Bundle, BundleConfig, save_bundle
from recycle.objective.terms import TERMS
from recycle.video import codecs, source

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDE = [
    page for page in PAGES if page.parent == ROOT / "docs" / "guide" or page.name in ("README.md", "CONTRIBUTING.md")
]
BLOCK = re.compile(r"(<!-- only checked -->\n)?```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LAUNCHERS = {"docker", "srun", "torchrun"}
"""Programs that start recycle."""
OTHERS = {"cd", "git", "hf", "make", "pip", "pre-commit", "python", "source", "tensorboard"}
"""Further programs that a block may call."""


def blocks(page: Path, language: str) -> list[tuple[bool, str]]:
    """Whether each block of a language is run, and its text."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(not mark, text) for mark, kind, text in found if kind == language]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, as words: without comments, redirections and variables before them."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part.partition(" > ")[0], comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words


def of_recycle(words: list[str]) -> list[str] | None:
    """The arguments that a command gives to recycle, maybe through a launcher; None if it is another program's."""
    assert words[0] in {"recycle", *LAUNCHERS, *OTHERS}, f"unknown program {words[0]}"
    launched = words[0] in LAUNCHERS and words[1] != "build"
    return words[words.index("recycle") + 1 :] if words[0] == "recycle" or launched else None


def parse(arguments: list[str]) -> None:
    """Let the command line check a command, as `recycle` would before it runs. Raises for a mistake."""
    group = typer.main.get_command(app)
    arguments = _with_addresses(arguments)
    context = typer.Context(group, info_name="recycle")
    command = group.get_command(context, arguments[0])  # type: ignore[attr-defined]
    assert command is not None, f"there is no command {arguments[0]}"
    parsed = command.make_context(arguments[0], arguments[1:], parent=context)
    pipeline = parsed.params.get("pipeline")
    if pipeline is not None and not pipeline.suffix:
        find_pipeline(pipeline)


def test_commands_of_the_pages_are_found() -> None:
    words = [words for _, text in blocks(ROOT / "README.md", "sh") for words in commands(text)]
    assert ["make", "demo"] in words
    assert ["recycle", "compare", "runs/one", "runs/two"] in words


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(Exception, match="--stabilize"):
        parse(["translate", "a.mp4", "b.mp4", "--model", "m", "--to", "b", "--stabilize", "1"])
    with pytest.raises(Exception, match="no pipeline 'singers'"):
        parse(["train", "singers"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_that_the_command_line_takes(page: Path) -> None:
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for _, text in blocks(page, "sh"):
        for words in commands(text):
            arguments = of_recycle(words)
            if arguments is not None:
                parse([word.replace("…", "1").replace("s3://", "memory://") for word in arguments])  # s3 needs s3fs
            elif words[0] == "make":
                for word in (word for word in words[1:] if word != "-B"):
                    name, sets, value = word.partition("=")
                    assert f"\n{name} ?=" in targets if sets else f"\n{name}:" in targets
                    assert not value or (ROOT / value).exists()
            elif words[0] == "pip":
                named = re.findall(r"\[(\w+)\]", " ".join(words))
                assert set(named) <= set(extras)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_toml_blocks_are_settings(page: Path) -> None:
    for _, text in blocks(page, "toml"):
        parse_pipeline(tomllib.loads(text), where=page.name)


VIDEOS = (
    "walk.mp4",
    "walk-mask.mp4",
    "day.mp4",
    "summer/one.mp4",
    "winter/two.mp4",
    "holiday/first.mp4",
    "holiday/more/second.mkv",
)
MODELS = {
    "runs/seasons/model": Names("summer", "winter"),
    "runs/seasons/model-best": Names("summer", "winter"),
    "runs/demo/model": Names("day", "night"),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the pages name: tiny videos, and models with random weights."""
    folder = tmp_path_factory.mktemp("docs")
    size = ["--width", "64", "--height", "48", "--fps", "3", "--seconds", "12"]
    result = CliRunner().invoke(app, ["street", str(folder / VIDEOS[0]), *size])
    assert result.exit_code == 0, result.output
    for video in VIDEOS[1:]:
        (folder / video).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / VIDEOS[0], folder / video)
    (folder / "drawings").mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / "drawings" / f"{number}.png"), np.full((48, 64, 3), 80 * number, np.uint8))
    torch.manual_seed(0)
    networks = NetworkSettings(generator=ResNetSettings(blocks=1, width=4))
    bundle = Bundle(BundleConfig(networks=networks, short_side=32, predictors=False))
    for model, names in MODELS.items():
        bundle.config = bundle.config.model_copy(update={"domains": names})
        save_bundle(bundle, folder / model)
    return folder


@pytest.fixture
def place(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin in a folder that holds it."""
    shutil.copytree(prepared, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: page.name)
@pytest.mark.usefixtures("place")
def test_quick_commands_of_the_guide_run(page: Path) -> None:
    for run, text in blocks(page, "sh"):
        for words in commands(text) if run else ():
            arguments = of_recycle(words)
            if arguments is not None:
                files = [
                    str(found) for word in arguments for found in ([word] if "*" not in word else Path().glob(word))
                ]
                result = CliRunner().invoke(app, files if arguments[0] == "probe" else arguments)
                assert result.exit_code == 0, f"{shlex.join(words)}: {result.output} {result.exception}"


@pytest.fixture
def _own_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Losses, networks, inputs and codecs that a page adds are gone after it."""
    kinds, terms, further = dict(GENERATORS.classes), dict(TERMS), set(FURTHER)
    monkeypatch.setattr(source, "_ADDED", list(source._ADDED))
    monkeypatch.setattr(codecs, "ENCODERS", dict(codecs.ENCODERS))
    for name in ("_ENCODERS", "_OPTIONS"):
        monkeypatch.setattr(encoder_options, name, dict(getattr(encoder_options, name)))
    yield
    vars(GENERATORS)["_classes"] = kinds
    for table, before in ((TERMS, terms), (FURTHER, further)):
        table.clear()
        table.update(before)  # type: ignore[arg-type]


PYTHON_PAGES = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.usefixtures("_own_parts", "place")
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path) -> None:
    names: dict[str, object] = {"__name__": page.stem}
    for number, (run, text) in enumerate(blocks(page, "python")):
        code = compile(text, f"{page.name}, block {number + 1}", "exec")
        if run:
            exec(code, names)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_links_outside_of_the_built_documentation_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        if "://" not in link:
            target = page.parent / file
            assert target.exists(), link
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert not anchor or anchor in slugs, link


def test_generated_files_of_the_build_are_ignored_by_git() -> None:
    result = subprocess.run(["git", "check-ignore", "site/index.html"], cwd=ROOT, capture_output=True, check=False)
    assert result.returncode == 0 or not (ROOT / ".git").exists()


def test_the_tests_that_prove_features_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "compared.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).is_file()] == []
