"""What ties prompts together besides their own text: near-duplicates, a group column, conversations that begin alike.

Guarantees: a tie is transitive, through as many rows as it takes; every step is a join or a sum over keys, so memory stays
bounded and what does not fit spills; the outcome does not depend on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from studio.data.db import literal, readable
from studio.data.staging.keying import KEY_VERSION, normalised, prompt_key
from studio.data.types import TrainingType

# Answers in one conversation whose beginnings are compared. Longer ones begin like the shorter ones they share rows with.
_MOST_BEGINNINGS: Final = 16
_NEAR, _BEGINS, _GROUP = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Ties:
    """How much is tied: clusters of near-duplicates, groups, prompts that begin a longer conversation, prompts tied at all."""

    clusters: int
    groups: int
    beginnings: int
    tied: int


def group_key(text: str) -> str:
    """SQL for the key of a value of the group column; NULL where a row has none."""
    return f"md5_number_lower({literal(f'{KEY_VERSION}/group')} || chr(31) || nullif(trim({text}), ''))"


def beginnings(rows: str, training: TrainingType) -> str:
    """SQL with ``prompt_key, value, whole`` for every conversation of several turns in ``rows``.

    ``rows`` has ``messages`` and ``prompt_key``. One row for the turns before the last answer (``whole``), and one for those
    before each of the first answers. Values are equal for equal turns. The key of a single question is the one it has as a
    prompt, so that it meets those as well.
    """
    heard = "messages[:-2]" if training == "SL" else "messages"
    said = f"m.role || chr(31) || {normalised('m.content')} || chr(31) || coalesce(m.more, '')"
    written = "array_to_string(hashes[:{0} - 1], ',')"
    first = f"CASE WHEN i = 2 THEN {prompt_key('turns[1].content')} ELSE md5_number_lower({written.format('i')}) END"
    return f"""
        SELECT prompt_key, unnest(values).value AS value, unnest(values).whole AS whole FROM (
          SELECT prompt_key, list_append(list_transform(ends, lambda i: {{'value': {first}, 'whole': false}}),
              {{'value': md5_number_lower({written.format("(len(hashes) + 1)")}), 'whole': true}}) AS values
          FROM (
            SELECT prompt_key, turns, list_transform(turns, lambda m: md5_number_lower({said})) AS hashes,
              list_filter(range(2, len(turns) + 1), lambda i: turns[i].role = 'assistant')[:{_MOST_BEGINNINGS}] AS ends
            FROM (SELECT prompt_key, list_filter({heard}, lambda m: m.role <> 'system') AS turns FROM {rows})
            WHERE len(turns) > 1))"""


def tie(rows: str, training: TrainingType, near: Path | None, group: str, connection: duckdb.DuckDBPyConnection) -> Ties:
    """Make ``labels`` (prompt_key, label) of all prompts that are tied to another one, and ``groups`` (prompt_key, value).

    The label is the smallest key that can be reached. ``rows`` is the stage, ``near`` its clusters, ``group`` SQL for the group
    column or empty.
    """
    usable = f"(SELECT * FROM {rows} WHERE reason IS NULL)"
    connection.execute("CREATE TEMP TABLE links (prompt_key UBIGINT, kind UTINYINT, value UBIGINT)")
    connection.execute("CREATE TEMP TABLE groups (prompt_key UBIGINT, value UBIGINT)")
    if near is not None:
        clusters = f"read_parquet({readable(near)})"
        connection.execute(
            f"INSERT INTO links SELECT DISTINCT prompt_key, {_NEAR}, cluster FROM {usable} JOIN {clusters} USING (row_id)"
        )
    if group:
        connection.execute(
            f"INSERT INTO groups SELECT DISTINCT prompt_key, {group_key(group)} AS value FROM {usable} WHERE value IS NOT NULL"
        )
    begun = _tie_beginnings(usable, training, connection)
    _make_labels(connection)
    counts = connection.execute(f"""
        SELECT (SELECT count(DISTINCT value) FROM links WHERE kind = {_NEAR}), (SELECT count(DISTINCT value) FROM groups),
          (SELECT count(*) FROM labels)""").fetchone()
    clusters, groups, tied = counts or (0, 0, 0)
    return Ties(clusters, groups, begun, tied)


def _tie_beginnings(usable: str, training: TrainingType, connection: duckdb.DuckDBPyConnection) -> int:
    """Tie conversations to those that go on from them; returns how many prompts are the beginning of another."""
    several = f"(SELECT prompt_key, messages FROM {usable} WHERE len(messages) > {3 if training == 'SL' else 2})"
    connection.execute(f"CREATE TEMP TABLE begun AS SELECT DISTINCT * FROM ({beginnings(several, training)})")
    connection.execute(f"""
        CREATE TEMP TABLE ends AS SELECT prompt_key, value FROM (
          SELECT prompt_key, value FROM begun WHERE whole
          UNION SELECT DISTINCT prompt_key, prompt_key FROM {usable}
            WHERE prompt_key IN (SELECT value FROM begun WHERE NOT whole))
        WHERE value IN (SELECT value FROM begun WHERE NOT whole)""")
    connection.execute(f"""
        INSERT INTO links SELECT prompt_key, {_BEGINS}, value FROM ends
        UNION SELECT prompt_key, {_BEGINS}, value FROM begun WHERE NOT whole AND value IN (SELECT value FROM ends)""")
    found = connection.execute("SELECT count(DISTINCT prompt_key) FROM ends").fetchone()
    return found[0] if found else 0


def _make_labels(connection: duckdb.DuckDBPyConnection) -> None:
    """Connected components, in as many rounds as the logarithm of the longest chain.

    In each round every node merges into the first node around it, in an order that is another one each time, so that no chain
    can be laid out to be slow. The order is nothing to the outcome: the label is the smallest key of a component.
    """
    connection.execute(f"INSERT INTO links SELECT prompt_key, {_GROUP}, value FROM groups")
    shared = "SEMI JOIN (SELECT kind, value FROM {0} GROUP BY kind, value HAVING count(*) > 1) USING (kind, value)"
    connection.execute(f"CREATE TEMP TABLE edges AS SELECT prompt_key AS node, kind, value FROM links {shared.format('links')}")
    connection.execute("CREATE TEMP TABLE labels AS SELECT DISTINCT node AS prompt_key, node AS label FROM edges")
    turn = 0
    while _any(connection, "edges"):
        turn += 1
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE moves AS SELECT node, arg_min(best, hash(best, {turn})) AS best FROM edges JOIN (
              SELECT kind, value, arg_min(node, hash(node, {turn})) AS best FROM edges GROUP BY kind, value
            ) USING (kind, value) GROUP BY node""")
        connection.execute("""
            CREATE OR REPLACE TEMP TABLE labels AS SELECT prompt_key, coalesce(best, label) AS label
            FROM labels LEFT JOIN moves ON label = node""")
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE edges AS WITH moved AS (
              SELECT DISTINCT best AS node, kind, value FROM edges JOIN moves USING (node))
            SELECT * FROM moved {shared.format("moved")}""")
    connection.execute("""
        CREATE OR REPLACE TEMP TABLE labels AS
        SELECT prompt_key, min(prompt_key) OVER (PARTITION BY label) AS label FROM labels""")


def _any(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return bool(found and found[0])
