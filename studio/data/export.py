"""The ways in which rows leave the desk as text.

Guarantees: usable rows are written in file order, each text exactly as it is; in a CSV, a cell that a spreadsheet would take
for a formula has an apostrophe in front of it, and nothing else is changed; a file is written whole or not at all.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import orjson

from studio.data.db import LONG_ROWS, connect, disk_errors
from studio.data.staging.stage import NOT_JUDGED, STAGE, rows_of
from studio.data.types import Inspection, TrainingType
from studio.errors import NotFoundError

#: What makes a spreadsheet run a cell (OWASP, "CSV injection"), the wide forms of East Asian keyboards included.
_STARTERS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BATCH: Final = 1000
_USABLE: Final = "system, prompt, completion, messages, rejected, reference, reward, reward_name"


def canonical_rows(inspection: Inspection) -> Iterator[dict[str, Any]]:
    """The usable rows in file order, in the canonical form of how they train.

    Supervised: ``prompt, completion`` and perhaps ``system``, or ``messages`` (and ``tools``). Pairs: ``prompt`` or
    ``messages``, with ``chosen, rejected``. Reinforcement: ``prompt`` or ``messages``, with what is there of ``completion,
    answer, reward, reward_name``. Raises ``NotFoundError`` when the prepared rows are gone.
    """
    training: TrainingType = inspection.shape.training if inspection.shape else "SL"
    query = f"SELECT {_USABLE} FROM {rows_of(_stage(inspection))} WHERE reason IS NULL ORDER BY row_id"
    for row in _rows(inspection, query):
        yield _canonical(training, dict(zip(_USABLE.split(", "), row, strict=True)))


def write_usable(inspection: Inspection, destination: Path, tell: Callable[[int], None] | None = None) -> int:
    """Write ``canonical_rows`` as JSON lines; how many. ``tell`` hears how many there are so far. Raises ``StoreError``."""
    written = 0
    with _whole(destination, inspection.file_name) as file:
        for row in canonical_rows(inspection):
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            written += 1
            if tell is not None and written % _BATCH == 0:
                tell(written)
    return written


def write_rejected(inspection: Inspection, destination: Path, tell: Callable[[int], None] | None = None) -> int:
    """Write the rows that were set aside as CSV, with line, reason and detail; how many. Raises ``StoreError``.

    It begins with a byte order mark, because spreadsheets take a file without one for another encoding.
    """
    query = f"""
        SELECT line, reason, detail, raw FROM {rows_of(_stage(inspection))}
        WHERE reason IS NOT NULL AND reason <> '{NOT_JUDGED}' ORDER BY row_id"""
    written = 0
    with _whole(destination, inspection.file_name) as file:
        file.write(b"\xef\xbb\xbf" + csv_line(["line", "reason", "detail", "row"]))
        for row in _rows(inspection, query):
            file.write(csv_line(row))
            written += 1
            if tell is not None and written % _BATCH == 0:
                tell(written)
    return written


def csv_line(cells: Sequence[object]) -> bytes:
    """One record of a CSV (RFC 4180, UTF-8) that no spreadsheet will run."""
    line = _Line()
    csv.writer(line).writerow([spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in cells])
    return line.text.encode("utf-8", "surrogatepass")


def spreadsheet_safe(cell: str) -> str:
    """The text of a CSV cell, with an apostrophe in front when a spreadsheet would take it for a formula."""
    return f"'{cell}" if cell.startswith(_STARTERS) else cell


class _Line:
    text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def _canonical(training: TrainingType, row: Mapping[str, Any]) -> dict[str, Any]:
    chat: list[dict[str, Any]] | None = row["messages"]
    if training == "SL":
        if chat is not None:
            return _chat(chat)
        return _before(row) | {"completion": row["completion"]}
    if chat is not None and (len(chat) != 1 or chat[0]["role"] != "user" or chat[0].get("more")):
        asked = _chat(chat)
    else:
        asked = _before(row)
    if training == "DPO":
        return asked | {"chosen": row["completion"], "rejected": row["rejected"]}
    told = {"completion": row["completion"], "answer": row["reference"], "reward": row["reward"]}
    return asked | {name: value for name, value in (told | {"reward_name": row["reward_name"]}).items() if value is not None}


def _before(row: Mapping[str, Any]) -> dict[str, Any]:
    system = {"system": row["system"]} if row["system"] is not None else {}
    return system | {"prompt": row["prompt"]}


def _chat(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A conversation as OpenAI writes it: other keys of a turn in the turn, the tools beside the messages."""
    tools: object = None
    messages: list[dict[str, Any]] = []
    for turn in turns:
        more: dict[str, Any] = orjson.loads(turn["more"]) if turn.get("more") else {}
        tools = more.pop("tools", tools)
        messages.append({"role": turn["role"], "content": turn["content"], **more})
    return {"messages": messages} | ({"tools": tools} if tools is not None else {})


def _stage(inspection: Inspection) -> Path:
    path = inspection.folder / STAGE
    if not path.exists():
        raise NotFoundError("The prepared rows are gone.", where=inspection.file_name, next_step="Choose the file again.")
    return path


def _rows(inspection: Inspection, query: str) -> Iterator[tuple[Any, ...]]:
    with connect(inspection.folder, inspection.file_name, row_bytes=LONG_ROWS) as connection:
        found = connection.execute(query)
        while batch := found.fetchmany(_BATCH):
            yield from batch


@contextmanager
def _whole(destination: Path, where: str) -> Generator[IO[bytes]]:
    partial = destination.with_name(destination.name + ".part")
    with disk_errors(where):
        try:
            with partial.open("wb") as file:
                yield file
            partial.replace(destination)
        finally:
            partial.unlink(missing_ok=True)
