"""Whatever a model writes: a score in its range or a reason, quickly, and the same again."""

from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import rewards
from studio.rewards import answers as reading
from studio.rewards import parse, score
from tests.rewards import made


@given(made.pure, made.answers, made.rows)
@settings(max_examples=150)
def test_a_score_is_in_its_range_or_says_why_not(reward, answer, row):
    found = score(reward, answer, row)
    low, high = rewards.bounds(reward)
    if found.value is None:
        assert found.error
    else:
        assert found.error is None
        assert low - 1e-9 <= found.value <= high + 1e-9
        assert found.value == pytest.approx(math.fsum(part.weight * part.value for part in found.parts))
    assert all(part.value is None or 0 <= part.value <= 1 for part in found.parts)
    assert all(part.why for part in found.parts)
    assert score(reward, answer, row) == found


@given(st.text(max_size=300))
@settings(max_examples=150)
def test_every_text_is_read_without_a_fall(text):
    reading.numbers(text)
    reading.chosen(text, ("A", "B", "yes", "no"))
    reading.parsed_json(text)
    reading.boxed(text)
    for unit in ("words", "characters", "lines", "sentences"):
        assert reading.length(text, unit) >= 0
    assert reading.normal(reading.normal(text)) == reading.normal(text)


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_read_however_it_is_written(number):
    for text in (f"{number}", f"It is {number}.", f"{number:,}", f"**{number}**", f"x = {number}"):
        assert reading.numbers(text) == (number,), text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
@settings(max_examples=50)
def test_the_reference_itself_is_always_right(value):
    text = json.dumps(value, ensure_ascii=False)
    found = score(rewards.JsonSchema(compare=True), text, rewards.TaskRow("q", text))
    assert found.value == 1


DEEP = "[" * 20_000 + "]" * 20_000
HOSTILE = (
    "a" * 60_000,
    "1," * 60_000,
    "1" * 100_000,
    "9e99" * 20_000,
    "-" * 100_000,
    DEEP,
    '{"a":' * 5_000 + "1" + "}" * 5_000,
    "```json\n" * 10_000,
    "\\boxed{" * 10_000,
    "{" * 50_000,
    "\u0301" * 100_000,
    "! " * 50_000,
    "| a " * 30_000,
    "a\n" * 60_000,
    "Answer: " * 20_000,
    "\ud800 lonely",
    "\x00" * 1000,
    "1/" * 50_000,
    "1e" * 50_000,
    ". " * 60_000 + "B",
    "(A" * 50_000,
)
KINDS = (
    "kind: exact",
    "{kind: exact, ignore_punctuation: true, ignore_case: true, after: 'Answer:'}",
    "{kind: number, tolerance_percent: 1}",
    "{kind: choice, options: [A, B, some words]}",
    "kind: choice",
    "{kind: contains, all_of: ['a b', x], whole_words: true}",
    "{kind: json_schema, compare: false, fence: true, schema: {type: object, additionalProperties: {type: object}}}",
    "{kind: length, most: 5, unit: sentences}",
    "{kind: length, most: 5}",
    *(
        f"{{kind: format, form: {form}}}"
        for form in ("json", "number", "sentence", "bullets", "table", "code", "plain_text", "boxed")
    ),
)


@pytest.mark.parametrize("reward", KINDS)
def test_no_answer_takes_long(reward):
    reward = parse(reward)
    for answer in HOSTILE:
        began = time.process_time()
        score(reward, answer, rewards.TaskRow("q", "5" if reward.kind == "number" else "B"))
        assert time.process_time() - began < 2, (reward, answer[:20])


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", "(.*)*x", "(?:a{0,500}){0,500}$", r"(\w+\s?)+!"]
)
def test_a_pattern_that_explodes_ends_in_time(pattern):
    began = time.process_time()
    found = score(rewards.Regex(pattern=pattern), "a" * 5_000 + "c", rewards.TaskRow("q"))
    assert time.process_time() - began < 2
    assert (found.value is None) == bool(found.error)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$id": "https://example.com/", "$ref": "#/$defs/a", "$defs": {"a": {}}},
        {"$dynamicRef": "#x"},
        {
            "$ref": "#/$defs/d0",
            "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "string"}},
        },
        {"allOf": [{}] * 6_000},
    ],
    ids=["itself", "circle", "network", "file", "other home", "dynamic", "doubling", "too many"],
)
def test_a_schema_that_could_take_for_ever_is_refused(schema):
    began = time.process_time()
    with pytest.raises(rewards.RewardError):
        parse({"kind": "json_schema", "schema": schema})
    assert time.process_time() - began < 2


@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_a_pattern_inside_a_schema_ends_in_time(keyword):
    inner = {"pattern": "(a+)+$"} if keyword == "pattern" else {"patternProperties": {"(a|aa)+$": {"type": "string"}}}
    reward = parse({"kind": "json_schema", "schema": {"additionalProperties": inner, **inner}})
    began = time.process_time()
    score(reward, json.dumps({"a" * 3_000 + "b": "a" * 3_000 + "b"}), rewards.TaskRow("q"))
    assert time.process_time() - began < 3


def test_a_schema_that_asks_too_much_of_an_answer_ends_in_time():
    many = [{"required": [f"x{n}"]} for n in range(800)]
    reward = parse({"kind": "json_schema", "schema": {"items": {"anyOf": many}, "uniqueItems": True}})
    began = time.process_time()
    found = score(reward, json.dumps([{}, []] * 10_000), rewards.TaskRow("q"))
    assert time.process_time() - began < 3
    assert found.value in (None, 0)
