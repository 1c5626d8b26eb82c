"""Makes untrusted text safe to print and to log: removes secrets and escapes control characters."""

import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: escape sequences begin with these
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or change text direction
    "\ud800-\udfff]"  # bytes of a file name that are not UTF-8
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_HIDDEN = "***"
_STRONG = (
    r"[\w.%-]*(?:passw(?:or)?d|passphrase|secret|token|signature|credential|authorization|api[-_]?key|"
    r"access[-_]?key(?:[-_]?id)?|private[-_]?key|account[-_]?key|session[-_]?id|sas[-_]?url)[\w.%-]*"
)
"""Parameter names that always denote secrets."""
_WEAK = r"|[\w.%-]*(?:signed|sig|auth|pass|pwd|key[-_]?(?:pair[-_]?)?id|accessid|jwt|hmac|policy)|key|code|sas|pw|psk"
"""Parameter names that denote secrets only in the query of a URL."""
_SECRETS = (
    # scheme://user:password@host; also with one slash, as pathlib writes it, and with slashes in the password
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
    """Replace secrets in `text` by '***': user and password of a URL, signatures and tokens in its query, storage keys.

    The result still identifies the file. Equal texts give equal results, and a second call changes nothing.
    """
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str, *, lines: bool = False) -> str:
    """Escape control characters, so that a terminal shows '\\x1b' instead of obeying it.

    Characters that change the text direction are escaped too, and bytes of file names that are not UTF-8. `lines`
    keeps line breaks.
    """
    return _UNSAFE.sub(lambda found: found[0] if lines and found[0] == "\n" else _escape(found[0]), text)


def shown(text: str, *, lines: bool = False) -> str:
    """`text` made safe for a terminal or a log: `printable(redact(text))`."""
    return printable(redact(text), lines=lines)


def printable_json(text: str) -> str:
    """Replace control characters, and characters that change the text direction, in JSON text by JSON escapes."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else f"\\u{ord(found[0]):04x}", text)


def brief(value: object, limit: int = 80) -> str:
    """repr of a user's value, truncated after `limit` characters; for error messages."""
    try:
        text = repr(value)
    except (ValueError, RecursionError, MemoryError):  # an integer of thousands of digits, or deeply nested lists
        text = f"a very large {type(value).__name__}"
    return text if len(text) <= limit else f"{text[:limit]}…"


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python's surrogate for a byte that is not UTF-8
        code -= 0xDC00
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
