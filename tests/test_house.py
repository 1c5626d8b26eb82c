"""The house stays tidy: small files, small functions, and a reading and writing of video that needs no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import recycle

PACKAGE = Path(recycle.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {file.relative_to(PACKAGE).as_posix(): len(file.read_text().splitlines()) for file in FILES}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_a_function_fits_on_a_screen() -> None:
    long = {}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                length = node.end_lineno - node.lineno + 1
                if length > MOST_LINES_OF_A_FUNCTION:
                    long[f"{file.relative_to(PACKAGE).as_posix()}:{node.name}"] = length
    assert long == {}


def test_video_is_read_and_written_without_torch() -> None:
    own = [file.relative_to(PACKAGE.parent).with_suffix("") for file in FILES]
    modules = [".".join(path.parts) for path in own if path.parts[1] in ("video", "rendering")]
    assert "recycle.video.decode" in modules
    assert "recycle.rendering.render" in modules
    code = (
        "import sys, importlib; sys.modules['torch'] = None; [importlib.import_module(name) for name in sys.argv[1:]]"
    )
    subprocess.run([sys.executable, "-c", code, *modules], check=True)
