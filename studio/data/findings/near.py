"""Near-duplicates: rows that say the same with small changes, found among all rows and never by a sample.

Guarantees: two prompts are joined only when they are equal but for case, white space and sentence marks, or when their texts
were compared and at least four fifths of their pieces agree, with the same numbers and signs in the same order; a template
that many rows share does not count as likeness; the same rows give the same clusters, in every run and on any number of cores.

Pieces are runs of five characters, so that it works in every language. MinHash only proposes pairs; each is compared in full
before it counts. Files above the limits below are compared by the first rule alone, and ``Near.rule`` says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from studio.data.db import disk_errors, literal, parquet, writable
from studio.data.findings.likeness import Likeness
from studio.data.staging.stage import rows_of
from studio.data.types import Watch

#: The file beside the stage: ``row_id BIGINT, cluster UBIGINT, twin BIGINT``.
NEAR: Final = "near.parquet"
#: MinHash runs up to this many different prompts and this many characters in them.
MOST_PROMPTS: Final = 200_000
MOST_CHARACTERS: Final = 100_000_000

# Marks that only divide or end sentences. Signs that mean something to a machine (+ - * / # % = < > and the rest) are kept.
_MARKS: Final = (
    r"""[\s\p{Z}\p{C}.,;:!?'"`\x{b4}\x{ab}\x{bb}\x{a1}\x{bf}\x{2013}\x{2014}\x{2018}-\x{201f}\x{2026}\x{2039}\x{203a}"""
    r"""\x{3001}\x{3002}\x{300c}-\x{300f}\x{ff01}\x{ff0c}\x{ff1a}\x{ff1b}\x{ff1f}]+"""
)
# Characters that Unicode composes with others, or replaces by others. Only texts that have some pay for being composed.
_COMPOSED: Final = r"[\p{M}\x{1100}-\x{11ff}\x{2126}\x{212a}\x{212b}\x{f900}-\x{faff}]"
# Both ends of a text are compared before all of it: so many of its letters, looked for in so many characters.
_END: Final = 12
_WINDOW: Final = 28
# Below this many candidates, it costs less to compare them in full than to look at more ends.
_FEW: Final = 100_000
_FOLDED: Final = "near-duplicates: texts that are equal but for case, white space and sentence marks"
_FULL: Final = (
    f"{_FOLDED}, or that share four fifths of their runs of five characters and all their numbers (MinHash, then compared)"
)
# What answers a prompt, and what else must be the same in near-duplicate rows.
_ANSWER: Final = "concat_ws(chr(31), completion, rejected)"
_SYSTEM: Final = "coalesce(system, CASE WHEN messages[1].role = 'system' THEN messages[1].content END, '')"
_REST: Final = f"md5_number_lower(concat_ws(chr(31), {_SYSTEM}, coalesce(reference, ''), reward::VARCHAR))"


@dataclass(frozen=True, slots=True)
class Near:
    """What was found. ``rows`` repeat an earlier row but for small changes (exact copies are not among them).

    ``prompts`` is how many different prompts have a near-equal one. ``rule`` says how they were compared, for the data card.
    """

    rows: int
    prompts: int
    rule: str


def find(stage: Path, connection: duckdb.DuckDBPyConnection, *, watch: Watch | None = None) -> Near:
    """Look for near-duplicates among the usable rows of the stage, and write ``near.parquet`` beside it.

    ``cluster`` is shared by rows with near-equal prompts, equal ones included; ``twin`` is the earliest row whose whole text
    the row repeats but for small changes, NULL for that row itself and for all others.
    """
    rows = rows_of(stage)
    full = _comparable(rows, connection)
    groups = _Groups()
    for keys in _same_prompts(rows, connection):
        groups.join(*keys)
    if full:
        _compare_prompts(rows, connection, groups, watch)
    near_prompts = _store("near_prompts", groups, connection)
    twins = _Groups()
    for ids in _same_rows(rows, connection):
        twins.join(*ids)
    if full:
        _compare_rows(rows, connection, twins, watch)
    _store("near_twins", twins, connection)
    return Near(_write(stage, connection), near_prompts, _FULL if full else _FOLDED)


def _comparable(rows: str, connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether all prompts can be compared in full. Different prompts are only counted where it depends on them."""
    usable = f"FROM {rows} WHERE reason IS NULL"
    count, characters = _one(connection, f"SELECT count(*), sum(lp) {usable}")
    if characters > MOST_CHARACTERS:
        return False
    return count <= MOST_PROMPTS or _one(connection, f"SELECT count(DISTINCT prompt_key) {usable}")[0] <= MOST_PROMPTS


class _Groups:
    """Which keys belong together, closed over all pairs that were joined."""

    def __init__(self) -> None:
        self._above: dict[int, int] = {}

    def top(self, key: int) -> int:
        """The smallest key of the group."""
        while (above := self._above.get(key, key)) != key:
            self._above[key] = self._above.get(above, above)
            key = above
        return key

    def join(self, *keys: int) -> None:
        """Put the keys into one group."""
        low, *others = sorted({self.top(key) for key in keys})
        for high in others:
            self._above[high] = low

    def clusters(self) -> list[list[int]]:
        """All groups of at least two keys, each in order, its smallest key first."""
        members: dict[int, list[int]] = defaultdict(list)
        for key in list(self._above):
            members[self.top(key)].append(key)
        return [sorted((top, *keys)) for top, keys in sorted(members.items())]


def _folded(text: str) -> str:
    """SQL for the text by which prompts and answers count as the same: no marks, no case, one space between words."""
    return _composed(text, f"lower(trim(regexp_replace({text}, {literal(_MARKS)}, ' ', 'g')))")


def _shown(text: str) -> str:
    """SQL for the folded text; a text of nothing but marks folds to nothing, and then counts as it is."""
    return f"coalesce(nullif({_folded(text)}, ''), {text})"


def _letters(text: str) -> str:
    """SQL for the same without any space."""
    return _composed(text, f"lower(regexp_replace(replace({text}, ' ', ''), {literal(_MARKS)}, '', 'g'))")


def _composed(text: str, folded: str) -> str:
    some = f"CASE WHEN regexp_matches({text}, {literal(_COMPOSED)}) THEN nfc_normalize({folded}) ELSE {folded} END"
    return f"CASE WHEN strlen({text}) > length({text}) THEN {some} ELSE {folded} END"


def _end(text: str, side: str, rows: str, columns: str) -> str:
    """SQL for ``columns`` of these rows and ``part``: the first (``left``) or last (``right``) letters of a text, hashed.

    They are the same for all texts that fold to one: where a window of the text does not hold enough, all of it is looked at.
    """
    window = f"SELECT *, {side}({text}, {_WINDOW}) AS ends FROM {rows}"
    kept = f"SELECT *, {_letters('ends')} AS kept FROM ({window})"
    enough = f"length(kept) >= {_END} + 4 OR strlen({text}) <= {_WINDOW}"
    ends = f"{side}(CASE WHEN {enough} THEN kept ELSE {_letters(text)} END, {_END})"
    return f"SELECT {columns}, hash({ends}) AS part FROM ({kept})"


def _same_prompts(rows: str, connection: duckdb.DuckDBPyConnection) -> Iterator[list[int]]:
    """Prompt keys whose prompts fold to the same text."""
    usable = f"(SELECT prompt_key AS kind, prompt FROM {rows} WHERE reason IS NULL)"
    connection.execute(f"CREATE TEMP TABLE near_ends AS {_end('prompt', 'left', usable, 'kind')}")
    shared = f"SELECT DISTINCT kind, part FROM {_shared('near_ends')}"
    _candidates(connection, f"SELECT row_id, kind, part FROM {rows} JOIN ({shared}) ON prompt_key = kind WHERE reason IS NULL")
    connection.execute("DROP TABLE near_ends")
    _refine(connection, rows, "prompt", "right")
    texts = f"SELECT kind, {_folded('prompt')} AS text FROM {rows} JOIN near_candidates USING (row_id)"
    query = f"SELECT list(kind) FROM ({texts}) WHERE text <> '' GROUP BY md5_number(text) HAVING count(*) > 1"
    yield from (keys for (keys,) in connection.execute(query).fetchall())


def _same_rows(rows: str, connection: duckdb.DuckDBPyConnection) -> Iterator[list[int]]:
    """Ids of rows that fold to the same text, with the rest in common. One row of each kind of exact copies is looked at."""
    asked = f"SELECT row_id, row_key AS kind, coalesce(cluster, prompt_key) AS part FROM {rows}"
    _candidates(connection, f"FROM {_shared(f'({asked} LEFT JOIN near_prompts USING (prompt_key) WHERE reason IS NULL)')}")
    _refine(connection, rows, _ANSWER, "left")
    _refine(connection, rows, _ANSWER, "right")
    texts = f"SELECT row_id, md5_number(concat_ws(chr(31), {_shown('prompt')}, {_shown(_ANSWER)}, {_REST})) AS text"
    query = f"""
        SELECT list(row_id) FROM ({texts} FROM {rows} JOIN near_candidates USING (row_id)) GROUP BY text HAVING count(*) > 1"""
    yield from (ids for (ids,) in connection.execute(query).fetchall())


def _shared(parts: str) -> str:
    """SQL for those of ``parts`` (``kind, part``) whose part several kinds share."""
    return f"{parts} SEMI JOIN (SELECT part FROM {parts} GROUP BY part HAVING min(kind) <> max(kind)) USING (part)"


def _candidates(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    """Make the table ``near_candidates`` of these rows (``row_id, kind, part``), the first one of each kind."""
    first = f"SELECT min(row_id) AS row_id, kind, any_value(part) AS part FROM ({query}) GROUP BY kind"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE near_candidates AS {first}")


def _refine(connection: duckdb.DuckDBPyConnection, rows: str, text: str, side: str) -> None:
    """Keep those candidates that share this end of a text as well, when there are many."""
    if _one(connection, "SELECT count(*) FROM near_candidates")[0] > _FEW:
        texts = f"(SELECT row_id, kind, part AS before, {text} AS text FROM {rows} JOIN near_candidates USING (row_id))"
        ends = _end("text", side, texts, "row_id, kind, before")
        connection.execute(f"CREATE TEMP TABLE near_ends AS SELECT row_id, kind, hash(before, part) AS part FROM ({ends})")
        _candidates(connection, f"FROM {_shared('near_ends')}")
        connection.execute("DROP TABLE near_ends")


def _compare_prompts(rows: str, connection: duckdb.DuckDBPyConnection, groups: _Groups, watch: Watch | None) -> None:
    """Join the prompts that are alike."""
    first = f"SELECT min(row_id) AS row_id FROM {rows} WHERE reason IS NULL GROUP BY prompt_key"
    query = f"SELECT prompt_key, {_shown('prompt')} FROM {rows} SEMI JOIN ({first}) USING (row_id) ORDER BY row_id"
    found = connection.execute(query).fetchall()
    keys, texts = [key for key, _ in found], [text for _, text in found]
    del found
    likeness = Likeness(texts, watch)
    for one, other in likeness.proposed():
        if groups.top(keys[one]) != groups.top(keys[other]) and likeness.like(texts[one], texts[other]):
            groups.join(keys[one], keys[other])


def _compare_rows(rows: str, connection: duckdb.DuckDBPyConnection, twins: _Groups, watch: Watch | None) -> None:
    """Join the rows whose prompts are equal or alike, whose answers are alike, and that have the rest in common."""
    kinds = (
        f"SELECT min(row_id) AS row_id, any_value(prompt_key) AS prompt_key FROM {rows} WHERE reason IS NULL GROUP BY row_key"
    )
    asked = f"SELECT row_id, coalesce(cluster, prompt_key) AS asked FROM ({kinds}) LEFT JOIN near_prompts USING (prompt_key)"
    some = f"SELECT * FROM ({asked}) QUALIFY count(*) OVER (PARTITION BY asked) > 1"
    letters = _one(connection, f"SELECT sum(lp + coalesce(lc, 0)) FROM {rows} JOIN ({some}) USING (row_id)")[0]
    if letters > MOST_CHARACTERS:
        return
    query = f"""
        SELECT row_id, md5_number_lower(concat_ws(chr(31), asked, {_REST})), {_shown("prompt")}, {_shown(_ANSWER)}
        FROM {rows} JOIN ({some}) USING (row_id) ORDER BY row_id"""
    found = connection.execute(query).fetchall()
    prompts, answers = (Likeness([row[place] for row in found], watch) for place in (2, 3))
    for one, other in answers.proposed([row[1] for row in found]):
        first, second = found[one], found[other]
        if twins.top(first[0]) == twins.top(second[0]) or not answers.like(first[3], second[3]):
            continue
        if first[2] == second[2] or prompts.like(first[2], second[2]):
            twins.join(first[0], second[0])


def _store(name: str, groups: _Groups, connection: duckdb.DuckDBPyConnection) -> int:
    """Keep the groups as a table of each key and the smallest of its group; returns how many keys are in groups."""
    clusters = groups.clusters()
    keys = [key for members in clusters for key in members]
    lowest = [members[0] for members in clusters for _ in members]
    column, lowest_column = {"near_prompts": ("prompt_key", "cluster"), "near_twins": ("row_id", "twin")}[name]
    pairs = f"SELECT unnest($1::UBIGINT[]) AS {column}, unnest($2::UBIGINT[]) AS {lowest_column}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {pairs}", [keys, lowest])
    return len(keys)


def _write(stage: Path, connection: duckdb.DuckDBPyConnection) -> int:
    """Write ``near.parquet``; returns how many rows repeat an earlier one."""
    path, partial = stage.with_name(NEAR), stage.with_name(f"{NEAR}.part")
    # Exact copies have the twin of the row that they copy, and lie in its cluster.
    rows = rows_of(stage)
    twins = f"SELECT row_key, row_id AS first, twin FROM {rows} JOIN near_twins USING (row_id)"
    query = f"""
        SELECT row_id, coalesce(cluster, prompt_key) AS cluster, CASE WHEN twin <> first THEN twin END::BIGINT AS twin
        FROM {rows} LEFT JOIN near_prompts USING (prompt_key) LEFT JOIN ({twins}) USING (row_key)
        WHERE reason IS NULL AND (cluster IS NOT NULL OR twin IS NOT NULL) ORDER BY row_id"""
    try:
        connection.execute(f"COPY ({query}) TO {writable(partial)} ({parquet()})")
        with disk_errors(str(stage.parent)):
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    # A copy of a near-duplicate counts as a copy.
    return _one(connection, "SELECT count(*) FROM near_twins WHERE row_id <> twin")[0]


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row = connection.execute(query).fetchone()
    return tuple(int(value or 0) for value in row) if row else ()
