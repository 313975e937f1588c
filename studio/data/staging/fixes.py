"""One-click repairs as pure transformations of the rows, applied in the order in which they were chosen.

Guarantees: the original file is never touched, a fix is only recorded in the ``Reading``, so undo is reading again without it
and gives exactly what was there before; a fix applied twice does what it does once; a row is never added and never lost: it
keeps its place, and what a fix leaves out has the reason ``left_out``; a text that a fix empties is set aside like any other
empty text.

Where a fix works: on how the file is read (``opened``), on the turns of a conversation before it is judged
(``turns.repaired_turns``), on one judged row (``on_rows``), or on rows compared with each other, once all of them are staged
(``leaving.leave_out``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio.data.db import literal
from studio.data.judges import answer_of, prompt_of
from studio.data.sources import encoding as encodings
from studio.data.staging.damage import undamaged
from studio.data.staging.marks import ROW_CONDITIONS
from studio.data.staging.patterns import (
    PATTERNS,
    PERSONAL,
    masked,
    without_controls,
    without_invisible,
    without_tokens,
)
from studio.data.types import Fix, FixOffer, Inspection, Reading, Shape
from studio.errors import DataError

_Sql = Callable[[str], str]
#: The reason of rows that a person chose to leave out; their detail is the code of the finding.
LEFT_OUT: Final = "left_out"
#: Findings that compare rows, so that leaving theirs out has to wait until all rows are staged.
COMPARING: Final = ("duplicates", "near_duplicates", "contradicting_pairs", "contradicting_labels", "length_outliers")

_VISIBLE: Final = r"[^\s\p{Z}\p{C}]"


@dataclass(frozen=True, slots=True)
class _Words:
    """How a fix is called on a button, and how it is told in the data card. ``{}`` stands for its value."""

    label: str
    told: str
    ask: bool = False


def _mask_personal(text: str) -> str:
    for kind in PERSONAL:
        text = masked(kind, text)
    return text


def _stripped(text: str) -> str:
    return rf"regexp_replace({text}, '^[\s\p{{Z}}]+|[\s\p{{Z}}]+$', '', 'g')"


#: Fixes of texts: which findings they answer, and what they do with one text.
_TEXTS: Final[dict[str, tuple[tuple[str, ...], _Sql]]] = {
    "mask_personal_data": (PERSONAL, _mask_personal),
    "mask_secrets": (("secrets",), lambda text: masked("secrets", text)),
    "remove_special_tokens": (("special_tokens",), without_tokens),
    "remove_control_characters": (("control_characters",), without_controls),
    "remove_unusual_characters": (("unusual_characters",), without_invisible),
    "repair_mojibake": (("mojibake",), undamaged),
    "strip_space": ((), _stripped),
}
_WORDS: Final[dict[str, _Words]] = {
    "mask_personal_data": _Words(
        "Mask them", "E-mail addresses, phone, card, account, social security and IP numbers were masked."
    ),
    "mask_secrets": _Words("Mask the keys", "Keys and tokens were masked.", ask=True),
    "remove_special_tokens": _Words("Remove the markers", "Chat markers were removed."),
    "remove_control_characters": _Words("Remove them", "Control characters were removed."),
    "remove_unusual_characters": _Words("Remove them", "Invisible and private characters were removed."),
    "repair_mojibake": _Words("Repair the letters", "Damaged letters were repaired."),
    "strip_space": _Words("Remove the outer space", "White space at both ends of texts was removed."),
    "leave_out": _Words("Leave these rows out", "Rows of the finding {} were left out.", ask=True),
    "leave_out_rows": _Words("Leave these rows out", "{} were left out.", ask=True),
    "drop_last_user": _Words("Drop the last message", "Messages after the last answer were dropped from conversations."),
    "join_turns": _Words("Join them", "Messages in a row by the same speaker were joined."),
    "fix_roles": _Words("Use the usual roles", "Other names for user, assistant and system were replaced."),
    "better_answers": _Words("Learn from the better answers alone", "Only the better answers are learned from."),
    "encoding": _Words("Read it as {}", "The file was read as {}."),
    "header": _Words("The first line {}", "The first line {}.", ask=True),
    "key": _Words('Take the list "{}"', 'The rows were taken from the list "{}".'),
}
_COPIES: Final = ("duplicates", "near_duplicates")
#: Fixes of how the file is opened: the last word counts.
_OPENING: Final = ("encoding", "header", "key")
#: After these the columns are others, and those that a person chose before mean nothing.
OTHER_COLUMNS: Final = ("header", "key")


def fixed(reading: Reading, fix: Fix) -> Reading:
    """The reading with one fix more. Raises ``DataError`` for a fix that is not known or does not make sense."""
    _require_known(fix)
    if fix.id in OTHER_COLUMNS:
        reading = replace(reading, mapping=None, kind=None)
    if fix.id in _OPENING:
        return replace(reading, fixes=(*(other for other in reading.fixes if other.id != fix.id), fix))
    return reading if fix in reading.fixes else replace(reading, fixes=(*reading.fixes, fix))


def undone(reading: Reading) -> Reading:
    """The reading without its last fix."""
    if reading.fixes and reading.fixes[-1].id in OTHER_COLUMNS:
        reading = replace(reading, mapping=None, kind=None)
    return replace(reading, fixes=reading.fixes[:-1])


def available(inspection: Inspection) -> tuple[FixOffer, ...]:
    """Every fix that the findings of a file offer, errors first."""
    return tuple(offer for finding in inspection.findings for offer in finding.fixes)


def opened(reading: Reading) -> Reading:
    """The reading with what its fixes say about the encoding, the first line and the list of rows in its own fields."""
    for fix in reading.fixes:
        _require_known(fix)
        if fix.id == "encoding":
            reading = replace(reading, encoding=fix.value)
        elif fix.id == "header":
            reading = replace(reading, header=fix.value == "names")
        elif fix.id == "key":
            reading = replace(reading, key=fix.value)
    return reading


def header_offer(*, names: bool) -> FixOffer:
    """The offer to read the first line of a table as column names, or as the first row."""
    fix = Fix("header", "names" if names else "data")
    return FixOffer(fix, label(fix), 0, ask=asks(fix))


def trained(shape: Shape, fixes: Sequence[Fix]) -> Shape:
    """The shape as it trains after the fixes: pairs and rewards become supervised when only the better answers are wanted."""
    if not any(fix.id == "better_answers" for fix in fixes):
        return shape
    return replace(shape, training="SL", method_why="You chose to learn from the better answers alone.")


def describe(fix: Fix) -> str:
    """One sentence about a fix that was applied, for the data card."""
    _require_known(fix)
    if fix.id == "leave_out_rows":
        code, ids = _listed(fix)
        count = sum(last - first + 1 for first, last in ids)
        why = "by hand" if code == "by_hand" else f"({_plain(code)})"
        return f"{count:,} row{' was' if count == 1 else 's were'} left out {why}."
    return _WORDS[fix.id].told.format(_shown(fix))


def label(fix: Fix) -> str:
    """What the button of a fix says."""
    if fix.id == "leave_out" and fix.value in _COPIES:
        return "Keep one of each"
    return _WORDS[fix.id].label.format(_shown(fix))


def asks(fix: Fix) -> bool:
    """Whether a person should look before agreeing: rows or texts are lost that may be wanted."""
    return _WORDS[fix.id].ask


def rows_value(code: str, ids: Sequence[int]) -> str:
    """The value of ``Fix("leave_out_rows", ...)`` for these rows: ``code:3,7-9``."""
    ranges: list[list[int]] = []
    for ident in sorted(set(ids)):
        if ranges and ranges[-1][1] == ident - 1:
            ranges[-1][1] = ident
        else:
            ranges.append([ident, ident])
    return f"{code}:" + ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def row_ranges(fix: Fix) -> tuple[tuple[int, int], ...]:
    """The rows that ``rows_value`` wrote, as first and last. Raises ``DataError`` when they cannot be read."""
    return _listed(fix)[1]


def repaired_text(fix: Fix, text: str) -> str | None:
    """SQL for one text after this fix; None when the fix does not work on texts."""
    return _TEXTS[fix.id][1](text) if fix.id in _TEXTS else None


def on_texts(texts: str, shape: Shape, fixes: Sequence[Fix]) -> str:
    """SQL with the same columns as ``texts``, after the fixes that work before a row is judged."""
    _ = shape, fixes
    return texts


def on_rows(rows: str, shape: Shape, fixes: Sequence[Fix]) -> str:
    """SQL with the same canonical columns as ``rows``, after the fixes that work on judged rows, in their order."""
    _ = shape
    for fix in fixes:
        _require_known(fix)
        if fix.id in _TEXTS:
            rows = _emptied(_rewritten(rows, fix))
        elif fix.id == "leave_out" and fix.value in ROW_CONDITIONS:
            rows = _left_out(rows, fix.value)
        elif fix.id == "better_answers":
            rows = _better(rows)
    return rows


def _require_known(fix: Fix) -> None:
    odd = (fix.id == "leave_out" and fix.value not in (*ROW_CONDITIONS, *COMPARING)) or (
        fix.id == "header" and fix.value not in ("names", "data")
    )
    if fix.id not in _WORDS or odd:
        raise DataError(f"There is no fix called {fix.id!r} {fix.value!r}.", next_step="Choose one of the fixes on offer.")


def _shown(fix: Fix) -> str:
    if fix.id == "header":
        return "names the columns" if fix.value == "names" else "is the first row"
    if fix.id == "encoding":
        return encodings.words(fix.value)
    return _plain(fix.value) if fix.id == "leave_out" else fix.value


def _plain(code: str) -> str:
    return code.replace("_", " ")


def _listed(fix: Fix) -> tuple[str, tuple[tuple[int, int], ...]]:
    code, _, ids = fix.value.rpartition(":")
    pieces = [piece.partition("-") for piece in ids.split(",") if piece]
    if not code or not pieces or not all(first.isdecimal() and (last or first).isdecimal() for first, _, last in pieces):
        raise DataError("The rows to leave out cannot be read.", where=fix.value[:100], next_step="Choose the rows again.")
    return code, tuple((int(first), int(last or first)) for first, _, last in pieces)


def _rewritten(rows: str, fix: Fix) -> str:
    kinds, repair = _TEXTS[fix.id]
    hint = literal("|".join(PATTERNS[kind].hint for kind in kinds))

    def after(text: str) -> str:
        # The cheap pattern first; a text without it stays as it is.
        needed = f" AND regexp_matches({text}, {hint})" if kinds else ""
        return f"CASE WHEN reason IS NULL{needed} THEN {repair(text)} ELSE {text} END"

    more = "m.more" if fix.id == "strip_space" else after("m.more")
    turn = f"{{'role': m.role, 'content': {after('m.content')}, 'more': {more}}}"
    columns = [f"{after(column)} AS {column}" for column in ("system", "prompt", "completion", "rejected", "reference")]
    changed = f"SELECT * REPLACE ({', '.join(columns)}, list_transform(messages, lambda m: {turn}) AS messages) FROM ({rows})"
    # What a conversation says as one text follows from its turns.
    chat, whole = "reason IS NULL AND messages IS NOT NULL", "messages[-1].role = 'assistant' AND rejected IS NULL"
    return f"""
        SELECT * REPLACE (CASE WHEN {chat} THEN CASE WHEN {whole} THEN {prompt_of("messages[:-2]")}
            ELSE {prompt_of("messages")} END ELSE prompt END AS prompt,
          CASE WHEN {chat} AND {whole} THEN {answer_of("messages")} ELSE completion END AS completion)
        FROM ({changed})"""


def _emptied(rows: str) -> str:
    """SQL for the rows, with those set aside that a fix has left without a prompt or an answer, or with two equal answers."""
    cases = [
        *((f"{part} IS NOT NULL AND {_blank(part)}", "empty_value", part) for part in ("prompt", "completion", "rejected")),
        ("trim(completion) = trim(rejected)", "identical_pair", ""),
    ]
    return _judged_again(rows, cases)


def _left_out(rows: str, code: str) -> str:
    return _judged_again(rows, [(ROW_CONDITIONS[code], LEFT_OUT, code)])


def _judged_again(rows: str, cases: Sequence[tuple[str, str, str]]) -> str:
    """SQL for the rows; a usable one for which a case holds gets its reason and detail."""
    reasons = " ".join(f"WHEN {holds} THEN {literal(reason)}" for holds, reason, _ in cases)
    details = " ".join(f"WHEN {holds} THEN nullif({literal(detail)}, '')" for holds, _, detail in cases)
    return f"""
        SELECT * EXCLUDE (usable) REPLACE (CASE WHEN usable THEN CASE {reasons} END ELSE reason END AS reason,
          CASE WHEN usable THEN CASE {details} ELSE detail END ELSE detail END AS detail)
        FROM (SELECT *, reason IS NULL AS usable FROM ({rows}))"""


def _better(rows: str) -> str:
    """SQL for pairs and scored rows as plain examples of their good answers."""
    answer = "{'role': 'assistant', 'content': completion, 'more': NULL::VARCHAR}"
    whole = f"CASE WHEN messages[-1].role <> 'assistant' THEN list_append(messages, {answer}) ELSE messages END"
    with_answer = _judged_again(rows, [("completion IS NULL", "empty_value", "completion")])
    return f"""
        SELECT * REPLACE (NULL::VARCHAR AS rejected, NULL::VARCHAR AS reference, NULL::DOUBLE AS reward,
          NULL::VARCHAR AS reward_name, {whole} AS messages) FROM ({with_answer})"""


def _blank(text: str) -> str:
    return f"NOT regexp_matches({text}, {literal(_VISIBLE)})"
