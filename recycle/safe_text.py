"""Text from outside, made fit to be shown and recorded: without secrets, and without what a terminal obeys."""

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin with these
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or they turn the direction
    "\ud800-\udfff]"  # bytes of a file name that are not UTF-8
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_HIDDEN = "***"
_STRONG = (
    r"[\w.%-]*(?:passw(?:or)?d|passphrase|secret|token|signature|credential|authorization|api[-_]?key|"
    r"access[-_]?key(?:[-_]?id)?|private[-_]?key|account[-_]?key|session[-_]?id|sas[-_]?url)[\w.%-]*"
)
"""Names that only secrets have."""
_WEAK = r"|[\w.%-]*(?:signed|sig|auth|pass|pwd|key[-_]?(?:pair[-_]?)?id|accessid|jwt|hmac|policy)|key|code|sas|pw|psk"
"""Names that are those of secrets in the query of a URL."""
_SECRETS = (
    # scheme://user:password@host, also as pathlib writes it (one slash), and a password with slashes in it
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]+:/{1,2})(?!/)[^\s/?#]*@"), rf"\1{_HIDDEN}@"),
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]+:/{1,2})(?!/)[^\s/?#:@]*:(?!\d+(?:[/?#\s]|$))\S*@"), rf"\1{_HIDDEN}@"),
    (re.compile(rf"([?&;#](?:{_STRONG}{_WEAK})=)[^\s&;#'\"]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(rf"(\b{_STRONG}=)(?!\s)(?:'[^']*'|\"[^\"]*\"|[^\s&;#'\",)}}\]]+)", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(rf"(['\"]{_STRONG}['\"]\s*[:,]\s*b?)(?:'[^']*'|\"[^\"]*\")", re.IGNORECASE), rf"\1'{_HIDDEN}'"),
    (re.compile(r"(\bauthorization\s*:\s*(?:\w+\s+)?)[^\s'\"]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), _HIDDEN),
)


def redact(text: str) -> str:
    """`text` with '***' for the secrets in it: user and password of a URL, signatures and tokens in its query, and
    keys of storage. What remains still names the file; equal texts stay equal, and a second call changes nothing."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with control characters as escapes: a terminal shows '\\x1b', and does not obey it.

    So are characters that turn the direction of writing, and bytes of a name that are not UTF-8. With `lines`, line
    breaks stay.
    """
    return _UNSAFE.sub(lambda found: found[0] if lines and found[0] == "\n" else _escape(found[0]), text)


def shown(text: str, *, lines: bool = False) -> str:
    """`text` as it may go to a terminal or into a log: see `redact` and `printable`."""
    return printable(redact(text), lines=lines)


def printable_json(text: str) -> str:
    """JSON in which control characters, and those that turn the direction of writing, are JSON's own escapes."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else f"\\u{ord(found[0]):04x}", text)


def brief(value: object, limit: int = 80) -> str:
    """repr of a value that a person gave, cut after `limit` characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError, MemoryError):  # an integer of many thousand digits; lists without end
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}…"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
