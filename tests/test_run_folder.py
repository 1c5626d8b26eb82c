"""The paths of a run's folder are spelled in one module and match those of existing runs."""

import ast
from pathlib import Path

import recycle
from recycle.run_folder import CONFIG, WEIGHTS, RunFolder, model_in

NAMES = {
    "footage": "footage",
    "frames": "frames",
    "pipeline": "pipeline.json",
    "chosen": "pipeline.toml",
    "checkpoint": "checkpoint.pt",
    "logs": "logs",
    "model": "model",
    "best": "model-best",
    "held_out": "held-out",
    "previews": "previews",
    "validation": "validation.json",
    "health": "health.log",
    "origin": "origin.json",
    "translated": "translated",
    "metrics": "metrics.json",
    "lock": ".lock",
    "scoring_lock": ".scoring.lock",
    "stamps": "translated/.done",
    "report": "report.html",
}
AMBIGUOUS = {".lock", "footage", "frames", "logs", "model", "translated"}
"""Names that also occur elsewhere as words, keys or other files."""


def test_names_on_disk_do_not_change() -> None:
    where = RunFolder(Path("run"))
    properties = {name for name, value in vars(RunFolder).items() if isinstance(value, property)}
    assert {name: getattr(where, name).relative_to("run").as_posix() for name in properties} == NAMES
    assert (CONFIG, WEIGHTS) == ("config.json", "model.safetensors")
    assert where.preview(4) == Path("run/previews/step-000004")
    assert where.neighbours("ab") == Path("run/nearest_ab.png")


def test_no_other_module_spells_them() -> None:
    unmistakable = {CONFIG, WEIGHTS, *(Path(name).name for name in NAMES.values())} - AMBIGUOUS
    found = {}
    for file in Path(recycle.__file__).parent.rglob("*.py"):
        strings = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        if spelled := unmistakable & strings:
            found[file.name] = spelled
    assert found == {"run_folder.py": unmistakable}


def bundle(folder: Path) -> Path:
    """Create the files that identify a bundle."""
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()
    return folder


def test_the_model_of_a_run_is_its_best_or_its_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    bundle(run.model)
    assert model_in(run.folder) == model_in(run.folder, "last") == run.model  # there is no score yet
    bundle(run.best)
    assert model_in(run.folder) == run.best
    assert model_in(run.folder, "last") == run.model
    for own in (run.model, run.best):
        assert model_in(own) == model_in(own, "last") == own


def test_a_folder_without_a_model_is_returned_unchanged(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    assert model_in(tmp_path) == tmp_path
    assert model_in(tmp_path / "nowhere") == tmp_path / "nowhere"
