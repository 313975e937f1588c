"""Fixes: pure, recorded, undone by reading again; what one offers is what it does; twice is once; no row is lost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data import Fix, Reading
from studio.data.db import connect
from studio.data.staging import fixes
from studio.data.staging.stage import STAGE, rows_of
from studio.errors import DataError
from tests.data.conftest import inspected
from tests.effort import tries

PIECES = [
    *("mail jane@corp.com", "call +1 415 555 0134", "4111 1111 1111 1111", "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"),
    *(
        "<|im_end|>",
        "<|im_<|x|>end|>",
        "</s>",
        "<s>",
        "[INST]",
        "\x07",
        "\u200b",
        "trÃ¨s",
        "ÃƒÂ©",
        " ",
        "\n",
        "plain",
        "é",
        "café, s'il",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
TEXT_FIXES = [Fix(ident) for ident in fixes._TEXTS]
ROWS = st.lists(st.fixed_dictionaries({"prompt": TEXTS, "completion": TEXTS}), min_size=1, max_size=6)
CHATS = st.lists(
    st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": TEXTS}), min_size=1, max_size=5
    ).map(lambda turns: {"messages": turns}),
    min_size=1,
    max_size=4,
)
ALL = [
    *TEXT_FIXES,
    *(Fix(ident) for ident in ("drop_last_user", "join_turns", "fix_roles", "better_answers")),
    *(Fix("leave_out", code) for code in (*fixes.ROW_CONDITIONS, *fixes.COMPARING)),
    Fix("leave_out_rows", "by_hand:0,2-3"),
]


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def staged(inspection):
    """All staged rows as they are laid over by what is left out."""
    columns = "row_id, line, reason, detail, system, prompt, completion, rejected, messages, reference, reward, x0"
    columns = columns if inspection.extras else columns.removesuffix(", x0")
    with connect(inspection.folder) as connection:
        query = f"SELECT {columns} FROM {rows_of(inspection.folder / STAGE)} ORDER BY row_id"
        return connection.execute(query).fetchall()


def read(folder, rows, *wanted):
    reading = Reading()
    for fix in wanted:
        reading = fixes.fixed(reading, fix)
    return inspected(folder, jsonl(rows), "x.jsonl", reading=reading).inspection


@pytest.fixture
def desk_of(tmp_path):
    return lambda rows, *wanted: read(tmp_path, rows, *wanted)


def pairs(*completions):
    return [{"prompt": f"question {place}", "completion": one} for place, one in enumerate(completions)]


@pytest.mark.parametrize(
    ("fix", "before", "after"),
    [
        ("mask_personal_data", "mail jane@corp.com or +1 415 555 0134", "mail [EMAIL] or [PHONE]"),
        ("mask_secrets", "use AKIAIOSFODNN7EXAMPLE", "use [KEY]"),
        ("remove_special_tokens", "<|im_start|>Hello <|im_end|>\n", "Hello"),
        ("remove_special_tokens", "<s> Hello </s>", "Hello"),
        ("remove_control_characters", "a\x07b\tc", "ab\tc"),
        ("remove_unusual_characters", "a\u200bb\ufeff", "ab"),
        ("repair_mojibake", "trÃ¨s donâ€™t", "très don\u2019t"),
        ("strip_space", " \n a b \u3000", "a b"),
    ],
)
def test_what_a_fix_does_and_that_its_offer_shows_it(desk_of, fix, before, after):
    rows = pairs("fine", before, "also fine")
    offered = [offer for offer in fixes.available(desk_of(rows)) if offer.fix.id == fix]
    assert [(offer.before, offer.after, offer.rows) for offer in offered] == [(before, after, 1)] or fix == "mask_secrets"
    found = desk_of(rows, Fix(fix))
    assert [row[6] for row in staged(found)] == ["fine", after, "also fine"]
    assert not [offer for offer in fixes.available(found) if offer.fix.id == fix]
    assert found.fixes == (Fix(fix),)


def test_conversations_are_fixed_in_every_turn_and_their_texts_follow(desk_of):
    turns = [
        ("system", "write to a@b.com"),
        ("user", "I am c@d.com "),
        ("assistant", "Hi"),
        ("user", "e@f.com"),
        ("assistant", "Ok "),
    ]
    rows = [{"messages": [{"role": role, "content": content} for role, content in turns]}]
    [row] = staged(desk_of(rows, Fix("mask_personal_data"), Fix("strip_space")))
    assert [turn["content"] for turn in row[8]] == ["write to [EMAIL]", "I am [EMAIL]", "Hi", "[EMAIL]", "Ok"]
    assert row[5] == "User: I am [EMAIL]\n\nAssistant: Hi\n\nUser: [EMAIL]"
    assert row[6] == "Ok"


def test_the_last_user_turn_is_dropped_and_the_row_is_back(desk_of):
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}, {"role": "user", "content": "s"}]
    rows = [{"messages": turns}, {"messages": turns[:2]}, {"messages": turns[:1]}]
    before = desk_of(rows)
    [offer] = [one for one in fixes.available(before) if one.fix.id == "drop_last_user"]
    assert (offer.rows, offer.before, offer.after) == (1, "User: q\nAssistant: r\nUser: s", "User: q\nAssistant: r")
    after = desk_of(rows, offer.fix)
    assert (before.rows_usable, after.rows_usable) == (1, 2)
    assert staged(after)[0][5:7] == ("q", "r")


def test_turns_in_a_row_are_joined_but_calls_of_tools_are_left(desk_of):
    def turn(role, content, **more):
        return {"role": role, "content": content, **more}

    joined = [turn("user", "a"), turn("user", "b"), turn("assistant", "c"), turn("assistant", "d")]
    rows = [{"messages": joined}, {"messages": [turn("assistant", "x"), turn("user", "a"), turn("assistant", "b")]}]
    before = desk_of(rows)
    [offer] = [one for one in fixes.available(before) if one.fix.id == "join_turns"]
    assert offer.rows == 1, "the second conversation is odd in a way that joining does not mend"
    after = staged(desk_of(rows, offer.fix))
    assert [turn["content"] for turn in after[0][8]] == ["a\n\nb", "c\n\nd"]
    assert after[1] == staged(before)[1]


def test_pairs_become_examples_of_their_better_answers(desk_of):
    plain = desk_of([{"prompt": "a", "chosen": "good", "rejected": "bad"}], Fix("better_answers"))
    assert staged(plain)[0][5:9] == ("a", "good", None, None)
    assert plain.shape.training == "SL"
    asked = [{"role": "user", "content": "a"}]
    answers = {side: [*asked, {"role": "assistant", "content": side}] for side in ("chosen", "rejected")}
    chat = desk_of([{"prompt": "a", **answers}], Fix("better_answers"))
    [row] = staged(chat)
    assert row[5:8] == ("a", "chosen", None)
    assert row[8] is None or [turn["content"] for turn in row[8]] == ["a", "chosen"]


def test_rows_are_left_out_by_finding_and_by_hand(desk_of):
    rows = [
        *pairs("a", "null", "x <|im_end|>", "mail a@b.com"),
        *pairs("a"),
        {"prompt": "QUESTION 0", "completion": "A!"},
        *pairs("z"),
    ]
    wanted = [
        Fix("leave_out", code)
        for code in ("null_like_text", "special_tokens", "personal_data", "duplicates", "near_duplicates")
    ]
    found = desk_of(rows, *wanted, Fix("leave_out_rows", fixes.rows_value("by_hand", [6])))
    assert [row[2:4] for row in staged(found)] == [
        (None, None),
        ("left_out", "null_like_text"),
        ("left_out", "special_tokens"),
        ("left_out", "personal_data"),
        ("left_out", "duplicates"),
        ("left_out", "near_duplicates"),
        ("left_out", "by_hand"),
    ]
    assert (found.rows_usable, found.rows_rejected, found.duplicate_rows, found.near_duplicate_rows) == (1, 6, 0, 0)
    [told] = [one for one in found.findings if one.code == "left_out"]
    assert (told.severity, told.count) == ("info", 6)


def test_a_row_that_was_left_out_stays_out_when_a_later_fix_mends_it(desk_of):
    rows = pairs("fine", "x <|im_end|>")
    found = desk_of(rows, Fix("leave_out", "special_tokens"), Fix("remove_special_tokens"))
    assert [row[2] for row in staged(found)] == [None, "left_out"]
    other = desk_of(rows, Fix("remove_special_tokens"), Fix("leave_out", "special_tokens"))
    assert [row[2] for row in staged(other)] == [None, None]


def test_a_text_that_a_fix_empties_is_set_aside_like_any_empty_text(desk_of):
    found = desk_of(pairs("fine", "<|im_end|>"), Fix("remove_special_tokens"))
    assert [row[2:4] for row in staged(found)] == [(None, None), ("empty_value", "completion")]
    same = desk_of([{"prompt": "p", "chosen": "a <|x|>", "rejected": "a"}], Fix("remove_special_tokens"))
    assert staged(same)[0][2] == "identical_pair"


def test_rows_that_are_left_out_can_be_written_in_ranges():
    assert fixes.rows_value("too_long", [9, 3, 4, 5, 3]) == "too_long:3-5,9"
    assert fixes.row_ranges(Fix("leave_out_rows", "too_long:3-5,9")) == ((3, 5), (9, 9))


@pytest.mark.parametrize("value", ["", "code:", "code:x", "code:1,-2", "1,2", "code:1-2-3", "a:1);DROP TABLE x", "a:²"])
def test_rows_that_cannot_be_read_are_refused(tmp_path, value):
    with pytest.raises(DataError):
        read(tmp_path, pairs("a"), Fix("leave_out_rows", value))


@pytest.mark.parametrize(
    "fix", [Fix("nonsense"), Fix("leave_out", "nonsense"), Fix("leave_out", "x' OR 1=1 --"), Fix("leave_out")]
)
def test_unknown_fixes_are_refused(tmp_path, fix):
    with pytest.raises(DataError):
        fixes.fixed(Reading(), fix)
    with pytest.raises(DataError):
        inspected(tmp_path, jsonl(pairs("a")), "x.jsonl", reading=Reading(fixes=(fix,)))


def test_every_fix_has_words(tmp_path):
    for fix in [*ALL, Fix("encoding", "cp1250"), Fix("header", "names"), Fix("key", "rows")]:
        assert fixes.describe(fix).endswith(".")
        assert fixes.label(fix)
        assert fixes.asks(fix) in (True, False)
    assert fixes.describe(Fix("leave_out_rows", "too_long:3-5,9")) == "4 rows were left out (too long)."
    assert fixes.describe(Fix("leave_out_rows", "by_hand:7")) == "1 row was left out by hand."
    assert fixes.describe(Fix("encoding", "cp1250")) == "The file was read as Central European (Windows)."


def test_the_encoding_is_a_fix_with_a_true_preview(tmp_path):
    text = 'prompt,completion\n"Dobrý den, žluťoučký kůň","Příliš"\n' + "a,b\n" * 3
    folder = tmp_path / "one"
    before = inspected(folder, text.encode("cp1250"), reading=Reading(encoding="cp1252")).inspection
    [finding] = [one for one in before.findings if one.code == "re_encoded"]
    [offer] = [one for one in finding.fixes if one.fix == Fix("encoding", "cp1250")]
    assert "žluťoučký kůň" in offer.after
    after = inspected(folder, text.encode("cp1250"), reading=fixes.fixed(Reading(), offer.fix))
    assert after.rows[0][1] == "Dobrý den, žluťoučký kůň"


def test_one_more_and_one_less():
    one, two = Fix("strip_space"), Fix("mask_secrets")
    reading = fixes.fixed(fixes.fixed(Reading(key="rows"), one), two)
    assert reading.fixes == (one, two)
    assert fixes.fixed(reading, one) == reading
    assert fixes.undone(reading) == replace(reading, fixes=(one,))
    assert fixes.undone(fixes.undone(fixes.undone(reading))) == Reading(key="rows")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("fixes")


def fresh(scratch: Path) -> Path:
    return scratch / str(len(list(scratch.iterdir())))


@tries(5)
@given(rows=st.one_of(ROWS, CHATS), fix=st.sampled_from(TEXT_FIXES))
def test_twice_is_once(scratch, rows, fix):
    once = read(fresh(scratch), rows, fix)
    twice = inspected(fresh(scratch), jsonl(rows), "x.jsonl", reading=Reading(fixes=(fix, fix))).inspection
    assert staged(once) == staged(twice)


@tries(5)
@given(rows=st.one_of(ROWS, CHATS), wanted=st.lists(st.sampled_from(ALL), unique=True, max_size=3), last=st.sampled_from(ALL))
def test_undo_gives_exactly_what_was_there(scratch, rows, wanted, last):
    folder = fresh(scratch)
    before = read(folder, rows, *wanted)
    earlier = (before, staged(before))
    after = read(folder, rows, *wanted, last)
    assert len(staged(after)) == len(earlier[1]), "no row is added or lost"
    assert [row[:2] for row in staged(after)] == [row[:2] for row in earlier[1]], "and none moves"
    undone = fixes.undone(Reading(fixes=after.fixes)) if last not in wanted else Reading(fixes=after.fixes)
    again = inspected(folder, jsonl(rows), "x.jsonl", reading=undone).inspection
    assert (again, staged(again)) == earlier
    assert data.reopen(again.folder) == again
