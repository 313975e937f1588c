"""The bytes of a file: is it text at all, in which encoding, and how to get it as UTF-8 in small pieces.

Guarantees: the file is only read, never changed; memory stays at a few megabytes whatever the size; bytes that are no text in
the file's encoding arrive as ``BAD_BYTES``, so that the row they stand in can be set aside and no other.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import charset_normalizer

from studio.data.types import RefusedFile
from studio.errors import DataError

CHUNK = 1 << 20
#: How much of the file decides about encoding, container and dialect.
SAMPLE = 256 * 1024
#: One line or one JSON element longer than this is refused: nothing could be trained on it, and it would fill the memory.
LONGEST = 32 * 1024 * 1024

# Unicode noncharacters: never part of interchanged text, so they can carry a meaning inside our own working files.
BAD_BYTES = "\ufdd2".encode()

_NAMES = {"cp1252": "Western European (Windows)", "cp1251": "Cyrillic (Windows)", "cp932": "Japanese (Shift JIS)"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Statistical detectors mix these up on short Western text; the Windows code page is right nearly always.
_WESTERN = re.compile(r"(cp125[0247]|cp437|cp85\d|cp858|latin.?\d*|iso8859.*|mac.*|hp.roman8|cp037|cp1140|cp500|cp273)")
_ARCHIVE = "Unpack it first and choose the CSV, JSON or JSONL file inside."
_MAGIC: tuple[tuple[bytes, str, str, str], ...] = (
    (
        b"\xd0\xcf\x11\xe0",
        "not_text_excel",
        "This is an old Excel or Office file, not a CSV.",
        "In Excel choose File, Save as, CSV UTF-8.",
    ),
    (b"%PDF", "not_text_pdf", "This is a PDF, not a table.", "Copy the examples into a spreadsheet and save it as CSV UTF-8."),
    (b"\x1f\x8b", "compressed_file", "This is a gzip-compressed file.", _ARCHIVE),
    (b"BZh", "compressed_file", "This is a bzip2-compressed file.", _ARCHIVE),
    (b"\xfd7zXZ\x00", "compressed_file", "This is an xz-compressed file.", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", "compressed_file", "This is a zstd-compressed file.", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", "compressed_file", "This is a 7-Zip archive.", _ARCHIVE),
    (b"Rar!", "compressed_file", "This is a RAR archive.", _ARCHIVE),
    (b"PAR1", "not_text_parquet", "This is a Parquet file.", "Export it as JSONL or CSV and choose that file."),
    (b"ARROW1", "not_text", "This is an Arrow file.", "Export it as JSONL or CSV and choose that file."),
    (b"SQLite format 3\x00", "not_text", "This is an SQLite database.", "Export the table as CSV and choose that file."),
    (b"{\\rtf", "not_text", "This is a rich-text document.", "Save the examples as CSV UTF-8 from a spreadsheet."),
    (b"\x89PNG", "not_text", "This is a picture.", "Choose a CSV, JSON or JSONL file."),
    (b"\xff\xd8\xff", "not_text", "This is a picture.", "Choose a CSV, JSON or JSONL file."),
)
# Separators that some exports use stay allowed: \t \n \r \f and the ASCII separators 0x01 and 0x1c to 0x1f.
_BINARY = re.compile(r"[\x00\x02-\x08\x0b\x0e-\x1b\x7f\ufffd\ufdd2]")


def _mark_bad_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return BAD_BYTES.decode(), error.end


codecs.register_error("tuning-fork-mark", _mark_bad_bytes)


@dataclass(frozen=True, slots=True)
class Source:
    """A text file after one pass over its bytes. ``clean`` is true when all of it is valid in ``encoding``."""

    path: Path
    name: str
    bytes: int
    fingerprint: str
    encoding: str
    clean: bool
    sample: str

    @property
    def encoding_name(self) -> str:
        """The encoding in words."""
        return _NAMES.get(self.encoding, self.encoding.upper())

    @property
    def re_encoded(self) -> bool:
        """True when the file was anything but UTF-8."""
        return self.encoding not in ("utf-8", "utf-8-sig")

    def chunks(self) -> Iterator[bytes]:
        """The text as UTF-8 without its byte-order mark, in pieces of about a megabyte that end between characters."""
        with _reading(self.path, self.name), self.path.open("rb") as file:
            raw = iter(lambda: file.read(CHUNK), b"")
            if self.clean and not self.re_encoded:
                if self.encoding == "utf-8-sig":
                    file.seek(len(codecs.BOM_UTF8))
                yield from raw
            else:
                for text in _decoded(raw, self.encoding, "tuning-fork-mark"):
                    yield text.encode("utf-8", "replace")


def survey(path: Path, name: str) -> Source:
    """Read the file once: size, SHA-256, encoding.

    Raises ``RefusedFile`` for what is not text, and ``DataError`` when the file cannot be opened or read.
    """
    with _reading(path, name), path.open("rb") as file:
        digest, size, clean = hashlib.sha256(), 0, True
        head = file.read(SAMPLE)
        _refuse_magic(head, name)
        decoder = codecs.getincrementaldecoder("utf-8")()
        file.seek(0)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            clean = clean and _accepts(decoder, chunk, final=False)
        clean = clean and _accepts(decoder, b"", final=True)
        file.seek(0)
        encoding, clean = _encoding(file, head, clean)
    sample = "".join(_decoded([head], encoding, "tuning-fork-mark", final=size <= len(head)))
    if not sample.strip("\ufeff \t\r\n"):
        raise RefusedFile("empty_file", "This file is empty.", where=name, next_step="Choose a file with at least three rows.")
    if len(_BINARY.findall(sample)) > 0.03 * len(sample):
        raise RefusedFile(
            "not_text", "This file does not hold text.", where=name, next_step="Choose a CSV, JSON or JSONL file."
        )
    _refuse_markup(sample, name)
    return Source(path, name, size, digest.hexdigest(), encoding, clean, sample)


def lines(chunks: Iterable[bytes], name: str, *, returns: bool = True) -> Iterator[bytes]:
    """Lines with their ends, as an editor counts them: LF, CRLF and, unless ``returns`` is false, CR alone end a line."""
    rest = b""
    for chunk in chunks:
        block = rest + chunk
        pieces = block.splitlines(keepends=True) if returns else io.BytesIO(block).readlines()
        # The last piece may go on in the next chunk; a final CR may be half of a CRLF.
        rest = pieces.pop() if pieces else b""
        if len(rest) > LONGEST:
            raise too_long(name)
        yield from pieces
    if rest:
        yield from rest.splitlines(keepends=True) if returns else [rest]


def too_long(name: str) -> RefusedFile:
    """The refusal of a single line or element that is longer than any model could read."""
    return RefusedFile(
        "too_big_row",
        f"One row of this file is longer than {LONGEST >> 20} MB.",
        where=name,
        next_step="Check that the file has one example per row, and that no quotation mark is left open.",
    )


def _accepts(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(raw: Iterable[bytes], encoding: str, errors: str, *, final: bool = True) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    for chunk in raw:
        yield decoder.decode(chunk)
    if final:
        yield decoder.decode(b"", True)


def _encoding(file: BinaryIO, head: bytes, utf8: bool) -> tuple[str, bool]:
    """The encoding of the whole file, and whether all of it is valid in that encoding."""
    marked = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    if marked == "utf-8-sig" or (utf8 and not marked and head.count(0) <= len(head) // 10):
        return marked or "utf-8", utf8
    encoding = marked or _wide(head)
    if encoding is None:
        valid, invalid, evidence = _vote(file)
        # Mostly UTF-8 with a few damaged rows: keep UTF-8 and set those rows aside, rather than garble all the others.
        encoding = "utf-8" if valid >= 3 * invalid and valid else _legacy(evidence)
    return encoding, False


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark shows as a zero in every other byte."""
    pairs = max(1, len(head) // 2)
    if head[1::2].count(0) > 0.4 * pairs:
        return "utf-16-le"
    return "utf-16-be" if head[0::2].count(0) > 0.4 * pairs else None


def _vote(file: BinaryIO) -> tuple[int, int, bytes]:
    """Lines with non-ASCII text that are valid and invalid UTF-8, and some of the invalid ones."""
    valid, invalid, evidence = 0, 0, bytearray()
    for line in lines(iter(lambda: file.read(CHUNK), b""), ""):
        if line.isascii():
            continue
        if _accepts(codecs.getincrementaldecoder("utf-8")(), line, final=False):
            valid += 1
        else:
            invalid += 1
            if len(evidence) < SAMPLE:
                evidence += line[:4096]
    return valid, invalid, bytes(evidence)


def _legacy(evidence: bytes) -> str:
    best = charset_normalizer.from_bytes(evidence).best()
    if best is None or _WESTERN.fullmatch(best.encoding.replace("_", "")) or best.encoding == "utf_8":
        return "cp1252"
    return best.encoding


def _refuse_magic(head: bytes, name: str) -> None:
    if not head:
        raise RefusedFile("empty_file", "This file is empty.", where=name, next_step="Choose a file with at least three rows.")
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head or b"[Content_Types].xml" in head:
            raise RefusedFile(
                "not_text_excel",
                "This is an Excel workbook, not a CSV.",
                where=name,
                next_step="In Excel choose File, Save as, CSV UTF-8.",
            )
        raise RefusedFile("compressed_file", "This is a zip archive.", where=name, next_step=_ARCHIVE)
    for magic, code, what, next_step in _MAGIC:
        if head.startswith(magic):
            raise RefusedFile(code, what, where=name, next_step=next_step)


def _refuse_markup(sample: str, name: str) -> None:
    start = sample.lstrip("\ufeff \t\r\n")[:200].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body", "<table")):
        raise RefusedFile(
            "not_text_html",
            "This is a web page, not a table. Often the download needs a sign-in and this is the sign-in page.",
            where=name,
            next_step="Open the address in a browser, download the file itself, and choose that.",
        )
    if start.startswith("<?xml"):
        raise RefusedFile("not_text", "This is an XML file.", where=name, next_step="Export the examples as CSV or JSONL.")


@contextmanager
def _reading(path: Path, name: str) -> Generator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError("This file does not exist.", where=name, next_step=f"Check the path: {path}") from error
    except IsADirectoryError as error:
        raise DataError("This is a folder, not a file.", where=name, next_step="Choose one file inside it.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"This file cannot be read: {reason}.", where=name, next_step="Check that you may open it.") from error
