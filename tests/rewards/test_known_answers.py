"""What each kind says about answers whose worth is known."""

from __future__ import annotations

import pytest

from studio import rewards
from studio.rewards import TaskRow, parse, score


def worth(reward: str, answer: str, reference: str = "", name: str = "") -> float | None:
    return score(parse(reward), answer, TaskRow("A question?", reference, name)).value


@pytest.mark.parametrize(
    ("reward", "answer", "reference", "value"),
    [
        # exact
        ("kind: exact", " Paris \n", "Paris", 1),
        ("kind: exact", "paris", "Paris", 0),
        ("{kind: exact, ignore_case: true}", "paris", "Paris", 1),
        ("{kind: exact, ignore_punctuation: true}", "Paris.", "Paris", 1),
        ("{kind: exact, after: 'Answer:'}", "I think so. answer: Rome. Answer: Paris", "Paris", 1),
        ("{kind: exact, after: 'Answer:'}", "Paris", "Paris", 0),
        ("{kind: exact, expected: 'yes'}", "yes", "", 1),
        ("kind: exact", "e\u0301t\u00e9", "\u00e9te\u0301", 1),
        # number
        ("kind: number", "It is 42.", "42", 1),
        ("kind: number", "42 or 43", "42", 0),
        ("{kind: number, which: first}", "42 or 43", "42", 1),
        ("{kind: number, which: only}", "42 or 43", "42", 0),
        ("kind: number", "1,234.50 EUR", "1234.5", 1),
        ("kind: number", "3,5", "3.5", 1),
        ("kind: number", "0,125", "1/8", 1),
        ("kind: number", "-7", "7", 0),
        ("kind: number", "\u22127", "-7", 1),
        ("kind: number", "0.1 + 0.2 = 0.3", "0.3", 1),
        ("kind: number", "5e-3", "0.005", 1),
        ("kind: number", r"So \boxed{\frac{3}{4}}. Check: 12", "0.75", 1),
        ("kind: number", "x=3, so #### 18", "He sells 9 * 2 = 18.\n#### 18", 1),
        ("kind: number", "nothing", "42", 0),
        ("kind: number", "1/0", "1", 0),
        ("kind: number", "v2.1.3", "3", 0),
        ("{kind: number, tolerance: 0.5}", "41.6", "42", 1),
        ("{kind: number, tolerance: 0.5}", "41.4", "42", 0),
        ("{kind: number, tolerance_percent: 10}", "-109", "-100", 1),
        ("{kind: number, expected: 7}", "seven is 7", "", 1),
        ("{kind: number, after: '####'}", "3 #### 4", "3", 0),
        # choice
        ("kind: choice", "B", "B", 1),
        ("kind: choice", "(b)", "B", 1),
        ("kind: choice", "The answer is B.", "B", 1),
        ("kind: choice", "A: no. The answer is B, not C.", "B", 0),
        ("kind: choice", "A dog is an animal.\nB", "B", 1),
        ("kind: choice", "I do not know", "B", 0),
        ("{kind: choice, options: [positive, negative]}", "Clearly positive.", "positive", 1),
        ("{kind: choice, options: [positive, negative]}", "positive or negative", "positive", 0),
        ("{kind: choice, options: [New York, New York City]}", "new york city", "New York City", 1),
        ("{kind: choice, options: [New York, New York City]}", "It is New York City!", "New York City", 1),
        # contains
        ("kind: contains", "The capital is PARIS, of course", "Paris", 1),
        ("{kind: contains, all_of: [a, b]}", "only a", "", 0),
        ("{kind: contains, all_of: [a, z], partial: true}", "only a", "", 0.5),
        ("{kind: contains, any_of: [cat, dog]}", "a dog", "", 1),
        ("{kind: contains, none_of: [sorry]}", "Sorry, no", "", 0),
        ("{kind: contains, none_of: [sorry]}", "Yes", "", 1),
        ("{kind: contains, all_of: [cat], whole_words: true}", "concatenate", "", 0),
        ("{kind: contains, all_of: [Cat], ignore_case: false}", "cat", "", 0),
        # regex
        (r"{kind: regex, pattern: '\d{4}'}", "in 1999", "", 1),
        (r"{kind: regex, pattern: '\d{4}', where: whole}", "in 1999", "", 0),
        (r"{kind: regex, pattern: 'Answer: (\w+)', compare: true}", "Answer: Rome", "Rome", 1),
        (r"{kind: regex, pattern: 'Answer: (\w+)', compare: true}", "Answer: Bonn", "Rome", 0),
        # JSON
        ("kind: json_schema", '{"a": 1}', "", 1),
        ("kind: json_schema", '{"a": 1} ok', "", 0),
        ("kind: json_schema", '{"a": NaN}', "", 0),
        ("kind: json_schema", '{"a": 1, "a": 2}', "", 0),
        ("kind: json_schema", '```json\n{"a": 1}\n```', "", 0),
        ("{kind: json_schema, fence: true}", '```json\n{"a": 1}\n```', "", 1),
        ("{kind: json_schema, fields: [a, b]}", '{"a": 1}', "", 0.5),
        ("{kind: json_schema, fields: [a, b], partial: false}", '{"a": 1}', "", 0),
        ("{kind: json_schema, fields: [a]}", "[1]", "", 0),
        ("{kind: json_schema, compare: true}", '{"b": "x  y", "a": 1.0}', '{"a": 1, "b": "x y"}', 1),
        ("{kind: json_schema, compare: true}", '{"a": 1, "b": "z"}', '{"a": 1, "b": "y"}', 0.5),
        ("{kind: json_schema, compare: true}", '{"a": true}', '{"a": 1}', 0),
        ("{kind: json_schema, compare: true}", '{"a": 1, "b": 2}', '{"a": 1}', 0.5),
        ("{kind: json_schema, schema: {required: [a], properties: {a: {type: integer}}}}", '{"a": 2}', "", 1),
        ("{kind: json_schema, schema: {required: [a], properties: {a: {type: integer}}}}", '{"a": "2"}', "", 0),
        ("{kind: json_schema, schema: {$ref: '#/$defs/x', $defs: {x: {type: array}}}}", "[]", "", 1),
        ("{kind: json_schema, schema: {properties: {price: {multipleOf: 0.5}}}}", '{"price": 2.5}', "", 1),
        ("{kind: json_schema, schema: {properties: {price: {multipleOf: 0.01}}}}", '{"price": 1e999}', "", 0),
        ("{kind: json_schema, schema: {properties: {price: {multipleOf: 2}}}}", '{"price": -1e999}', "", 0),
        ("{kind: json_schema, schema: {multipleOf: 0.01}}", "7" * 400, "", 0),
        ("{kind: json_schema, schema: {$ref: '#/$defs/x', $defs: {x: {type: array}}}}", "{}", "", 0),
        ("{kind: json_schema, schema: {properties: {$ref: {type: string}}}}", '{"$ref": 1}', "", 0),
        ("{kind: json_schema, schema: {patternProperties: {'^x': {type: string}}}}", '{"x1": 1}', "", 0),
        # length
        ("{kind: length, most: 3}", "one two three", "", 1),
        ("{kind: length, most: 4}", "one two three four five six", "", 0.5),
        ("{kind: length, most: 2, soft: false}", "one two three", "", 0),
        ("{kind: length, least: 4}", "one two", "", 0.5),
        ("{kind: length, most: 3}", "", "", 1),
        ("{kind: length, most: 5, unit: characters}", "  12345 ", "", 1),
        ("{kind: length, least: 2, most: 2, unit: sentences}", "Go. Now!", "", 1),
        ("{kind: length, least: 2, most: 2, unit: lines}", "a\n\nb", "", 1),
        # format
        ("{kind: format, form: json}", "[]", "", 1),
        ("{kind: format, form: json}", "3", "", 0),
        ("{kind: format, form: number}", "-1,000.5", "", 1),
        ("{kind: format, form: number}", "about 3", "", 0),
        ("{kind: format, form: one_line}", "a\nb", "", 0),
        ("{kind: format, form: sentence}", "This is one.", "", 1),
        ("{kind: format, form: sentence}", "This is one. This too.", "", 0),
        ("{kind: format, form: sentence}", "no end", "", 0),
        ("{kind: format, form: bullets}", "- a\n* b", "", 1),
        ("{kind: format, form: bullets}", "- a\nb", "", 0),
        ("{kind: format, form: numbered}", "1. a\n2) b", "", 1),
        ("{kind: format, form: table}", "| a | b |\n|---|:-:|\n| 1 | 2 |", "", 1),
        ("{kind: format, form: table}", "| a |", "", 0),
        ("{kind: format, form: code}", "```python\nx = 1\n```", "", 1),
        ("{kind: format, form: plain_text}", "Just text, 3 * 4 = 12.", "", 1),
        ("{kind: format, form: plain_text}", "**bold**", "", 0),
        ("{kind: format, form: boxed}", r"so \boxed{3}", "", 1),
        ("{kind: format, form: sentence}", "", "", 0),
    ],
)
def test_what_an_answer_is_worth(reward, answer, reference, value):
    assert worth(reward, answer, reference) == pytest.approx(value)


def test_weights_add_up_and_each_part_says_why():
    reward = parse(
        "{kind: sum, parts: [{weight: 2, reward: {kind: number}}, {weight: -1, reward: {kind: contains, all_of: [sorry]}}]}"
    )
    found = score(reward, "Sorry, 42", TaskRow("q", "42"))
    assert found.value == pytest.approx(1.0)
    assert [(part.name, part.weight, part.value) for part in found.parts] == [("number", 2, 1), ("contains", -1, 1)]
    assert all(part.why for part in found.parts)
    assert rewards.bounds(reward) == (-1, 2)


def test_a_row_names_its_own_reward():
    reward = "{kind: column, rewards: {short: {kind: length, most: 1}}, otherwise: {kind: exact}}"
    assert worth(reward, "one two", "x", "short") == 0
    assert worth(reward, "it is 7", "7", "number") == 1
    assert worth(reward, "7", "7") == 1
    found = score(parse(reward), "7", TaskRow("q", "7", "beauty"))
    assert found.value is None
    assert "'beauty'" in (found.error or "")
    assert score(parse("kind: column"), "7", TaskRow("q", "7")).value is None


@pytest.mark.parametrize(
    ("reward", "reference"),
    [
        ("kind: exact", ""),
        ("kind: number", "none"),
        ("{kind: choice, options: [a, b]}", "c"),
        ("{kind: json_schema, compare: true}", "{"),
    ],
)
def test_what_the_row_lacks_is_no_fault_of_the_answer(reward, reference):
    found = score(parse(reward), "a", TaskRow("q", reference))
    assert found.value is None
    assert found.error
    assert found.parts[0].value is None


def test_one_failed_part_leaves_no_score():
    reward = parse("{kind: sum, parts: [{reward: {kind: length, most: 9}}, {reward: {kind: exact}}]}")
    found = score(reward, "fine", TaskRow("q"))
    assert found.value is None
    assert [part.value for part in found.parts] == [1.0, None]
