"""Files that hold no table as text: what they are, by their first bytes, and what to do instead.

Guarantees: the content decides, never the name; every refusal says what the file is and one thing that a person can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from studio.data.types import RefusedFile

#: How much of a file is looked at, from its start and from its end.
LOOKED_AT = 256 * 1024
GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"

_SAVE_AS_CSV = "In Excel choose File, Save as, CSV UTF-8."
_UNPACK = "Unpack it first and choose the CSV, JSON, JSONL or Parquet file inside."
_EXPORT = "Export the table as CSV or JSONL and choose that file."
_COPY = "Copy the examples into a spreadsheet and save it as CSV UTF-8."
_OTHER = "Choose a CSV, JSON, JSONL or Parquet file."
_CONVERT = "Open it in the program that wrote it, and write the rows as JSONL or Parquet."

# First bytes, code, what it is, what to do. Signs that are plain letters are long enough not to start a text.
_MAGIC: tuple[tuple[bytes, str, str, str], ...] = (
    (b"%PDF", "not_text_pdf", "This is a PDF, not a table.", _COPY),
    (b"{\\rtf", "not_text", "This is a rich-text document, not a table.", _COPY),
    (b"\x1f\x9d", "compressed_file", "This is a file compressed with compress.", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed_file", "This is an xz-compressed file.", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed_file", "This is a zstd-compressed file.", _UNPACK),
    (b"\x04\x22\x4d\x18", "compressed_file", "This is an lz4-compressed file.", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "compressed_file", "This is a 7-Zip archive.", _UNPACK),
    (b"Rar!\x1a\x07", "compressed_file", "This is a RAR archive.", _UNPACK),
    (b"MSCF\x00", "compressed_file", "This is a cabinet archive.", _UNPACK),
    (b"PARE", "not_text_parquet", "This Parquet file is encrypted.", "Write it again without encryption."),
    (b"ARROW1", "not_text", "This is an Arrow or Feather file.", "Write it as Parquet, for example with to_parquet in pandas."),
    (b"FEA1", "not_text", "This is a Feather file.", "Write it as Parquet, for example with to_parquet in pandas."),
    (
        b"\xff\xff\xff\xff",
        "not_text",
        "This is an Arrow stream.",
        "Write it as Parquet, for example with to_parquet in datasets.",
    ),
    (b"Obj\x01", "not_text", "This is an Avro file.", _CONVERT),
    (b"\x89HDF", "not_text", "This is an HDF5 file.", _CONVERT),
    (b"\x93NUMPY", "not_text", "This is a NumPy array.", _CONVERT),
    (b"SQLite format 3\x00", "not_text", "This is an SQLite database.", _EXPORT),
    (b"\x89PNG", "not_text", "This is a picture.", _OTHER),
    (b"\xff\xd8\xff", "not_text", "This is a picture.", _OTHER),
    (b"GIF87a", "not_text", "This is a picture.", _OTHER),
    (b"GIF89a", "not_text", "This is a picture.", _OTHER),
    (b"II*\x00", "not_text", "This is a picture.", _OTHER),
    (b"MM\x00*", "not_text", "This is a picture.", _OTHER),
    (b"OggS\x00", "not_text", "This is a sound file.", _OTHER),
    (b"fLaC\x00", "not_text", "This is a sound file.", _OTHER),
    (b"\x1aE\xdf\xa3", "not_text", "This is a video.", _OTHER),
    (b"\x7fELF", "not_text", "This is a program.", _OTHER),
)
_PATTERNS: tuple[tuple[re.Pattern[bytes], str, str, str], ...] = (
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), "compressed_file", "This is a bzip2-compressed file.", _UNPACK),
    (re.compile(rb"(?s).{257}ustar"), "compressed_file", "This is a tar archive.", _UNPACK),
    (
        re.compile(rb"\x80[\x02-\x05](?:\x95|[\x5d\x7d\x28\x63\x71\x58\x8a])"),
        "not_text",
        "This is a Python pickle, which can run programs when it is opened.",
        "Do not open it if you do not know where it comes from. " + _CONVERT,
    ),
    (re.compile(rb"(?s)RIFF.{4}(?:WAVE|AVI )"), "not_text", "This is a sound or video file.", _OTHER),
    (re.compile(rb"(?s)RIFF.{4}WEBP|BM.{4}\x00\x00\x00\x00"), "not_text", "This is a picture.", _OTHER),
    (re.compile(rb"ID3[\x02-\x04]\x00|\xff[\xfb\xf3\xf2][\x10-\xef]"), "not_text", "This is a sound file.", _OTHER),
    (re.compile(rb"(?s)\x00\x00\x00.ftyp"), "not_text", "This is a picture or a video.", _OTHER),
    (re.compile(rb"ORC.{0,3}[\x00-\x08]"), "not_text", "This is an ORC file.", _CONVERT),
)
_ZIPPED: tuple[tuple[bytes, str, str, str], ...] = (
    (b"xl/", "not_text_excel", "This is an Excel workbook, not a CSV.", _SAVE_AS_CSV),
    (
        b"opendocument.spreadsheet",
        "not_text_excel",
        "This is a LibreOffice spreadsheet, not a CSV.",
        "In LibreOffice choose File, Save as, Text CSV, with the character set UTF-8.",
    ),
    (b"Index/Document.iwa", "not_text_excel", "This is a Numbers spreadsheet.", "In Numbers choose File, Export to, CSV."),
    (b"word/", "not_text_word", "This is a Word document, not a table.", _COPY),
    (b"opendocument.text", "not_text_word", "This is a LibreOffice document, not a table.", _COPY),
    (b"ppt/", "not_text", "This is a presentation, not a table.", _COPY),
    (b"archive/data.pkl", "not_text", "This is a PyTorch file.", _OTHER),
    (b"data.pkl", "not_text", "This is a PyTorch file.", _OTHER),
    (b"epub+zip", "not_text", "This is an electronic book.", _COPY),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK, _WORD = "Workbook".encode("utf-16-le"), "WordDocument".encode("utf-16-le")
_POINTER = "version https://git-lfs.github.com/spec/"
_PAGE = ("<!doctype html", "<html", "<head", "<body", "<table", "<script", "<meta")
# Separators that some exports use stay allowed: \t \n \r \f and the ASCII separators 0x01 and 0x1c to 0x1f.
_CONTROLS = re.compile(r"[\x00\x02-\x08\x0b\x0e-\x1b\ufdd2]")
_CONTROL_BYTES = re.compile(rb"[\x00\x02-\x08\x0b\x0e-\x1a]")
_FEW_CONTROLS, _SHARE_OF_CONTROLS = 8, 0.03


def refuse_magic(head: bytes, tail: bytes, name: str) -> None:
    """Raise ``RefusedFile`` when the first bytes are those of something else than text, gzip or Parquet."""
    if not head:
        raise empty(name)
    for code, what, next_step in _recognised(head, tail):
        raise RefusedFile(code, what, where=name, next_step=next_step)


def refuse_bytes(head: bytes, name: str) -> None:
    """Raise ``RefusedFile`` for bytes that are text in no encoding of single bytes."""
    if _too_many(len(_CONTROL_BYTES.findall(head)), len(head)):
        raise _not_text(name)


def refuse_text(sample: str, name: str) -> None:
    """Raise ``RefusedFile`` for text that is empty, full of control characters, or no table."""
    start = sample[:4096].lstrip("\ufeff \t\r\n")
    if not start and not sample.strip("\ufeff \t\r\n\x00"):
        raise empty(name)
    if _too_many(len(_CONTROLS.findall(sample)), len(sample)):
        raise _not_text(name)
    lowered = start[:300].lower()
    if lowered.startswith(_PAGE) or (lowered.startswith(("<!--", "<?xml")) and "<html" in start.lower()):
        raise RefusedFile(
            "not_text_html",
            "This is a web page, not a table. Often the download needs a sign-in and this is the sign-in page.",
            where=name,
            next_step="Open the address in a browser, download the file itself, and choose that.",
        )
    if lowered.startswith(("<?xml", "<svg")):
        raise RefusedFile("not_text", "This is an XML file.", where=name, next_step="Export the examples as CSV or JSONL.")
    if start.startswith(_POINTER):
        raise RefusedFile(
            "not_text_pointer",
            "This is only a pointer of Git LFS to a large file, not the file itself.",
            where=name,
            next_step="Download the file itself, for example with git lfs pull or from the web page of the data set.",
        )


def empty(name: str) -> RefusedFile:
    """The refusal of a file with nothing in it."""
    return RefusedFile("empty_file", "This file is empty.", where=name, next_step="Choose a file with at least three rows.")


def _not_text(name: str) -> RefusedFile:
    return RefusedFile("not_text", "This file does not hold text.", where=name, next_step=_OTHER)


def _too_many(controls: int, length: int) -> bool:
    return controls > _FEW_CONTROLS and controls > _SHARE_OF_CONTROLS * length


def _recognised(head: bytes, tail: bytes) -> Iterator[tuple[str, str, str]]:
    """Code, what it is and what to do, of everything that these bytes may be, the best first."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from ((code, what, step) for sign, code, what, step in _ZIPPED if sign in head or sign in tail)
        yield "compressed_file", "This is a zip archive.", _UNPACK
    if head.startswith(_OLE[:4]):
        if _WORD in head or _WORD in tail:
            yield "not_text_word", "This is an old Word document, not a table.", _COPY
        what = "workbook" if _WORKBOOK in head or _WORKBOOK in tail else "or Office file"
        yield "not_text_excel", f"This is an old Excel {what}, not a CSV.", _SAVE_AS_CSV
    yield from ((code, what, step) for magic, code, what, step in _MAGIC if head.startswith(magic))
    yield from ((code, what, step) for pattern, code, what, step in _PATTERNS if pattern.match(head))
