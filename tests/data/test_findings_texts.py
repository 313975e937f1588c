"""Doubts about texts: what is found, and above all what is left alone, because a check that cries wolf is a bug."""

# ruff: noqa: RUF001 - characters that look like others are the subject

from __future__ import annotations

import json

import duckdb
import pytest

from studio.data.db import literal
from studio.data.staging.damage import undamaged
from studio.data.staging.marks import EXCEL_LIMIT
from studio.data.staging.patterns import HINT, PATTERNS, PERSONAL, found, masked

FOUND = {
    "email": ["a jane.doe@example.com b", "mailto:x_y%z+tag@sub.example.co.uk", "<jo@ex.org>,<al@ex.org>"],
    "phone": [
        "call +1 415 555 0134.",
        "(415) 555-0134",
        "+49 (0)30 901820",
        "+33 6 12 34 56 78",
        "415-555-0134",
        "+14155550134",
    ],
    "card": ["4111 1111 1111 1111", "378282246310005", "pay 5555-5555-5555-4444 now", "card number: 6011111111111117"],
    "iban": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000 BITTE ZAHLEN", "an DE89 3704 0044 0532 0130 00."],
    "ssn": ["my number is 078-05-1120.", "219-09-9999"],
    "ip": ["from 83.12.199.4.", "host 212.58.244.20 answered"],
    "secrets": [
        "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "xoxb-123456789012-abcdef",
        "AIza" + "Sy0-_" * 7,
        "hf_" + "aBcDeFgHiJ" * 3 + "abcd",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIabc+/=\n-----END RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123_-xyz",
    ],
    "special_tokens": [
        "x <|im_end|>",
        "[INST]",
        "hi</s>",
        "<s> hi </s>",
        "<s>hello",
        "<start_of_turn>user",
        "<\uff5cUser\uff5c>",
        "<<SYS>>",
    ],
    "mojibake": [
        "trÃ¨s bien",
        "donâ€™t",
        "smile ðŸ˜€",
        "ÐŸÑ€Ð¸Ð²ÐµÑ‚",
        "20Â°C",
        "Ã–sterreich",
        "byÅ‚o",
        "ï»¿prompt",
        "å\x8d\x83å¹´",
        "ã\x81\x93ã‚“",
    ],
    "control_characters": ["bell \x07", "\x00", "\x1b[0m", "\x93quoted\x94"],
    "unusual_characters": ["zero\u200bwidth", "\ufeffstart", "soft\u00adhyphen", "icon \ue001", "\u202eoverride"],
    "lost_characters": ["caf\ufffd"],
}
LEFT_ALONE = {
    "email": ["@decorator", "user@localhost", "git@github.com:x/y.git", "icon@2x.png", "5 @ 3 each", "a@b"],
    "phone": [
        "order 415-555-0134",
        "2024-01-01 10:00:00",
        "1.800.2",
        "12345678901",
        "part no. 415-555-0134",
        "3 + 4155 = 4158",
        "$415-555-0134",
        "2019-2024",
        "ISBN 978-3-16-148410-0",
    ],
    "card": [
        "order number 4111111111111111",
        "4111111111111112",
        "1234 5678 9012 3456",
        "3.4111111111111111",
        "id-4111111111111111x",
        "tracking 4111 1111 1111 1111",
    ],
    "iban": ["GB82 WEST 1234 5698 7654 33", "AB12 CDEF GHIJ", "DE89 is the start"],
    "ssn": ["000-12-3456", "123-45-67890", "part 123-45-6789", "666-12-3456", "12-34-5678", "2024-01-0001"],
    "ip": [
        "1.2.3.4",
        "v120.30.40.50",
        "version 120.30.40.50",
        "192.168.100.200",
        "120.30.40.50.60",
        "255.255.255.0",
        "999.30.40.50",
        "Chrome/120.0.6099.109",
        "203.0.113.77",
    ],
    "secrets": [
        "sk-fading-circle-container-box-12",
        "task-management-system-overview-ABC1",
        "AKIA",
        "hf_convert_model_weights_to_onnx_format",
        "risk-free",
        "ghp_short",
        "eyJ is how they begin",
        "it begins with -----BEGIN PRIVATE KEY----- and a line end",
    ],
    "special_tokens": ["was <s>10</s> now 8", "f <| x |> g", "a <s>b</s>", "[inst]", "</span>", "List<S> s", "x <|> y"],
    "mojibake": [
        "Está",
        "\u201cÉ…\u201d",
        "voilà\u00a0»",
        "donné\u00a0»",
        "SEÑOR",
        "MAÇÃO",
        "MAÇÃ…",
        "naïve",
        "2 × 3",
        "5°C",
        "ça… là",
        "Привет",
        "Ünï",
        "©2024",
    ],
    "control_characters": ["tab\tand\nline\r\n", "plain", "next\u0085line"],
    "unusual_characters": ["👩‍👩‍👧", "می‌خواهم", "שלום\u200f", "plain", "क्‍ष"],
    "lost_characters": ["?"],
}


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as one:
        yield one


def value(connection, expression, text=""):
    return connection.execute(f"SELECT {expression} FROM (SELECT $1::VARCHAR AS text)", [text]).fetchone()[0]


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in FOUND.items() for text in texts])
def test_what_looks_suspicious_is_found(connection, code, text):
    assert value(connection, found(code, "text"), text)
    assert value(connection, f"regexp_matches(text, {literal(HINT)})", text), "the quick look must not miss it"


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in LEFT_ALONE.items() for text in texts])
def test_what_only_resembles_it_is_left_alone(connection, code, text):
    assert not value(connection, found(code, "text"), text)


def test_every_kind_has_cases_of_both_sorts():
    assert set(FOUND) == set(LEFT_ALONE) == set(PATTERNS)


@pytest.mark.parametrize("code", [*PERSONAL, "secrets"])
def test_what_is_masked_is_not_found_again_and_nothing_else_changes(connection, code):
    for text in FOUND[code]:
        after = value(connection, masked(code, "text"), text)
        assert not value(connection, found(code, "text"), after)
        assert PATTERNS[code].stand_in in after
    for text in LEFT_ALONE[code]:
        assert value(connection, masked(code, "text"), text) == text


def test_neighbours_are_all_masked(connection):
    text = " ".join(["415-555-0134"] * 2 + ["415-555-0135", "415-555-0136", "415-555-0137"])
    assert value(connection, masked("phone", "text"), text) == " ".join(["[PHONE]"] * 5)


@pytest.mark.parametrize(
    "text",
    [
        "très",
        "don\u2019t",
        "😀",
        "Привет",
        "20°C",
        "Österreich",
        "千年",
        "こんにちは",
        "مرحبا بكم",
        "Γειά σου",
        "\u201cquoted\u201d \u2013 €5",
    ],
)
def test_damaged_letters_come_back(connection, text):
    for damaged in (_damaged(text), _damaged(_damaged(text))):
        assert value(connection, undamaged("text"), damaged) == text
    assert value(connection, undamaged("text"), text) == text


def _damaged(text):
    """UTF-8 read as Windows-1252; the five bytes that it does not know are read as Latin-1."""
    return "".join(
        bytes([byte]).decode("cp1252") if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else chr(byte) for byte in text.encode()
    )


def test_the_text_of_every_place_in_a_row_is_looked_at(desk):
    rows = [
        {
            "messages": [
                {"role": "system", "content": "a@b.com"},
                {"role": "user", "content": "x"},
                {"role": "assistant", "content": "1"},
            ]
        },
        {"messages": [{"role": "user", "content": "a@b.com"}, {"role": "assistant", "content": "y"}] * 2},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "2"}]},
    ]
    assert desk("".join(json.dumps(row) + "\n" for row in rows), "x.jsonl").lines("personal_data") == (1, 2)
    pairs = [{"prompt": "p", "chosen": "c", "rejected": "r a@b.com"}, {"prompt": "q", "chosen": "d", "rejected": "e"}]
    assert desk("".join(json.dumps(row) + "\n" for row in pairs), "y.jsonl").lines("personal_data") == (1,)


def test_the_kinds_of_personal_data_are_named(desk):
    found = desk("prompt,completion\nq,a@b.com\nr,+1 415 555 0134\n")
    message = next(one.message for one in found.inspection.findings if one.code == "personal_data")
    assert "e-mail addresses and phone numbers" in message
    assert "card" not in message


def test_a_key_is_never_shown_in_full(desk):
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
    findings = desk(f"prompt,completion\nq,{key} and a@b.com\n").inspection.findings
    assert {"secrets", "personal_data"} <= {one.code for one in findings}
    assert key not in json.dumps([(one.example, [(offer.before, offer.after) for offer in one.fixes]) for one in findings])


def test_words_for_nothing_and_errors_of_spreadsheets(desk):
    cells = ["null", " None ", "N/A", "nothing", "none of them", "#N/A", "#BEZUG!", "#REF! is an error", "nan", "NA is sodium"]
    found = desk("prompt,completion\n" + "".join(f"q{place},{cell}\n" for place, cell in enumerate(cells)))
    assert found.lines("null_like_text") == (2, 3, 4, 10)
    assert found.lines("excel_error") == (7, 8)


@pytest.mark.parametrize(("length", "cut"), [(EXCEL_LIMIT - 1, False), (EXCEL_LIMIT, True), (EXCEL_LIMIT + 1, False)])
def test_a_cell_at_the_limit_of_excel_was_cut(desk, length, cut):
    found = desk(f"prompt,completion\nq,{'x' * length}\nr,{'é' * length}\n")
    assert found.codes.get("truncated_cell", 0) == (2 if cut else 0)


def test_the_limit_counts_as_excel_counts(desk):
    text = "😀" + "x" * (EXCEL_LIMIT - 2)
    assert desk(f"prompt,completion\nq,{text}\n").lines("truncated_cell") == (2,)


def test_white_space_around_texts_is_only_told(desk):
    found = desk('prompt,completion\nq, a\nr,b\n"s",c \n')
    assert found.lines("outer_space") == (2, 4)
    assert next(one.severity for one in found.inspection.findings if one.code == "outer_space") == "info"
