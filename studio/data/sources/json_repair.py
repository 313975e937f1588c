"""JSON that a program or a person wrote nearly right, read in the only way it can be meant.

Guarantees: comments, trailing commas, single or typographic quotation marks, Python's ``True``, ``False`` and ``None``, names
without quotation marks and raw control characters in texts are put right; nothing is guessed, so text that is ambiguous stays
broken; nothing is ever executed; the time grows with the length of the text and not faster.
"""

from __future__ import annotations

import re

import orjson

#: Longer rows are not repaired.
LONGEST_REPAIRED = 1 << 20

_TOKEN = re.compile(
    r"""(?xs)
    (?P<space>[\s\ufeff\x1e]++)
  | (?P<comment>//[^\n]*+|\#[^\n]*+|/\*.*?\*/)
  | "(?P<double>(?:[^"\\]|\\.)*+)"
  | '(?P<single>(?:[^'\\]|\\.)*+)'
  | “(?P<smart>[^“”"\\]*+)”
  | (?P<mark>[{}\[\]:,])
  | (?P<number>-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][-+]?\d++)?(?![\w.]))
  | (?P<word>-?[^\W\d][\w$]*+)
    """
)
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), "true"),
    **dict.fromkeys(("false", "False", "FALSE"), "false"),
    **dict.fromkeys(("null", "None", "NULL", "undefined", "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf"), "null"),
}
_ESCAPE = re.compile(r'(?s)\\(x[0-9a-fA-F]{2}|.)|"')
_DEEPEST = 500
_KNOWN_ESCAPES = frozenset('"\\/bfnrtu')
_CONTROL = re.compile(r"[\x00-\x1f]")


def is_json(text: bytes) -> bool:
    """True for one valid JSON value."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def repaired(text: bytes) -> bytes | None:
    """The object or list that this text means, as valid JSON on one line; None when it is none or could mean several things."""
    if len(text) > LONGEST_REPAIRED or not text.lstrip(b"\xef\xbb\xbf\x1e \t\r\n").startswith((b"{", b"[", b"/", b"#")):
        return None
    try:
        tokens = _tokens(text.decode())
    except (UnicodeDecodeError, ValueError):
        return None
    result = "".join(tokens).encode("utf-8", "replace")
    return result if result[:1] in (b"{", b"[") and is_json(result) else None


def _tokens(text: str) -> list[str]:
    """The parts of the JSON text that is meant. Raises ``ValueError`` at the first sign that is none of JSON's."""
    found: list[str] = []
    place, bare, depth = 0, False, 0
    while place < len(text) and depth < _DEEPEST:
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError
        place = match.end()
        kind, part = match.lastgroup or "", match[0]
        if kind in ("space", "comment"):
            continue
        if bare and (part != ":" or found[-1].startswith('"-')):
            raise ValueError
        # A name without quotation marks must have its colon; the few words that mean something need none.
        bare = kind == "word" and part not in _WORDS
        if kind in ("double", "single", "smart"):
            part = _string(match[kind])
        elif kind == "word":
            part = f'"{part}"' if bare else _WORDS[part]
        elif part in "}]" and found and found[-1] == ",":
            found.pop()
        depth += (part in "{[") - (part in "}]")
        found.append(part)
    if found and found[-1] == ",":
        found.pop()
    return found


def _string(inside: str) -> str:
    """The same text between double quotation marks, with escapes that JSON knows."""
    if '"' in inside or "\\" in inside:
        inside = _ESCAPE.sub(_escape, inside)
    return '"' + _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", inside) + '"'


def _escape(match: re.Match[str]) -> str:
    """What JSON writes for an escape, or for a quotation mark that stood between single ones."""
    letter = match[1]
    if letter is None:
        return '\\"'
    if letter in _KNOWN_ESCAPES:
        return match[0]
    if letter == "'":
        return "'"
    if letter == "\n":
        return ""
    if len(letter) > 1:
        return f"\\u00{letter[1:]}"
    raise ValueError
