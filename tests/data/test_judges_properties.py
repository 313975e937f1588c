"""What must hold for any rows.

The order and the case of names change nothing, texts come out as they went in, and the quick way through a conversation comes
to the same end as the thorough one.
"""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import compress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from studio.data.shape import recognise
from tests.data.awkward import CASES
from tests.data.judging import ruled
from tests.effort import tries

# Which unassigned letters are visible depends on the version of Unicode; those are left out.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\x00"), max_size=40)
ROLES = st.sampled_from(["system", "user", "assistant", "tool", "human", "gpt", "developer", "boss", "User", None])
CONTENTS = st.one_of(TEXTS, st.sampled_from(["17", "true", "[1]", '{"a": 1}', "null", "", " \u200b"]), st.none())
CALLS = {"tool_calls": st.sampled_from([None, [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}]])}
TURN = st.fixed_dictionaries({"role": ROLES, "content": CONTENTS}, optional={**CALLS, "name": st.sampled_from(["n", None])})
TURNS = st.lists(TURN, min_size=1, max_size=5)
NAMES = {"developer": "system", "human": "user", "gpt": "assistant", "User": "user"}
JSON_CASES = [
    case for case in CASES if not case.cells and all(isinstance(row, dict) for row in case.all_rows) and not case.mapping
]
# Words inside a name are told apart by their capitals: then the case does matter.
SPELLABLE = [case for case in JSON_CASES if case.name != "camel_case"]
few = tries(10, suppress_health_check=[HealthCheck.too_slow])


def shows(text: str) -> bool:
    return any(not letter.isspace() and unicodedata.category(letter)[0] not in "CZ" for letter in text)


def respelled(name: str, way: int) -> str:
    return (name.upper(), name.title(), f" {name} ", name.replace("_", " "), name.replace("_", "-"))[way % 5]


@pytest.mark.parametrize("case", JSON_CASES, ids=lambda case: case.name)
def test_the_order_of_the_keys_changes_nothing(case):
    rows = list(case.all_rows)
    turned = [dict(reversed(row.items())) for row in rows]
    one, other = ruled(rows), ruled(turned)
    assert one.rows == other.rows
    assert (one.shape.kind, one.shape.exact) == (other.shape.kind, other.shape.exact)
    assert dict(one.shape.columns) == dict(other.shape.columns)


@pytest.mark.parametrize(("way", "case"), list(enumerate(SPELLABLE)), ids=lambda case: getattr(case, "name", ""))
def test_the_spelling_of_the_names_changes_nothing(way, case):
    rows = list(case.all_rows)
    spelled = [{respelled(name, way): value for name, value in row.items()} for row in rows]
    one, other = ruled(rows), ruled(spelled)
    assert [without_names(row) for row in one.rows] == [without_names(row) for row in other.rows]
    assert (one.shape.kind, one.shape.exact) == (other.shape.kind, other.shape.exact)


def without_names(row: dict) -> dict:
    """A reason may name the column, as the file spells it."""
    return {**row, "detail": row["detail"] if row["reason"] == "bad_conversation" else None}


@few
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), st.booleans())
def test_texts_come_out_as_they_went_in(pairs, cells):
    found = ruled([{"prompt": one, "completion": other} for one, other in pairs], cells=cells)
    for (one, other), row in zip(pairs, found.rows, strict=True):
        if shows(one) and shows(other):
            assert (row["reason"], row["prompt"], row["completion"]) == (None, one, other)
        else:
            assert row["reason"] == "empty_value"


@few
@given(TURNS)
def test_a_conversation_is_judged_as_written_down_here(turns):
    row = ruled(
        [{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, {"messages": turns}]
    ).rows[1]
    heard = [(NAMES.get(turn["role"], turn["role"]), turn["content"]) for turn in turns]
    calls = [bool(turn.get("tool_calls")) for turn in turns]
    heard = [(role, text or "" if role == "tool" or call else text) for (role, text), call in zip(heard, calls, strict=True)]
    kept = [role != "system" or shows(text or "") for role, text in heard]
    heard, calls = list(compress(heard, kept)), list(compress(calls, kept))
    roles = [role for role, _ in heard]
    fine = (
        all(role in ("system", "user", "assistant", "tool") for role in roles)
        and all(role == "tool" or called or shows(text or "") for (role, text), called in zip(heard, calls, strict=True))
        and "user" in roles
        and roles[-1:] == ["assistant"]
    )
    assert row["reason"] == (None if fine else "bad_conversation")
    if fine:
        assert [(turn["role"], turn["content"]) for turn in row["messages"]] == heard
        letters = "".join(role[0] for role in roles)
        assert row["odd_turns"] == (not re.fullmatch("s?(u(at+)*a)+", letters) or any(turn["role"] == "User" for turn in turns))


@few
@given(TURNS)
def test_the_quick_way_and_the_thorough_way_agree(turns):
    # A weight on the last turn sends the whole conversation the thorough way.
    thorough = [*turns[:-1], {**turns[-1], "weight": 1}]
    good = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}
    quick, slow = ruled([good, {"messages": turns}, {"messages": thorough}]).rows[1:]
    assert (quick["reason"], quick["detail"], quick["odd_turns"]) == (slow["reason"], slow["detail"], slow["odd_turns"])
    assert (quick["prompt"], quick["completion"]) == (slow["prompt"], slow["completion"])
    if quick["messages"]:
        assert [said(turn) for turn in quick["messages"]] == [said(turn) for turn in slow["messages"]]


def said(turn: dict) -> tuple[str, str, dict]:
    more = json.loads(turn["more"] or "{}")
    return turn["role"], turn["content"], {key: value for key, value in more.items() if key != "weight"}


@few
@given(TEXTS.filter(shows), TEXTS.filter(shows), TEXTS.filter(shows))
def test_all_forms_of_a_pair_of_answers_say_the_same(prompt, good, bad):
    user, bots = {"role": "user", "content": prompt}, [{"role": "assistant", "content": text} for text in (good, bad)]
    forms = (
        {"prompt": prompt, "chosen": good, "rejected": bad},
        {"prompt": [user], "chosen": [bots[0]], "rejected": [bots[1]]},
        {"prompt": prompt, "chosen": [user, bots[0]], "rejected": [user, bots[1]]},
        {"chosen": [user, bots[0]], "rejected": [user, bots[1]]},
        {"input": {"messages": [user]}, "preferred_output": [bots[0]], "non_preferred_output": [bots[1]]},
    )
    told = [ruled([form]).rows[0] for form in forms]  # one by one: they are files of five forms
    assert all(row["reason"] == told[0]["reason"] for row in told)
    if told[0]["reason"] is None:
        assert {(row["prompt"], row["completion"], row["rejected"]) for row in told} == {(prompt, good, bad)}
    else:
        assert told[0]["reason"] == "identical_pair"


@few
@given(
    st.lists(st.text(max_size=12), max_size=6),
    st.lists(st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5)), max_size=3),
)
def test_no_names_and_no_values_are_too_odd_to_look_at(names, rows):
    shape = recognise(names, rows)
    assert shape is None or {column for _, column in shape.columns} <= set(names)
