"""Large files that are as simple as they look, read by the database itself, several threads at once.

Guarantees: a file is trusted only as far as the survey proved it, and what the survey cannot prove is checked on what was
read: no record may be refused, none may look doubtful, and records and line ends together must be exactly the lines of the
file. Where anything is in doubt the caller reads the file again record by record (``read.exact``); so both ways give the
same rows, the same reasons and the same editor lines, and this one is only faster.
"""

from __future__ import annotations

from studio.data.db import literal, readable
from studio.data.reading.laid_out import NO_NULL
from studio.data.reading.numbering import NUMBERED
from studio.data.reading.table import Lines
from studio.data.sources.csv_records import Dialect
from studio.data.sources.facts import Facts
from studio.data.sources.json_records import Container, cut_off
from studio.data.sources.packing import Packing
from studio.data.sources.source import Source

#: The reason of a record that only the exact way can judge.
DOUBT = "doubt"
# The readers hold some dozens of lines of this length at once, so longer ones are read the other way.
_LONGEST = 1_000_000
_READ = "auto_detect=false, header=false, strict_mode=true"
_SPACE = r"^[\s\x1c-\x1f]*$"
# Blank lines carry a number each, so the records behind them must be counted, by one thread.
_MOST_CELLS = 200
# A line at which the file stops stands in the query; a longer one is told by the exact way.
_LONGEST_TORN = 50_000


def records(source: Source, packing: Packing) -> tuple[str, Lines] | None:
    """SQL for the records of the file as ``Table`` has them and how their lines are known; None when it is not plain."""
    facts = source.facts
    if facts is None or not source.clean or not _simple(facts):
        return None
    if isinstance(packing, Container) and packing.packing == "lines":
        torn = _torn(source, facts)
        return None if len(torn) > _LONGEST_TORN or torn != torn.strip() else _json_lines(source, facts, torn)
    if isinstance(packing, Dialect) and _simple_cells(packing):
        return _cells(source, packing)
    return None


def first_line(packing: Packing) -> int:
    """The editor line of the first record."""
    return packing.skip + packing.header + 1 if isinstance(packing, Dialect) else 1


def _simple(facts: Facts) -> bool:
    return not (facts.nul or facts.units or facts.stand_ins) and facts.carriage != "other" and facts.longest <= _LONGEST


def _torn(source: Source, facts: Facts) -> str:
    """The last line, when the file stops in the middle of it; otherwise nothing."""
    with source.path.open("rb") as file:
        file.seek(max(0, source.bytes - facts.longest - 1))
        last = file.read().rpartition(b"\n")[2]
    return last.decode("utf-8", "replace") if cut_off(last) else ""


def _json_lines(source: Source, facts: Facts, torn: str) -> tuple[str, Lines]:
    line = f"read_csv({readable(source.path)}, {_READ}, delim=chr(31), quote='', escape='', columns={{'value': 'VARCHAR'}})"
    # Files that were glued together carry byte-order marks inside.
    value = f"CASE WHEN starts_with(value, {literal(chr(0xFEFF))}) THEN substr(value, 2) ELSE value END AS value"
    if facts.blank:
        numbered = f"SELECT row_number() OVER () AS line, value FROM {line}"
        kept = f"value IS NOT NULL AND NOT regexp_matches(value, {literal(_SPACE)})"
        cut = f"CASE WHEN {_is(torn)} THEN 'file_cut_off' END AS problem"
        return f"(SELECT line, 0 AS breaks, {cut}, {value} FROM ({numbered}) WHERE {kept})", "stored"
    # A long line of nothing but spaces is no record, and nobody counted it.
    doubt = f"value IS NULL OR (value < '!' AND regexp_matches(value, {literal(_SPACE)}))"
    problem = f"CASE WHEN {doubt} THEN {literal(DOUBT)} WHEN {_is(torn)} THEN 'file_cut_off' END AS problem"
    return f"(SELECT NULL::BIGINT AS line, 0 AS breaks, {problem}, {value} FROM {line})", "one"


def _is(torn: str) -> str:
    """SQL for whether this line is the one at which the file stops. When several are the same, ``tally`` is in doubt."""
    return f"value = {literal(torn)}" if torn else "false"


def _simple_cells(dialect: Dialect) -> bool:
    names = "".join((*dialect.names, *dialect.skipped))
    return (
        len(dialect.delimiter.encode()) == 1
        and not dialect.backslash
        and not dialect.returns
        and 1 < dialect.width <= _MOST_CELLS
        and not set(names) & {"\n", "\r", dialect.quote}
    )


def _cells(source: Source, dialect: Dialect) -> tuple[str, Lines]:
    names = [f"c{place}" for place in range(dialect.width)]
    columns = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    scan = (
        f"read_csv({readable(source.path)}, {_READ}, skip={first_line(dialect) - 1}, nullstr={literal(NO_NULL)}, "
        f"delim={literal(dialect.delimiter)}, quote={literal(dialect.quote)}, escape={literal(dialect.quote)}, "
        f"columns={{{columns}}})"
    )
    filled = ", ".join(f"coalesce({name}, '') AS {name}" for name in names)
    breaks = " + ".join(
        f"CASE WHEN contains({name}, chr(10)) THEN strlen({name}) - strlen(replace({name}, chr(10), '')) ELSE 0 END"
        for name in names
    )
    header = " AND ".join(f"{name} = {literal(text)}" for name, text in zip(names, dialect.names, strict=False))
    aside = f"concat_ws({literal(dialect.delimiter)}, {', '.join(names)})"
    problem = f"CASE WHEN {_doubtful(names, dialect)} THEN {literal(DOUBT)} WHEN {header} THEN 'repeated_header' END"
    rest = ", ".join(names)
    kept = f"CASE WHEN problem IS NOT NULL THEN {aside} ELSE '' END AS aside"
    return (
        f"(SELECT {NUMBERED}(breaks) AS line, breaks, problem, {kept}, {rest} "
        f"FROM (SELECT *, ({breaks})::INTEGER AS breaks, {problem} AS problem FROM (SELECT {filled} FROM {scan})))"
    ), "chunks"


def _doubtful(names: list[str], dialect: Dialect) -> str:
    """SQL for a record that may not be one: nothing but empty cells, or spaces around a quoted cell."""
    empty = " AND ".join(f"({name} < '!' AND regexp_matches({name}, {literal(_SPACE)}))" for name in names)
    quote = literal(dialect.quote)
    # Spaces in front of a quotation mark would make the rest of the cell unquoted.
    spaced = " OR ".join(f"({name} < '!' AND starts_with(ltrim({name}, ' ' || chr(9)), {quote}))" for name in names)
    return f"({empty}) OR {spaced}"
