"""What is told about the rows: those set aside, doubts about texts, copies, contradictions, labels, rewards, and their amount.

Guarantees: every count covers every row; the rows of a finding are those of ``conditions.condition`` for its code; where a
finding is about prompts or labels instead of rows, its sentence says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from studio.data.db import literal
from studio.data.findings.conditions import OUTLIER_LEAST, OUTLIER_TIMES, condition
from studio.data.findings.near import Near
from studio.data.findings.offers import Sample, offers, samples, unended_offers
from studio.data.findings.sentences import DOUBTS, OTHER_REASON, PERSONAL_KINDS, REASONS, counted, rows, share
from studio.data.judges import LAST_NOT_ASSISTANT, NOT_JUDGED
from studio.data.staging.fixes import LEFT_OUT
from studio.data.staging.stage import rows_of
from studio.data.types import SHOWN_LINES, Finding, Severity, Shape

#: Below this many rows people should know that little can be learned.
FEW_ROWS: Final = 10
#: Fewer different prompts cannot fill three parts.
FEWEST_PROMPTS: Final = 3

# Answers count as labels when they are few and short, and each stands in several rows.
_MOST_LABELS: Final = 20
_LONGEST_LABEL: Final = 60
_ROWS_PER_LABEL: Final = 5
_IMBALANCE: Final = 0.9
# A form of writing is told when it has at least this share of the answers, and two of them.
_SCRIPT_SHARE: Final = 0.01
# Rewards and references are only held to the form that most of them have.
_MOST: Final = 0.5
# Quotation marks as word processors write them.
_CURLY: Final = "\u201c\u201d\u201e"
_CURLY_STEP: Final = (
    "Curly quotation marks (\u201c and \u201d) do not hold a cell together. Replace them by straight ones, or export the file"
    " again."
)
_QUOTED: Final = ("missing_field", "empty_value", "wrong_type")


@dataclass(frozen=True, slots=True)
class Seen:
    """The rows of one condition: how many, the first lines, and the number of the first row."""

    count: int
    lines: tuple[int, ...]
    first: int


class Rows:
    """The staged rows of one file, and the questions that several findings ask about them."""

    def __init__(self, stage: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.stage, self.connection = stage, connection
        self.all = rows_of(stage)
        self.usable = f"{self.all} WHERE reason IS NULL"

    def one(self, query: str) -> tuple[Any, ...]:
        """The only row of an answer."""
        return self.connection.execute(query).fetchone() or ()

    def seen(self, codes: Iterable[str]) -> dict[str, Seen]:
        """The rows of several findings in one pass; codes without rows are left out."""
        names = {code: f"c{place}" for place, code in enumerate(codes)}
        # Each condition is worked out once a row, and most rows meet none of them.
        holds = ", ".join(f"({condition(code, self.stage)}) AS {name}" for code, name in names.items())
        concerned = f"(SELECT * FROM (SELECT line, row_id, {holds} FROM {self.all}) WHERE {' OR '.join(names.values())})"
        wanted = ", ".join(
            f"count(*) FILTER ({name}), min(line, {SHOWN_LINES}) FILTER ({name}), min(row_id) FILTER ({name})"
            for name in names.values()
        )
        found = self.one(f"SELECT {wanted} FROM {concerned}")
        parts = zip(names, found[::3], found[1::3], found[2::3], strict=True)
        return {code: Seen(count, tuple(lines), first) for code, count, lines, first in parts if count}

    def finding(
        self,
        code: str,
        severity: Severity,
        message: str,
        next_step: str = "",
        *,
        count: int | None = None,
        seen: Seen | None = None,
        sample: Sample | None = None,
    ) -> Finding:
        """A finding about the rows of its condition, with their lines, an example and the fixes on offer."""
        about = seen or self.seen([code])[code]
        row = sample or samples([about.first], self.stage, self.connection)[about.first]
        fixes, example = offers(code, about.count, row, self.stage, self.connection)
        number = about.count if count is None else count
        return Finding(code, severity, number, about.lines, message, next_step, example, fixes)


def set_aside(data: Rows) -> Iterator[Finding]:
    """One finding per reason. Where its rows differ in detail, the sentence names all columns, or the commonest detail."""
    query = f"""
        SELECT reason, count(*) AS times, min(line, {SHOWN_LINES}), histogram(detail), left(arg_min(raw, row_id), 500)
        FROM {data.all} WHERE reason <> {literal(NOT_JUDGED)} GROUP BY reason ORDER BY times DESC, reason"""
    for code, count, lines, found, raw in data.connection.execute(query).fetchall():
        # Of two that are as common the same one is named each time.
        details = sorted(found or (), key=lambda detail: (-found[detail], detail))
        words = REASONS.get(code, OTHER_REASON)
        if code in _QUOTED:
            detail = " or ".join(f'"{one}"' for one in sorted(details))
        elif code == LEFT_OUT:
            detail = ", ".join(one.replace("_", " ") for one in sorted(details))
        else:
            detail = next(iter(details), code.replace("_", " "))
        end = "." if code == LEFT_OUT else f", and {'was' if count == 1 else 'were'} set aside."
        fixes = unended_offers(LAST_NOT_ASSISTANT, data.stage, data.connection) if code == "bad_conversation" else ()
        curly = code in ("wrong_column_count", "bad_quotes") and any(sign in (raw or "") for sign in _CURLY)
        message, next_step = words.sentence(count, end, detail=detail), _CURLY_STEP if curly else words.next_step
        yield Finding(code, words.severity, count, tuple(lines), message, next_step, raw or "", fixes)


def doubts(data: Rows) -> Iterator[Finding]:
    """What may be wrong with the texts of usable rows: one pass over all marks, then a look at one row of each that holds."""
    kinds = ", ".join(f"count(*) FILTER (m_{kind})" for kind in PERSONAL_KINDS)
    personal = [
        name for name, count in zip(PERSONAL_KINDS.values(), data.one(f"SELECT {kinds} FROM {data.all}"), strict=True) if count
    ]
    found = data.seen(DOUBTS)
    texts = samples([seen.first for seen in found.values()], data.stage, data.connection)
    for code, seen in found.items():
        words = DOUBTS[code]
        message = words.sentence(seen.count, kinds=_listed(personal))
        yield data.finding(code, words.severity, message, words.next_step, seen=seen, sample=texts[seen.first])


def copies(data: Rows, near: Near) -> Iterator[Finding]:
    """Exact copies and near-duplicates."""
    firsts = f"SELECT row_key, min(row_id) AS first FROM {data.usable} GROUP BY row_key HAVING count(*) > 1"
    others = f"FROM {data.all} JOIN ({firsts}) USING (row_key) WHERE reason IS NULL AND row_id <> first"
    count, lines, first = data.one(f"SELECT count(*), min(line, {SHOWN_LINES}), min(row_id) {others}")
    if count:
        message = f"{rows(count, 'is an exact copy', 'are exact copies')} of an earlier row."
        seen = Seen(count, tuple(lines), first)
        yield data.finding("duplicates", "warning", message, "One of each is kept for training.", seen=seen)
    if near.rows:
        message = f"{rows(near.rows, 'repeats', 'repeat')} an earlier row with small changes."
        yield data.finding("near_duplicates", "warning", message, "Keep one of each, unless the difference matters.")


def pairs(data: Rows) -> Iterator[Finding]:
    """Pairs that also stand the other way round."""
    for code, seen in data.seen(["contradicting_pairs"]).items():
        message = (
            f"{rows(seen.count, 'prefers', 'prefer')} an answer that another row with the same prompt calls the worse one."
        )
        yield data.finding(code, "warning", message, "Decide which is better, or leave these rows out.", seen=seen)


def rewards(data: Rows, shape: Shape) -> Iterator[Finding]:
    """Rewards that are all the same, answers that a grader cannot compare, and answers marked as bad."""
    if shape.kind == "rl_reward":
        count, low, high = data.one(f"SELECT count(reward), min(reward), max(reward) FROM {data.usable}")
        if count > 1 and low == high:
            message = f"All rewards are {low:g}, so there is nothing to learn from them."
            yield data.finding("constant_reward", "warning", message, "Check that the right column holds the reward.")
    elif shape.kind == "rl_answer":
        holds = condition("answer_not_checkable", data.stage)
        total, odd = data.one(f"SELECT count(reference), count(*) FILTER ({holds}) FROM {data.usable}")
        if total and 0 < odd < _MOST * total:
            message = (
                f"{rows(odd, 'has', 'have')} a reference answer without a number, while the others have one to compare with."
            )
            yield data.finding("answer_not_checkable", "warning", message, "Write the result as a number, or behind ####.")
    label = shape.column("label")
    if label is not None:
        bad = data.one(f"SELECT count(*) FROM {data.all} WHERE reason = 'thumbs_down'")[0]
        marked = f"{counted(bad, 'answer')} marked as bad will not be learned from"
        message = f'The column "{label}" says which answers are good; {marked}.'
        yield Finding("label_column", "warning", max(bad, 1), (), message, "Check that the column means this.")


def answers(data: Rows, shape: Shape) -> Iterator[Finding]:
    """What the answers have in common: all the same, a few labels, several ways of writing, a few very long ones."""
    total, shortest, longest, p95 = data.one(f"SELECT count(lc), min(lc), max(lc), quantile_disc(lc, 0.95) FROM {data.usable}")
    if total < 2:
        return
    if shortest == longest and _one_answer(data):
        message = "All answers are the same, so the model would only learn to repeat one text."
        yield data.finding("identical_completions", "warning", message, "Check that the right column is the answer.")
    elif longest <= _LONGEST_LABEL and shape.training == "SL":
        yield from _labels(data, total)
    yield from _scripts(data)
    if longest > max(OUTLIER_LEAST, OUTLIER_TIMES * p95):
        for code, seen in data.seen(["length_outliers"]).items():
            what = f"more than {OUTLIER_TIMES} times as long as 95 of 100 others"
            message = f"{rows(seen.count, 'has', 'have')} an answer {what}."
            yield data.finding(code, "info", message, "Check that nothing was pasted together by mistake.", seen=seen)


def _one_answer(data: Rows) -> bool:
    """Whether there is only one answer. A conversation with several may well end each time with the same words."""
    several = "len(list_filter(messages, lambda m: m.role = 'assistant')) > 1"
    different, long = data.one(f"SELECT count(DISTINCT completion), count(*) FILTER ({several}) FROM {data.usable}")
    return different == 1 and long == 0


def _labels(data: Rows, total: int) -> Iterator[Finding]:
    query = f"""
        SELECT completion, count(*) AS times FROM {data.usable} GROUP BY completion
        ORDER BY times DESC, completion LIMIT {_MOST_LABELS + 1}"""
    labels = data.connection.execute(query).fetchall()
    if len(labels) > min(_MOST_LABELS, total // _ROWS_PER_LABEL):
        return
    shown = ", ".join(f'"{label}" {share(count, total)}' for label, count in labels[:8])
    more = f" and {len(labels) - 8} more" if len(labels) > 8 else ""
    message = f"The answers are {len(labels)} labels: {shown}{more}."
    yield Finding("class_balance", "info", len(labels), (), message)
    if labels[0][1] >= _IMBALANCE * total:
        message = f'{share(labels[0][1], total)} of the answers are "{labels[0][0]}"; a model that always says so looks good.'
        yield Finding("label_imbalance", "info", labels[0][1], (), message, "Add examples with the other answers.")
    groups = f"SELECT prompt_key FROM {data.usable} GROUP BY prompt_key HAVING count(DISTINCT completion) > 1"
    prompts = data.one(f"SELECT count(*) FROM ({groups})")[0]
    if prompts:
        what = "different labels in different rows"
        message = f"{counted(prompts, 'prompt')} {'has' if prompts == 1 else 'have'} {what}."
        yield data.finding("contradicting_labels", "warning", message, "Decide which label is right, or leave these rows out.")


def _scripts(data: Rows) -> Iterator[Finding]:
    counts = f"SELECT script, count(*) AS times FROM {data.usable} AND script IS NOT NULL GROUP BY script"
    found = data.connection.execute(f"{counts} ORDER BY times DESC, script").fetchall()
    total = sum(count for _, count in found)
    told = [(script, count) for script, count in found if count >= max(2, _SCRIPT_SHARE * total)]
    if len(told) > 1:
        shown = [f"{script} ({share(count, total)})" for script, count in told]
        message = f"The answers are written in different scripts: {_listed(shown)}."
        yield data.finding("language_mix", "info", message, "Check that this is meant.")


def amount(data: Rows, total: int, usable: int) -> Iterator[Finding]:
    """Whether there are rows at all, and enough of them to try the way."""
    if usable == 0:
        message = "No row can be used for training." if total else "The file has column names, but no rows."
        next_step = (
            "Repair what the other findings name, or choose other columns." if total else "Export it again with its rows."
        )
        yield Finding("no_usable_rows" if total else "no_rows", "error", total, (), message, next_step)
        return
    grouped = f"SELECT min(row_key) <> max(row_key) AS several FROM {data.usable} GROUP BY prompt_key"
    prompts, repeated = data.one(f"SELECT count(*), count(*) FILTER (several) FROM ({grouped})")
    if repeated:
        what = f"{counted(repeated, 'prompt')} {'has' if repeated == 1 else 'have'} several different answers"
        message = f"{what}. They stay together when the rows are split."
        yield data.finding("same_prompt_many_answers", "info", message, count=repeated)
    next_step = "Add examples: 50 to 100 are a good start."
    if prompts < FEWEST_PROMPTS:
        few = counted(prompts, "different prompt")
        message = f"Only {few} can be used; to train and to check takes at least {FEWEST_PROMPTS}."
        yield Finding("few_rows", "warning", usable, (), message, next_step)
    elif usable < FEW_ROWS:
        message = f"Only {counted(usable, 'usable row')}. That is enough to try the way, but little can be learned from it."
        yield Finding("few_rows", "warning", usable, (), message, next_step)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
