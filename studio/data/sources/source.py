"""The bytes of a file: is it text at all, in which encoding, and what one pass over them proves.

Guarantees: the person's file is only read, never changed, and a file that changes meanwhile is noticed; memory stays at a few
megabytes whatever the size; after the survey the text lies on disk as UTF-8, where bytes that are no text in the file's
encoding stand as ``BAD_BYTES``, so that the row they stand in can be set aside and no other.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studio.data.db import disk_errors
from studio.data.sources import encoding as encodings
from studio.data.sources import refusals
from studio.data.sources.facts import Facts, Scan
from studio.data.sources.unpack import unpack, unpacked_head
from studio.data.types import RefusedFile, Watch
from studio.errors import DataError, StudioError

CHUNK = 1 << 20
#: How much of the file decides about encoding, container and dialect.
SAMPLE = 256 * 1024
#: One line or one JSON element longer than this is set aside: nothing could be trained on it, and it would fill the memory.
LONGEST = 32 * 1024 * 1024
#: What the survey may write into the working folder.
WORKING_FILES = ("unpacked.dat", "text.dat")

# Unicode noncharacters: never part of interchanged text, so they can carry a meaning inside our own working files.
BAD_BYTES = "\ufdd2".encode()
#: Stands at the end of what is kept of a line that is longer than ``LONGEST``.
CUT = "\ufdd4".encode()
_STAND_INS = re.compile("[\ufdd0-\ufdd4]")
_BLOCK = 4 << 20
_KEPT = 500


def _mark_bad_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return BAD_BYTES.decode(), error.end


codecs.register_error("tuning-fork-mark", _mark_bad_bytes)


@dataclass(frozen=True, slots=True)
class Source:
    """A file after one pass over its bytes.

    ``path`` holds UTF-8 text from byte ``start`` on (or is a Parquet file): the person's file itself, or a copy in the working
    folder when that was packed or in another encoding. ``bytes`` is the size of ``path``; ``fingerprint`` (SHA-256) and
    ``file_bytes`` are those of the person's file. ``clean`` is true when no ``BAD_BYTES`` stand in the text. ``sample`` is the
    start of the text, all of it when ``complete``. ``packed`` is ``gzip`` or empty.
    """

    path: Path
    name: str
    bytes: int
    fingerprint: str
    encoding: str
    clean: bool
    sample: str
    complete: bool = True
    start: int = 0
    facts: Facts | None = None
    packed: str = ""
    is_parquet: bool = False
    file_bytes: int = 0
    original: Path = Path()
    stamp: tuple[int, int, int] = (0, 0, 0)

    @property
    def encoding_name(self) -> str:
        """The encoding in words."""
        return encodings.words(self.encoding)

    @property
    def re_encoded(self) -> bool:
        """True when the file was anything but UTF-8."""
        return self.encoding not in ("utf-8", "utf-8-sig", "")

    def chunks(self, offset: int = 0, size: int = CHUNK) -> Iterator[bytes]:
        """The text as UTF-8 from this byte on, without its byte-order mark, in pieces of ``size``."""
        with _reading(self.path, self.name), self.path.open("rb") as file:
            file.seek(self.start + offset)
            yield from iter(lambda: file.read(size), b"")

    def check_unchanged(self) -> None:
        """Raise ``DataError`` when the person's file is not the one that was surveyed any more."""
        with _reading(self.original, self.name):
            found = self.original.stat(follow_symlinks=False)
        if (found.st_size, found.st_mtime_ns, found.st_ino) != self.stamp:
            raise _changed(self.name)


def survey(path: Path, name: str, folder: Path, *, encoding: str = "", watch: Watch | None = None) -> Source:
    """Read the file once: size, SHA-256, encoding, and the ``Facts`` about its text.

    ``encoding`` is taken as it is when a person chose one. Raises ``RefusedFile`` for what is no table, and ``DataError`` when
    the file cannot be opened or read, or changes meanwhile.
    """
    chosen, shown = encodings.named(encoding) if encoding else "", _shown(name)
    with _opened(path, shown) as file:
        return _Survey(path, shown, folder, file, chosen, watch).run()


def glance(path: Path, name: str, *, encoding: str = "") -> Source:
    """What the first part of the file says: no fingerprint, and facts about the sample only. Nothing is written."""
    chosen, name = encodings.named(encoding) if encoding else "", _shown(name)
    with _opened(path, name) as file:
        stamp = _stamp(file)
        head, tail = _ends(file, stamp[0])
        refusals.refuse_magic(head, tail, name)
        packed = head.startswith(refusals.GZIP)
        if packed:
            head, size = unpacked_head(file, SAMPLE + 1, name), SAMPLE + 1
            _refuse_inside(head, b"", name)
            complete = len(head) < size
        else:
            complete = stamp[0] <= len(head)
    parquet = head.startswith(refusals.PARQUET)
    found, text = ("", "") if parquet else _sampled(head, chosen, name, final=complete)
    scan = Scan()
    scan.add(text.encode("utf-8", "replace"))
    mark = "gzip" if packed else ""
    start = _start(head, found)
    return Source(
        path, name, stamp[0], "", found, True, text, complete, start, scan.facts(), mark, parquet, stamp[0], path, stamp
    )


def lines(chunks: Iterable[bytes], name: str, *, returns: bool = True) -> Iterator[bytes]:
    """Lines with their ends, as an editor counts them: LF, CRLF and, unless ``returns`` is false, CR alone end a line.

    Of a line longer than ``LONGEST`` only the start is given, with ``CUT`` behind it. Raises ``RefusedFile`` when the whole
    text is one such line.
    """
    rest, cut, several = b"", False, False
    for chunk in chunks:
        block = rest + chunk
        pieces = block.splitlines(keepends=True) if returns else io.BytesIO(block).readlines()
        # The last piece may go on in the next chunk; a final CR may be half of a CRLF.
        rest = pieces.pop() if pieces else b""
        if pieces and cut:
            pieces[0], cut = _cut_line(pieces[0]), False
        several = several or bool(pieces)
        for piece in pieces:
            yield piece if len(piece) <= LONGEST else _cut_line(piece)
        if len(rest) > (LONGEST if not cut else 2 * _KEPT):
            rest, cut = rest[:_KEPT], True
    if cut and not several:
        raise too_long(name)
    if rest:
        yield from [_cut_line(rest)] if cut else rest.splitlines(keepends=True) if returns else [rest]


def too_long(name: str) -> RefusedFile:
    """The refusal of a single line or element that is longer than any model could read."""
    return RefusedFile(
        "too_big_row",
        f"One row of this file is longer than {LONGEST >> 20} MB.",
        where=name,
        next_step="Check that the file has one example per row, and that no quotation mark is left open.",
    )


class _Survey:
    """One pass over one open file."""

    def __init__(self, path: Path, name: str, folder: Path, file: BinaryIO, chosen: str, watch: Watch | None) -> None:
        self._path, self._name, self._folder, self._file = path, name, folder, file
        self._chosen, self._watch = chosen, watch
        self._stamp = _stamp(file)
        self._digest = hashlib.sha256()

    def run(self) -> Source:
        size = self._stamp[0]
        head, tail = _ends(self._file, size)
        refusals.refuse_magic(head, tail, self._name)
        if head.startswith(refusals.GZIP):
            target = self._folder / WORKING_FILES[0]
            packed = _Hashed(self._file, self._digest.update)
            unpack(io.BufferedReader(packed, CHUNK), size, target, self._name, self._told("unpacking", size))
            with target.open("rb") as file:
                unpacked = _stamp(file)[0]
                head, tail = _ends(file, unpacked)
                _refuse_inside(head, tail, self._name)
                return self._text(file, target, head, unpacked, "gzip", lambda _: None)
        return self._text(self._file, self._path, head, size, "", self._digest.update)

    def _text(self, file: BinaryIO, path: Path, head: bytes, size: int, packed: str, hashed: Callable[[bytes], None]) -> Source:
        if head.startswith(refusals.PARQUET):
            with _copied(path, self._folder / WORKING_FILES[1]) as (known, out):
                for block in self._blocks(file, size, hashed):
                    out(block)
            return self._source(known, size, "", "", packed, is_parquet=True)
        found, sample = _sampled(head, self._chosen, self._name, final=size <= len(head))
        scan = Scan()
        for block in self._blocks(file, size, hashed):
            scan.add(block)
        facts = scan.facts()
        if not self._chosen and facts.utf8 and found not in ("utf-8", "utf-8-sig") and not encodings.marked(head):
            found = found if encodings.wide(head) else "utf-8"
        if found in ("utf-8", "utf-8-sig") and facts.utf8 and not facts.stand_ins and _nameable(path):
            return self._source(path, size, found, sample, packed, facts, start=_start(head, found))
        if not self._chosen and found == "utf-8":
            found = _voted(file, found)
        return self._rewritten(file, path, found, packed)

    def _blocks(self, file: BinaryIO, size: int, hashed: Callable[[bytes], None]) -> Iterator[bytes]:
        """The file in large blocks. While one is looked at, another thread takes its hash."""
        file.seek(0)
        told, done = self._told("reading", size), 0
        with ThreadPoolExecutor(1) as other:
            while block := file.read(_BLOCK):
                pending = other.submit(hashed, block)
                yield block
                pending.result()
                done += len(block)
                if done > size:
                    break
                told(done)
        if done != size:
            raise _changed(self._name)

    def _rewritten(self, file: BinaryIO, path: Path, encoding: str, packed: str) -> Source:
        """The text as UTF-8 in a file of our own."""
        file.seek(0)
        target = self._folder / WORKING_FILES[1]
        told, scan, size, clean = self._told("converting", _stamp(file)[0]), Scan(), 0, True
        raw = iter(lambda: file.read(_BLOCK), b"")
        with disk_errors(self._name), target.open("wb") as out:
            for number, text in enumerate(_decoded(raw, encoding)):
                piece = (text.removeprefix("\ufeff") if number == 0 else text).encode("utf-8", "replace")
                scan.add(piece)
                clean = clean and BAD_BYTES not in piece
                size += out.write(piece)
                told(file.tell())
        if packed:
            path.unlink()
        with target.open("rb") as converted:
            sample = _text_of(converted.read(SAMPLE), final=size <= SAMPLE)
        return self._source(target, size, encoding, sample, packed, scan.facts(), clean=clean)

    def _source(
        self,
        path: Path,
        size: int,
        encoding: str,
        sample: str,
        packed: str,
        facts: Facts | None = None,
        *,
        clean: bool = True,
        is_parquet: bool = False,
        start: int = 0,
    ) -> Source:
        if _stamp(self._file) != self._stamp:
            raise _changed(self._name)
        complete = is_parquet or size - start <= len(sample.encode("utf-8", "replace"))
        whole, origin = self._stamp[0], self._path
        fingerprint = self._digest.hexdigest()
        return Source(
            path, self._name, size, fingerprint, encoding, clean, sample, complete, start, facts, packed, is_parquet, whole,
            origin, self._stamp,
        )  # fmt: skip

    def _told(self, phase: str, size: int) -> Callable[[int], None]:
        watch = self._watch
        return (lambda done: watch.at(phase, done, size, "bytes")) if watch else (lambda _: None)


class _Hashed(io.RawIOBase):
    """A file that tells every byte that is read from it."""

    def __init__(self, file: BinaryIO, hashed: Callable[[bytes], None]) -> None:
        super().__init__()
        self._file, self._hashed = file, hashed
        file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        piece = self._file.read(len(buffer))
        self._hashed(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    def tell(self) -> int:
        return self._file.tell()


def _sampled(head: bytes, chosen: str, name: str, *, final: bool) -> tuple[str, str]:
    """The encoding, as far as the first part tells it, and that part as text."""
    found = chosen or encodings.marked(head) or encodings.wide(head) or "utf-8"
    if found == "utf-8" and not chosen:
        refusals.refuse_bytes(head, name)
        found = _voted(io.BytesIO(head if final else head[: max(head.rfind(b"\n"), head.rfind(b"\r"), 4096) + 1]), found)
    text = next(_decoded([head], found, final=final), "").removeprefix("\ufeff")
    refusals.refuse_text(text, name)
    return ("utf-8-sig" if found == "utf-8" and head.startswith(codecs.BOM_UTF8) else found), text


def _refuse_inside(head: bytes, tail: bytes, name: str) -> None:
    """Raise ``RefusedFile`` when something else than text or Parquet was packed."""
    refusals.refuse_magic(head, tail, name)
    if head.startswith(refusals.GZIP):
        raise RefusedFile(
            "compressed_file",
            "This file is packed with gzip twice.",
            where=name,
            next_step="Unpack it once and choose the result.",
        )


def _text_of(piece: bytes, *, final: bool) -> str:
    return codecs.utf_8_decode(piece, "replace", final)[0]


def _decoded(raw: Iterable[bytes], encoding: str, *, final: bool = True) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)("tuning-fork-mark")
    for chunk in raw:
        yield _STAND_INS.sub(BAD_BYTES.decode(), decoder.decode(chunk))
    if final and (rest := decoder.decode(b"", True)):
        yield rest


def _voted(file: BinaryIO, otherwise: str) -> str:
    """The encoding of text that is not marked: UTF-8 unless many lines are not.

    Mostly UTF-8 with a few damaged rows stays UTF-8, and those rows are set aside, rather than garbling all the others.
    """
    file.seek(0)
    valid, invalid, evidence = 0, 0, bytearray()
    for line in lines(iter(lambda: file.read(CHUNK), b""), ""):
        if line.isascii():
            continue
        try:
            line.removesuffix(CUT + b"\n").decode()
            valid += 1
        except UnicodeDecodeError:
            invalid += 1
            if len(evidence) < SAMPLE:
                evidence += line[:4096]
    return otherwise if valid >= 3 * invalid else encodings.guess(bytes(evidence))


def _cut_line(line: bytes) -> bytes:
    """What is kept of a line that is too long: its start, and the sign that it was cut."""
    return _text_of(line[:_KEPT], final=False).encode() + CUT + b"\n"


def _shown(name: str) -> str:
    """The name as text: a file may be called anything, but half a character can be neither shown nor stored."""
    return name.encode("utf-8", "replace").decode()


def _start(head: bytes, encoding: str) -> int:
    return len(codecs.BOM_UTF8) if encoding in ("utf-8", "utf-8-sig") and head.startswith(codecs.BOM_UTF8) else 0


def _ends(file: BinaryIO, size: int) -> tuple[bytes, bytes]:
    """The first and the last part of a file."""
    file.seek(0)
    head = file.read(SAMPLE)
    file.seek(max(0, size - refusals.LOOKED_AT))
    tail = file.read(refusals.LOOKED_AT) if size > SAMPLE else b""
    file.seek(0)
    return head, tail


def _nameable(path: Path) -> bool:
    """Whether the database can be told this path."""
    return str(path) == _shown(str(path))


@contextmanager
def _copied(path: Path, target: Path) -> Generator[tuple[Path, Callable[[bytes], object]]]:
    """The path itself, or, when the database cannot be told it, a copy that is filled piece by piece."""
    if _nameable(path):
        yield path, lambda _: None
        return
    with disk_errors(target.name), target.open("wb") as out:
        yield target, out.write


def _stamp(file: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ino


def _changed(name: str) -> DataError:
    return DataError(
        "This file changed while it was read.",
        where=name,
        next_step="Wait until the other program has written it, then choose it again.",
    )


@contextmanager
def _opened(path: Path, name: str) -> Generator[BinaryIO]:
    """The open file, when it is an ordinary one: no link, no pipe, no device."""
    with _reading(path, name):
        # Without waiting: a pipe that nobody writes to would hold this up for ever.
        if path.is_symlink():
            raise DataError("This is a link to a file.", where=name, next_step="Choose the file that it points to.")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError
            if not stat.S_ISREG(mode):
                raise DataError(
                    "This is no ordinary file but a pipe or a device.",
                    where=name,
                    next_step="Write its content to a file first.",
                )
            yield file


@contextmanager
def _reading(path: Path, name: str) -> Generator[None]:
    try:
        yield
    except StudioError:
        raise
    except FileNotFoundError as error:
        raise DataError("This file does not exist.", where=name, next_step=f"Check the path: {path}") from error
    except IsADirectoryError as error:
        raise DataError("This is a folder, not a file.", where=name, next_step="Choose one file inside it.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"This file cannot be read: {reason}.", where=name, next_step="Check that you may open it.") from error
