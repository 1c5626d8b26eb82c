"""File names as text that can be encoded.

A file name on Linux is a sequence of bytes. Python represents bytes that are not UTF-8 as lone surrogates, which cannot
be written to JSON, HTML or a terminal. Records and messages therefore contain `plain` names.
"""

import re

_ESCAPED = re.compile(r"\\(\\|u(dc[89a-f][0-9a-f]))")


def plain(name: str) -> str:
    """`name` with each byte that is not UTF-8 written as an escape of six characters: byte 0xE9 becomes `\\udce9`.

    Other names are returned unchanged. Different names give different text; `original` is the inverse.
    """
    if name.isascii() and "\\udc" not in name:
        return name
    text = name.encode("utf-8", "backslashreplace").decode()
    if "\\udc" not in text:
        return name
    return name.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


def original(text: str) -> str:
    """The file name for which `plain` returned `text`."""
    if "\\udc" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[2], 16)) if match[2] else "\\", text)
