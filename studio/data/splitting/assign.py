"""Which part a prompt goes to: by a hash of its text, together with everything that must not be torn apart.

Guarantees: rows that share a normalised prompt, a cluster of near-duplicates, a value of the group column, or of which one is
the beginning of the other's conversation, are in one part, and so is whatever hangs together through a chain of such rows;
neither the order of the rows nor the number of processor cores changes the outcome.

What stays where it is. Rows that hang together are a component. A component falls on one of 10,000 buckets: the first are test,
the last validation, the others train. Its bucket is that of its smallest group key, or of its smallest prompt key when no row
has a group. So, under the same plan and while no correction is counted (``Assignment.moved``):

- rows that share nothing with a component never move it, whatever else they are and however many;
- another row of the same group moves nothing, and neither does another answer to the same prompt;
- a new prompt that joins a component without groups (a near-duplicate, the beginning of a conversation) moves it only if the
  new prompt has the smallest key of all; a component of n prompts meets that with a chance of 1 in n + 1, and may then still
  stay;
- two components that a new row ties together become one, so one of them may have to move. No rule can avoid that without
  letting the tie leak or throwing rows away. The one with the smaller key stays, the other one goes to it.

Corrections make small files work: a part with less than half its share takes the components nearest to its border; a component
so large that it would fill a held-out part alone stays in train (``giants``: whether it is that large depends on how many rows
there are); with a stratified plan each stratum gets its share of each part, give or take a fifth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import duckdb

from studio.data.db import literal
from studio.data.types import SplitPlan
from studio.errors import DataError

PartName = Literal["train", "validation", "test"]

PARTS: Final[tuple[PartName, ...]] = ("train", "validation", "test")
#: Fewer prompts, or fewer components, cannot fill three parts.
FEWEST: Final = 3

_BUCKETS: Final = 10_000
# A component with this many rows is no giant whatever the shares, so that tiny files split as any other.
_NEVER_GIANT: Final = 5
# A stratum may miss its share of a part by this much before it is corrected.
_SLACK: Final = 0.2
# More values than this are no strata but names; the rarer ones are then taken together.
_MOST_STRATA: Final = 1_000


@dataclass(frozen=True, slots=True)
class Assignment:
    """What came out, in numbers. The tables are ``kept`` (row_id, prompt_key) and ``components``.

    ``moved`` counts prompts that a correction moved, ``giants`` those that stayed in train because there were too many rows of
    them, ``components`` how many there are and ``largest`` the rows of the largest. ``strata`` has prompts by stratum and part.
    """

    rows: int
    prompts: int
    components: int
    largest: int
    giants: int
    moved: int
    strata: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])


def rule(plan: SplitPlan, key: str) -> str:
    """SQL for the part on which a key falls."""
    test, validation = round(plan.test * _BUCKETS / 100), _BUCKETS - round(plan.validation * _BUCKETS / 100)
    bucket = f"{key} % {_BUCKETS}"
    return f"CASE WHEN {bucket} < {test} THEN 'test' WHEN {bucket} >= {validation} THEN 'validation' ELSE 'train' END"


def keep_one_of_each(rows: str, connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table ``kept``: the first of all exact copies of a usable row. Also the type of ``part`` in all tables."""
    connection.execute(f"CREATE TYPE part_name AS ENUM ({', '.join(literal(part) for part in PARTS)})")
    connection.execute(f"""
        CREATE TEMP TABLE kept AS SELECT min(row_id) AS row_id, any_value(prompt_key) AS prompt_key
        FROM {rows} WHERE reason IS NULL GROUP BY row_key""")


def assign(plan: SplitPlan, connection: duckdb.DuckDBPyConnection, where: str, *, pinned: bool = False) -> Assignment:
    """Make the table ``components`` from ``kept``, ``labels``, ``groups`` (see ``links``), ``strata`` and ``pins``.

    ``strata`` (row_id, stratum) is there when the plan is stratified, ``pins`` (prompt_key, part, replayed) when
    ``pinned``: the parts that prompts have already. The strictest pin of a component counts (test, then validation, then
    train); where it is not train although a replayed row of the component was trained on, the component gets no part at all.

    Raises ``DataError`` when there is not enough to fill three parts.
    """
    total, prompts = _numbers(connection, "SELECT count(*), count(DISTINCT prompt_key) FROM kept")
    _require(prompts, where)
    _make_sizes(plan, connection, pinned=pinned)
    _make_components(plan, total, connection)
    components, largest = _numbers(connection, "SELECT count(*), max(n) FROM components WHERE part IS NOT NULL")
    if components < FEWEST:
        raise DataError(
            f"What must stay together makes only {components} piece{'' if components == 1 else 's'}; three parts need three.",
            where=where,
            next_step="Choose another column to keep together, or none, or let near-duplicates be torn apart.",
        )
    if plan.stratify:
        _even_out(plan, connection)
    _fill(plan, connection, where, pinned=pinned)
    moved, giants = _numbers(
        connection, "SELECT sum(prompts) FILTER (part <> by_rule), sum(prompts) FILTER (giant) FROM components"
    )
    strata = _by_stratum(connection) if plan.stratify else {}
    return Assignment(total, prompts, components, largest, giants, moved, strata)


def list_prompts(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table ``prompts`` (prompt_key, part) of all prompts, after ``assign``."""
    connection.execute("""
        CREATE TEMP TABLE prompts AS SELECT prompt_key, part
        FROM (SELECT DISTINCT prompt_key FROM kept) LEFT JOIN labels USING (prompt_key)
        JOIN components ON component = coalesce(label, prompt_key)""")


def place_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table ``placed`` (row_id, part) of all kept rows, after ``assign``, and let go of what it is made of."""
    connection.execute("""
        CREATE TEMP TABLE placed AS SELECT row_id, part FROM kept LEFT JOIN labels USING (prompt_key)
        JOIN components ON component = coalesce(label, prompt_key) WHERE part IS NOT NULL""")
    connection.execute("DROP TABLE components; DROP TABLE kept")


def _numbers(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    found = connection.execute(query).fetchone()
    return tuple(int(value or 0) for value in found) if found else ()


def _require(prompts: int, where: str) -> None:
    if prompts < FEWEST:
        raise DataError(
            f"The file has only {prompts} different usable prompt{'' if prompts == 1 else 's'}; a split into three parts needs "
            f"at least {FEWEST}.",
            where=where,
            next_step="Add examples with other prompts: 50 to 100 are a good start.",
        )


def _make_sizes(plan: SplitPlan, connection: duckdb.DuckDBPyConnection, *, pinned: bool) -> None:
    """Make ``sizes``: what hangs together, the key that places it, how much it is, and the part it has already."""
    stratum = "min({'key': prompt_key, 'of': stratum}).of" if plan.stratify else "NULL::VARCHAR"
    rows = "kept JOIN strata USING (row_id)" if plan.stratify else "kept"
    # Most prompts are tied to no other, and need no second look at which component is theirs.
    alone = f"SELECT prompt_key AS component, count(*) AS n, 1 AS prompts, {stratum} AS stratum FROM {rows} ANTI JOIN labels"
    tied = f"SELECT label, count(*), count(DISTINCT prompt_key), {stratum} FROM {rows} JOIN labels"
    connection.execute(f"""
        CREATE TEMP TABLE sizes AS
        SELECT component, coalesce(smallest, component) AS place, n::UINTEGER AS n, prompts::UINTEGER AS prompts,
          stratum, NULL::VARCHAR AS pin, false AS pinned
        FROM ({alone} USING (prompt_key) GROUP BY prompt_key UNION ALL {tied} USING (prompt_key) GROUP BY label)
        LEFT JOIN (SELECT coalesce(label, prompt_key) AS component, min(value) AS smallest
          FROM groups LEFT JOIN labels USING (prompt_key) GROUP BY component) USING (component)""")
    if pinned:
        connection.execute("""
            UPDATE sizes SET pinned = true, pin = found.pin FROM (
              SELECT component, CASE WHEN strictest <> 'train' AND replayed THEN NULL ELSE strictest END AS pin FROM (
                SELECT coalesce(label, prompt_key) AS component, bool_or(replayed AND part = 'train') AS replayed,
                  CASE WHEN bool_or(part = 'test') THEN 'test' WHEN bool_or(part = 'validation') THEN 'validation'
                    ELSE 'train' END AS strictest
                FROM pins LEFT JOIN labels USING (prompt_key) GROUP BY component)
            ) found WHERE sizes.component = found.component""")


def _make_components(plan: SplitPlan, total: int, connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``components``: each with its part by the rule (``by_rule``), which corrections may change (``part``)."""
    giant = max(_NEVER_GIANT, int(total * min(plan.test, plan.validation) / 100))
    # Narrow columns: there may be millions of them, and the memory is needed for writing.
    connection.execute(f"""
        CREATE TEMP TABLE components AS SELECT *, by_rule AS part FROM (
          SELECT component, (place % {_BUCKETS})::USMALLINT AS bucket, n, prompts, stratum, pinned, giant,
            (CASE WHEN pinned THEN pin WHEN giant THEN 'train' ELSE {rule(plan, "place")} END)::part_name AS by_rule
          FROM (SELECT *, n > {giant} AND NOT pinned AS giant FROM sizes))""")
    connection.execute("DROP TABLE sizes")


def _even_out(plan: SplitPlan, connection: duckdb.DuckDBPyConnection) -> None:
    """Give every part its share of every stratum, give or take the slack. Strata too small for three parts go together."""
    connection.execute(f"""
        UPDATE components SET stratum = NULL WHERE stratum NOT IN (
          SELECT stratum FROM components WHERE stratum IS NOT NULL AND NOT pinned GROUP BY stratum HAVING count(*) >= {FEWEST}
          ORDER BY count(*) DESC, stratum LIMIT {_MOST_STRATA})""")

    def wanted(part: PartName, share: float) -> str:
        low, high = (1 - _SLACK) * share / 100, (1 + _SLACK) * share / 100
        least = f"greatest(1, floor(count(*) * {low}))"
        return (
            f"least(greatest(count(*) FILTER (part = {literal(part)}), {least}), "
            f"greatest({least}, ceil(count(*) * {high})))::BIGINT AS {part}"
        )

    # The lowest buckets are test and the highest validation, so that as few as possible cross a border.
    connection.execute(f"""
        UPDATE components SET part = evened.part::part_name FROM (
          SELECT component, CASE WHEN total < {FEWEST} THEN part WHEN low <= test THEN 'test'
            WHEN high <= least(validation, total - test - 1) THEN 'validation' ELSE 'train' END AS part
          FROM (SELECT component, part, stratum,
            row_number() OVER (PARTITION BY stratum ORDER BY giant, bucket, component) AS low,
            row_number() OVER (PARTITION BY stratum ORDER BY giant, bucket DESC, component DESC) AS high
            FROM components WHERE NOT pinned) one
          JOIN (SELECT stratum, count(*) AS total, {wanted("test", plan.test)}, {wanted("validation", plan.validation)}
            FROM components WHERE NOT pinned GROUP BY stratum) every ON one.stratum IS NOT DISTINCT FROM every.stratum
        ) evened WHERE components.component = evened.component AND components.part <> evened.part""")


def _fill(plan: SplitPlan, connection: duckdb.DuckDBPyConnection, where: str, *, pinned: bool) -> None:
    """Give every part at least half its share of the components. What is pinned stays, so then one will do."""
    shares = {"train": plan.train, "validation": plan.validation, "test": plan.test}
    # Who is nearest to the border with the part in need. Giants leave train last.
    nearest = {
        "test": "giant, bucket, component",
        "validation": "giant, bucket DESC, component",
        ("train", "test"): "giant, bucket DESC, component",
        ("train", "validation"): "giant, bucket, component",
    }
    while True:
        counts, free = (dict.fromkeys(PARTS, 0) | found for found in _counted(connection))
        total = sum(counts.values())
        least = {part: 1 if pinned else max(1, int(total * share / 200)) for part, share in shares.items()}
        needy = next((part for part in PARTS if counts[part] < least[part]), None)
        if needy is None:
            return
        spare = {part: min(free[part], counts[part] - least[part]) for part in PARTS if part != needy}
        giver = max(spare, key=lambda part: spare[part])
        if spare[giver] < 1:
            raise DataError(
                f"No row is left for the part {needy}: what the parts of the sources share decides where every row goes.",
                where=where,
                next_step="Add a data set that has rows of its own for this part.",
            )
        number = min(least[needy] - counts[needy], spare[giver])
        order = nearest[(needy, giver)] if needy == "train" else nearest[needy]
        connection.execute(f"""
            UPDATE components SET part = {literal(needy)} WHERE component IN (
              SELECT component FROM components WHERE part = {literal(giver)} AND NOT pinned ORDER BY {order} LIMIT {number})""")


def _counted(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, int], dict[str, int]]:
    """How many components each part has, and how many of them may move."""
    query = "SELECT part, count(*), count(*) FILTER (NOT pinned) FROM components WHERE part IS NOT NULL GROUP BY part"
    found = connection.execute(query).fetchall()
    return {part: number for part, number, _ in found}, {part: free for part, _, free in found}


def _by_stratum(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    found = connection.execute(
        """SELECT coalesce(stratum, ''), part, sum(prompts)::BIGINT FROM components WHERE part IS NOT NULL
        GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    told: dict[str, dict[str, int]] = {}
    for stratum, part, number in found:
        told.setdefault(stratum, dict.fromkeys(PARTS, 0))[part] = number
    return told
