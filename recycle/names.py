"""File names as text. A name on a Linux disk is bytes; Python shows those that are not UTF-8 as lone surrogates.

Text with lone surrogates cannot be written to JSON, HTML or a terminal, so records and messages hold `plain` names.
"""

import re

_ESCAPED = re.compile(r"\\(\\|u(dc[89a-f][0-9a-f]))")


def plain(name: str) -> str:
    """`name` as text that can be written anywhere: byte 0xE9 that is not UTF-8 becomes the six characters `\\udce9`.

    Other names stay as they are. Different names give different text, and `original` gives the name back.
    """
    if name.isascii() and "\\udc" not in name:
        return name
    text = name.encode("utf-8", "backslashreplace").decode()
    if "\\udc" not in text:
        return name
    return name.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()


def original(text: str) -> str:
    """The name of which `plain` made `text`."""
    if "\\udc" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[2], 16)) if match[2] else "\\", text)
