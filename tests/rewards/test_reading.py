"""Rewards in and out of text."""

from __future__ import annotations

import json
import time

import pytest
import yaml
from hypothesis import given, settings

from studio import rewards
from studio.rewards import RewardError, parse
from tests.rewards import made


@given(made.every)
@settings(max_examples=60)
def test_what_is_written_is_read_back(reward):
    assert parse(rewards.to_json(reward)) == reward
    assert parse(rewards.to_yaml(reward)) == reward
    assert parse(rewards.to_mapping(reward)) == reward
    assert rewards.to_json(parse(rewards.to_yaml(reward))) == rewards.to_json(reward)
    assert hash(parse(rewards.to_json(reward))) == hash(reward)


@given(made.every)
@settings(max_examples=60)
def test_every_reward_is_described(reward):
    said = rewards.describe(reward)
    assert said.endswith(".")
    assert said[:1] == said[:1].upper()
    low, high = rewards.bounds(reward)
    assert low <= high
    assert all(caution.endswith(".") for caution in rewards.cautions(reward))


def test_as_people_write_it():
    reward = parse(
        """
        kind: sum
        parts:
          - weight: 0.8
            reward: {kind: number, tolerance: 0.5}
          - weight: -0.2
            reward:
              kind: python
              code: |
                def score(prompt, answer, reference):
                    return len(answer) > 100
        """
    )
    assert reward.parts[0].reward == rewards.Number(tolerance=0.5)
    assert rewards.bounds(reward) == pytest.approx((-0.2, 0.8))
    assert "code: |" in rewards.to_yaml(reward)
    assert rewards.needs(reward) == rewards.Needs(reference=True, reward_name=False, judge=False, sandbox=True)


def test_a_schema_may_be_a_mapping_or_text():
    shape = {"type": "object", "required": ["b", "a"]}
    one, two = (
        parse({"kind": "json_schema", "schema": shape}),
        parse({"kind": "json_schema", "schema": json.dumps(shape, sort_keys=True, separators=(",", ":"))}),
    )
    assert one == two
    assert rewards.to_mapping(one)["schema"] == shape


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("kind: gold", "kind", "no kind 'gold'"),
        ("{}", "kind", "which kind"),
        ("[1, 2]", "kind", "mapping"),
        ("", "kind", "mapping"),
        ("kind: number\ntolerence: 1", "tolerence", "no such field"),
        ("kind: number\ntolerance: -1", "tolerance", "greater"),
        ("kind: number\ntolerance: .nan", "reward", "Write dates"),
        ("kind: number\ntolerance: true", "tolerance", "a number"),
        ("kind: exact\nexpected: 7", "expected", "quotes"),
        ("kind: choice\noptions: [yes, no]", "options.0", "quotes"),
        ("kind: choice\noptions: [a, A]", "reward", "the same"),
        ("kind: choice\noptions: [a]", "reward", "at least two"),
        ("kind: choice\noptions: [a, b]\nexpected: c", "reward", "not among"),
        ("kind: regex", "pattern", "missing"),
        ("kind: regex\npattern: '(a'", "pattern", "cannot be read"),
        ("kind: regex\npattern: 'a'\ncompare: true", "pattern", "no group"),
        ("kind: length", "reward", "smallest length"),
        ("kind: length\nleast: 9\nmost: 3", "reward", "above the largest"),
        ("kind: length\nmost: 2.5", "most", "whole number"),
        ("kind: format\nform: haiku", "form", "input should be"),
        ("kind: rules\nrules: []", "rules", "at least 1"),
        ("kind: python\ncode: x\nseconds: 0", "seconds", "greater"),
        ("kind: sum\nparts: []", "parts", "at least 1"),
        ("kind: sum\nparts: [{weight: 0, reward: {kind: number}}]", "parts.0", "counts for nothing"),
        ("kind: sum\nparts: [{reward: {kind: regex, pattern: 3}}]", "parts.0.reward.pattern", "text"),
        ("kind: column\nrewards: {x: {kind: no}}", "kind", "no kind"),
        ("kind: json_schema\nschema: '{'", "schema", "no JSON"),
        ("kind: json_schema\nschema: {type: nothing}", "schema", "no JSON Schema"),
        (f"kind: json_schema\nschema: {{multipleOf: 1{'0' * 400}}}", "schema", "too large"),
        ("kind: [", "line ", "no YAML"),
        ("kind: exact\nexpected: 2020-01-01", "reward", "quotes"),
        ("1: 2", "reward", "quotes"),
    ],
)
def test_what_is_wrong_names_its_field(text, where, words):
    with pytest.raises(RewardError) as caught:
        parse(text)
    assert caught.value.where.startswith(where)
    assert words in str(caught.value)


def test_nothing_in_a_file_takes_long():
    laughs = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    hostile = (
        "\n".join(laughs),
        "&a {kind: sum, parts: [{reward: *a}]}",
        "kind: sum\nparts: " + "[" * 400 + "]" * 400,
        "{kind: sum, parts: [{reward: " * 30 + "{kind: number}" + "}]}" * 30,
        "x" * 300_000,
        "? " * 500,
        "!!python/object/apply:os.system ['echo no']",
        json.dumps({"kind": "sum", "parts": [{"reward": {"kind": "number"}}] * 5000}),
        "kind: regex\npattern: '" + "(" * 900 + "'",
        "kind: regex\npattern: '" + "(?:a{1,1000}){1,1000}" * 20 + "'",
    )
    for text in hostile:
        began = time.process_time()
        with pytest.raises(RewardError):
            _used(text)
        assert time.process_time() - began < 3, text[:60]


def _used(text):
    """Read it, and if it reads, search with it: the answer may then be missing or bad, but not late."""
    rewards.score(parse(text), "a" * 5000, rewards.TaskRow("p"))
    raise RewardError("It ended in time.")


def test_yaml_is_only_data():
    with pytest.raises(RewardError):
        parse("!!python/name:os.system")
    assert yaml.safe_load(rewards.to_yaml(rewards.Exact(expected="yes")))["expected"] == "yes"
