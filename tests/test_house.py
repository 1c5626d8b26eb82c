"""Limits on the size of files and functions, and the packages for video do not need torch."""

import ast
import subprocess
import sys
from pathlib import Path

import recycle

PACKAGE = Path(recycle.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def test_no_file_exceeds_the_line_limit() -> None:
    lengths = {file.relative_to(PACKAGE).as_posix(): len(file.read_text().splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_function_exceeds_the_line_limit() -> None:
    long = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long[f"{file.relative_to(PACKAGE).as_posix()}:{node.name}"] = length
    assert long == {}


def test_video_and_rendering_import_without_torch() -> None:
    own = [file.relative_to(PACKAGE.parent).with_suffix("") for file in FILES]
    modules = [".".join(path.parts) for path in own if path.parts[1] in ("video", "rendering")]
    assert "recycle.video.decode" in modules
    assert "recycle.rendering.render" in modules
    code = (
        "import sys, importlib; sys.modules['torch'] = None; [importlib.import_module(name) for name in sys.argv[1:]]"
    )
    subprocess.run([sys.executable, "-c", code, *modules], check=True)
