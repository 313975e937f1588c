"""Which encoding a text is in, when it does not say so itself.

Guarantees: a byte-order mark decides; a few damaged rows do not make the other rows something else; an encoding that a person
names is taken as it is, or refused with the names that can be taken.
"""

from __future__ import annotations

import codecs
import re

import chardet

from studio.errors import DataError

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: The encodings that a person can choose, with their names in words.
ENCODINGS = {
    "utf-8": "Unicode (UTF-8)",
    "utf-16": "Unicode (UTF-16)",
    "utf-16-le": "Unicode (UTF-16 little-endian)",
    "utf-16-be": "Unicode (UTF-16 big-endian)",
    "utf-32": "Unicode (UTF-32)",
    "utf-32-le": "Unicode (UTF-32 little-endian)",
    "utf-32-be": "Unicode (UTF-32 big-endian)",
    "cp1252": "Western European (Windows)",
    "cp1250": "Central European (Windows)",
    "cp1251": "Cyrillic (Windows)",
    "cp1253": "Greek (Windows)",
    "cp1254": "Turkish (Windows)",
    "cp1255": "Hebrew (Windows)",
    "cp1256": "Arabic (Windows)",
    "cp1257": "Baltic (Windows)",
    "cp1258": "Vietnamese (Windows)",
    "cp874": "Thai (Windows)",
    "cp437": "Western European (DOS)",
    "cp850": "Western European (DOS, page 850)",
    "cp852": "Central European (DOS)",
    "cp866": "Cyrillic (DOS)",
    "iso8859-1": "Western European (Latin-1)",
    "iso8859-2": "Central European (Latin-2)",
    "iso8859-5": "Cyrillic (ISO)",
    "iso8859-7": "Greek (ISO)",
    "iso8859-15": "Western European (Latin-9)",
    "koi8-r": "Russian (KOI8-R)",
    "koi8-u": "Ukrainian (KOI8-U)",
    "mac-roman": "Western European (Mac)",
    "cp932": "Japanese (Shift JIS)",
    "euc_jis_2004": "Japanese (EUC)",
    "iso2022_jp_2": "Japanese (ISO-2022)",
    "gb18030": "Chinese, simplified (GB18030)",
    "hz": "Chinese, simplified (HZ)",
    "big5hkscs": "Chinese, traditional (Big5)",
    "cp949": "Korean (Windows)",
}
# What people write for an encoding, and the one that reads all of it.
_MEANT = {
    "ansi": "cp1252",
    "excel": "cp1252",
    "ascii": "utf-8",
    "unicode": "utf-16",
    "utf-8-sig": "utf-8",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "shift_jisx0213": "cp932",
    "euc_jp": "euc_jis_2004",
    "iso2022_jp": "iso2022_jp_2",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "big5": "big5hkscs",
    "cp950": "big5hkscs",
    "euc_kr": "cp949",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
# Detected and read as the Windows page that holds the same letters and the typographic quotes besides.
_WIDER = {**_MEANT, "iso8859-1": "cp1252", "iso8859-15": "cp1252"}
_LATIN = (
    *("cp1252", "iso8859-1", "iso8859-15", "cp1250", "iso8859-2", "cp1254", "cp1257", "cp1258"),
    *("cp437", "cp850", "cp852", "mac-roman"),
)
_OTHER = (
    *("cp1251", "cp1253", "cp1255", "cp1256", "cp874", "tis-620", "iso8859-5", "iso8859-7", "koi8-r", "koi8-u", "cp866"),
    *("cp932", "shift_jis_2004", "euc_jis_2004", "iso2022_jp_2", "gb18030", "hz", "big5hkscs", "cp949", "euc_kr"),
)
_HIGH = re.compile(rb"[\x80-\xff]+")
# Accents stand alone between plain letters; the letters of other scripts stand in words.
_ALONE = 1.5


def named(encoding: str) -> str:
    """The codec that a person means by this name. Raises ``DataError`` when none can be taken."""
    wanted = encoding.strip().lower().replace(" ", "_")
    wanted = _MEANT.get(wanted, wanted)
    try:
        found = codecs.lookup(wanted).name
    except (LookupError, ValueError):
        found = ""
    found = _MEANT.get(found, found)
    if found not in ENCODINGS:
        raise DataError(
            f"{encoding[:40]!r} is not an encoding that can be read here.",
            where="encoding",
            next_step=f"Choose one of: {', '.join(ENCODINGS)}.",
        )
    return found


def words(encoding: str) -> str:
    """The name of an encoding in words."""
    return ENCODINGS.get(encoding, encoding.upper())


def marked(head: bytes) -> str | None:
    """The encoding that the first bytes announce by a byte-order mark."""
    return next((name for mark, name in BOMS if head.startswith(mark)), None)


def wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without its mark: zeros stand in every other byte, or in three of four, of plain letters."""
    zeros = head.count(0)
    if zeros < len(head) // 50 or not zeros:
        return None
    for encoding, width, plain in (("utf-32-le", 4, 0), ("utf-32-be", 4, 3), ("utf-16-le", 2, 0), ("utf-16-be", 2, 1)):
        by_place = [head[place::width].count(0) for place in range(width)]
        if 20 * by_place[plain] <= sum(by_place) - by_place[plain] and _reads(head, encoding, width):
            return encoding
    return None


def guess(evidence: bytes) -> str:
    """The most likely encoding of text that is not UTF-8."""
    runs = [len(run) for run in _HIGH.findall(evidence)]
    candidates = _LATIN if runs and sum(runs) < _ALONE * len(runs) else _LATIN + _OTHER
    found = chardet.detect(evidence, include_encodings=candidates, compat_names=False)["encoding"] or "cp1252"
    return _WIDER.get(found, found)


def _reads(head: bytes, encoding: str, width: int) -> bool:
    """True when the bytes are text in this encoding, with some of the signs that every table and every JSON has."""
    text = head[: len(head) // width * width].decode(encoding, "replace")
    plain = sum(text.count(sign) for sign in ' ,;\t\n\r"{}')
    return 50 * text.count("\ufffd") <= len(text) <= 50 * plain
