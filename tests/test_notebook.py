"""The notebook runs from its first cell to the last, with little footage and few steps."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[1] / "docs" / "guide" / "first-model.ipynb"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [
        "".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        cell = cell.replace("STEPS = 2000", "STEPS = 2").replace("SECONDS = 60", "SECONDS = 2")
        body = ast.parse(cell).body
        last = body[-1] if isinstance(body[-1], ast.Expr) else None
        if last:
            body.pop()
        exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)
        shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names) if last else None
        if shown is not None:
            assert isinstance(shown, Image.Image)
            shown.close()
    assert names["STEPS"] == 2
    assert [step for step, _ in names["scores"]] == [1, 2]
    assert names["translated"].frames == 48
    day, night, truth = names["row"]
    assert day.shape == night.shape == truth.shape == (96, 160, 3)
    assert np.abs(day.astype(float) - truth).mean() > 10  # the street by day and by night
