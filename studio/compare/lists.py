"""Prompts and answers that a person brings: read like every other file, and kept under the digest of what was read.

Guarantees: any table or text that the data desk reads is read the same way here, hostile ones included; the same content is
kept once and never changes, so that a plan that names its digest always means the same prompts; a file of answers is taken
whole or refused with the lines that are wrong, because answers that go missing would favour the system that gave them.

A kept file is ``comparisons/lists/DIGEST.jsonl`` with one object a line: ``messages``, and ``reference, slices, check`` of a
list of prompts, or ``answer`` of imported answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from studio import data
from studio.compare import packs
from studio.compare.plan import Imported, PromptSource
from studio.data import Message, RefusedFile
from studio.data.types import messages_from
from studio.errors import DataError, StoreError
from studio.settings import Settings

#: A list from which at most a few hundred prompts are drawn need not be longer.
MOST_ROWS: Final = 20_000
PASTED: Final = "Pasted prompts"

_FOLDER: Final = "lists"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a kept list: the turns before an answer, the right answer where there is one, and its labels.

    ``check`` is a reward as JSON that an answer to this very prompt can be held against, empty for none.
    """

    messages: tuple[Message, ...]
    reference: str = ""
    slices: Mapping[str, str] = field(default_factory=dict[str, str])
    check: str = ""

    @property
    def prompt_id(self) -> str:
        """The same for the same turns, whatever list they come from."""
        told = json.dumps([asdict(turn) for turn in self.messages], sort_keys=True)
        return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def keep_prompts(settings: Settings, source: Path, name: str) -> PromptSource:
    """Read a list of prompts: a table or JSON with a column of prompts (and perhaps answers), or one prompt a line.

    Answers in it become references. Raises ``DataError`` when there is no prompt in the file, or it cannot be read.
    """
    with _workplace(settings) as folder:
        found = _read(source, name, Path(folder))
    if found is None:
        found = _lines(source, name)
    entries, left_out = found
    return _source(settings, _once(entries), name, left_out)


def keep_pasted(settings: Settings, text: str) -> PromptSource:
    """The same for what was pasted. Raises ``DataError``."""
    with _workplace(settings) as folder:
        file = Path(folder) / "pasted.txt"
        file.write_text(text, "utf-8", errors="replace")
        return keep_prompts(settings, file, PASTED)


def keep_entries(settings: Settings, entries: Sequence[Entry], name: str) -> PromptSource:
    """Keep prompts that are known already. Raises ``DataError`` when there are none."""
    return _source(settings, _once(entries), name, 0)


def keep_packs(settings: Settings, names: Sequence[str]) -> PromptSource:
    """Keep the prompts of these regression packs, as they ship now. Raises ``NotFoundError`` for a pack that there is not."""
    chosen = [packs.pack(name) for name in dict.fromkeys(names)]
    entries = [
        Entry((Message("user", one.prompt),), one.reference, {"pack": pack.title, "topic": one.topic}, one.check)
        for pack in chosen
        for one in pack.prompts()
    ]
    kept = _source(settings, entries, ", ".join(pack.title for pack in chosen), 0)
    return replace(kept, kind="pack", names=tuple(pack.name for pack in chosen))


def keep_answers(settings: Settings, source: Path, name: str) -> Imported:
    """Read a file of prompts and answers (JSON, JSONL or CSV with a column of each, or conversations).

    Raises ``DataError`` when a line has no prompt or no answer, when a prompt has two different answers, or when the file
    cannot be read.
    """
    with _workplace(settings) as folder:
        inspection = data.inspect(source, name, Path(folder) / "read")
        if inspection.rows_rejected:
            lines = [line for finding in inspection.findings if finding.severity == "error" for line in finding.lines]
            raise DataError(
                f"{inspection.rows_rejected:,} of {inspection.rows_total:,} rows have no prompt or no answer that can be read.",
                where=_placed(name, lines),
                next_step="Give each row a prompt and an answer. Where the system said nothing, write: (no answer).",
            )
        rows = _answered(inspection, name)
    told: dict[tuple[Message, ...], str] = {}
    for messages, answer in rows:
        if told.setdefault(messages, answer) != answer:
            raise DataError(
                "A prompt has two different answers in this file.",
                where=f"{name}: {messages[-1].content[:80]}",
                next_step="Keep one answer for each prompt; import the other ones as a file of their own.",
            )
    lines = [{"messages": [asdict(turn) for turn in turns], "answer": answer} for turns, answer in told.items()]
    return Imported(name, _keep(settings, lines), len(lines))


def entries_of(settings: Settings, digest: str) -> tuple[Entry, ...]:
    """The prompts that were kept under this digest. Raises ``DataError`` when they are gone or were changed."""
    return tuple(
        Entry(messages_from(line["messages"]), line["reference"], line["slices"], line["check"])
        for line in _kept(settings, digest)
    )


def answers_of(settings: Settings, digest: str) -> tuple[tuple[tuple[Message, ...], str], ...]:
    """The imported answers of this digest, each with the turns that it answers. Raises ``DataError``."""
    return tuple((messages_from(line["messages"]), str(line["answer"])) for line in _kept(settings, digest))


def _source(settings: Settings, entries: Sequence[Entry], name: str, left_out: int) -> PromptSource:
    if not entries:
        raise DataError(
            "There is no prompt in this list.", where=name, next_step="Write one prompt a line, or a column called prompt."
        )
    lines = [asdict(one) for one in entries]
    return PromptSource("list", (name,), _keep(settings, lines), left_out)


def _workplace(settings: Settings) -> tempfile.TemporaryDirectory[str]:
    folder = settings.comparisons / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="reading-", dir=folder)


def _read(source: Path, name: str, folder: Path) -> tuple[list[Entry], int] | None:
    """The rows as the data desk reads them; ``None`` when it finds no table with prompts."""
    try:
        inspection = data.inspect(source, name, folder / "read")
    except RefusedFile:
        return None
    if not inspection.ready:
        return None
    _require_short(inspection.rows_usable, name)
    entries = [Entry(asked, answer) for asked, answer in map(_asked, data.canonical_rows(inspection))]
    return entries, inspection.rows_rejected


def _lines(source: Path, name: str) -> tuple[list[Entry], int]:
    try:
        text = source.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "This is neither a table nor a plain text of prompts.",
            where=name,
            next_step="Save it as text in UTF-8 with one prompt a line, or as CSV or JSON with a column called prompt.",
        ) from error
    prompts = [line.strip() for line in text.split("\n") if line.strip()]
    if prompts and prompts[0][0] in "{[":
        raise DataError(
            "This looks like JSON, but no prompts were found in it.",
            where=name,
            next_step='Write one object a line, such as {"prompt": "…"}.',
        )
    _require_short(len(prompts), name)
    return [Entry((Message("user", prompt),)) for prompt in prompts], 0


def _asked(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    """The turns before the answer of a canonical row, and the answer or the better of two; empty where there is none."""
    answer = row.get("answer") or row.get("chosen") or row.get("completion") or ""
    if isinstance(answer, list):
        answer = str(cast("list[dict[str, Any]]", answer)[-1].get("content") or "")
    if "messages" not in row:
        turns = [("system", row["system"])] if row.get("system") else []
        return tuple(Message(role, text) for role, text in [*turns, ("user", str(row["prompt"]))]), str(answer)
    turns = _turns(row)
    if turns and turns[-1].role == "assistant":
        return turns[:-1], turns[-1].content
    return turns, str(answer)


def _turns(row: Mapping[str, Any]) -> tuple[Message, ...]:
    told: list[Message] = []
    for place, turn in enumerate(cast("list[dict[str, Any]]", row["messages"])):
        more = {key: value for key, value in turn.items() if key not in ("role", "content")}
        if place == 0 and row.get("tools"):
            more["tools"] = row["tools"]
        kept = json.dumps(more, ensure_ascii=False, sort_keys=True) if more else ""
        told.append(Message(str(turn["role"]), str(turn.get("content") or ""), kept))
    return tuple(told)


def _answered(inspection: data.Inspection, name: str) -> list[tuple[tuple[Message, ...], str]]:
    shape = inspection.shape
    if shape is None or shape.training == "DPO" or shape.kind == "prompts" or not inspection.rows_usable:
        raise DataError(
            "This file does not hold one answer for each prompt.",
            where=name,
            next_step="Use two columns called prompt and answer, or conversations that end with the answer.",
        )
    _require_short(inspection.rows_usable, name)
    return [_asked(row) for row in data.canonical_rows(inspection)]


def _once(entries: Sequence[Entry]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for one in entries:
        found.setdefault(one.prompt_id, one)
    return list(found.values())


def _require_short(rows: int, name: str) -> None:
    if rows > MOST_ROWS:
        raise DataError(
            f"The file has {rows:,} rows; a comparison takes up to {MOST_ROWS:,}.",
            where=name,
            next_step="Keep the rows that matter most.",
        )


def _placed(name: str, lines: Sequence[int]) -> str:
    shown = ", ".join(str(line) for line in sorted(Counter(lines))[:_SHOWN])
    return f"{name}, line {shown}" if shown else name


def _keep(settings: Settings, lines: Sequence[Mapping[str, Any]]) -> str:
    """Write the lines under their digest, on disk when this returns. Raises ``StoreError``."""
    content = "".join(json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n" for line in lines).encode(
        "utf-8", "surrogatepass"
    )
    digest = hashlib.sha256(content).hexdigest()
    path = _path(settings, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
        Path(draft.name).replace(path)
    except OSError as error:
        raise StoreError(
            "The list could not be kept.", where=str(path), next_step="Check the free space and the folder's permissions."
        ) from error
    return digest


def _kept(settings: Settings, digest: str) -> Iterator[dict[str, Any]]:
    if not _DIGEST.fullmatch(digest):
        raise DataError("This is not the digest of a list.", where=digest[:80])
    path = _path(settings, digest)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(
            "The list that this comparison is about is missing or was changed.",
            where=str(path),
            next_step="Start the comparison again from your own file.",
        )
    for line in content.split(b"\n")[:-1]:
        yield json.loads(line.decode("utf-8", "surrogatepass"))


def _path(settings: Settings, digest: str) -> Path:
    return settings.comparisons / _FOLDER / f"{digest}.jsonl"
