"""Rewards of every kind and rows of every sort, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from studio import rewards
from studio.rewards import TaskRow

words = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)
short = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20)
listed = st.lists(short, max_size=4).map(tuple)
expected = st.none() | short
after = st.just("") | st.sampled_from(["Answer:", "####", "é"])
flag = st.booleans()
small = st.floats(0, 1000, allow_nan=False)
pattern = st.sampled_from(["a+", r"(\d+)", "^x", "[a-z]*$", "(a|b)(c)?", "ä"])


def _distinct(options: tuple[str, ...]) -> tuple[str, ...]:
    seen: dict[str, str] = {}
    for option in options:
        if option.strip():
            seen.setdefault(option.strip().casefold(), option)
    kept = tuple(seen.values())
    return kept if len(kept) > 1 else ()


leaves = st.one_of(
    st.builds(rewards.Exact, expected=expected, after=after, ignore_case=flag, ignore_punctuation=flag),
    st.builds(
        rewards.Number,
        expected=st.none() | st.floats(-1e9, 1e9, allow_nan=False),
        after=after,
        which=st.sampled_from(["last", "first", "only"]),
        tolerance=small,
        tolerance_percent=st.floats(0, 100, allow_nan=False),
    ),
    st.builds(rewards.Choice, options=listed.map(_distinct), after=after),
    st.builds(rewards.Contains, all_of=listed, any_of=listed, none_of=listed, ignore_case=flag, whole_words=flag, partial=flag),
    st.builds(rewards.Regex, pattern=pattern, where=st.sampled_from(["anywhere", "start", "whole"]), ignore_case=flag),
    st.builds(
        rewards.JsonSchema,
        fields=listed,
        schema_text=st.sampled_from(["", '{"type":"object"}', '{"properties":{"a":{"pattern":"^x"}},"type":"object"}']),
        compare=flag,
        partial=flag,
        fence=flag,
    ),
    st.builds(
        rewards.Length,
        least=st.integers(0, 5),
        most=st.integers(6, 500),
        unit=st.sampled_from(["words", "characters", "lines", "sentences"]),
        soft=flag,
    ),
    st.builds(
        rewards.Format,
        form=st.sampled_from(
            ["json", "number", "one_line", "sentence", "bullets", "numbered", "table", "code", "plain_text", "boxed"]
        ),
    ),
)
judged = st.builds(rewards.Rules, rules=st.lists(short, min_size=1, max_size=3).map(tuple), judge=st.just("") | short)
coded = st.builds(rewards.Python, code=short, seconds=st.floats(0.1, 30), memory_mb=st.integers(64, 2048))
weight = st.floats(-10, 10, allow_nan=False).filter(bool)


def _above(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        st.lists(st.builds(rewards.Weighted, weight=weight, reward=inner), min_size=1, max_size=3).map(
            lambda parts: rewards.Sum(parts=tuple(parts))
        ),
        st.builds(
            rewards.Column,
            rewards=st.dictionaries(short, inner, max_size=2).map(
                lambda named: tuple(rewards.Named(name=name, reward=reward) for name, reward in named.items())
            ),
            otherwise=st.none() | inner,
        ),
    )


pure = leaves | _above(leaves) | _above(leaves | _above(leaves))
anything = leaves | judged | coded
every = anything | _above(anything) | _above(anything | _above(anything))

rows = st.builds(
    TaskRow,
    prompt=words,
    reference=words | st.integers().map(str) | st.just('{"a": 1}') | st.sampled_from(["A", "yes", ""]),
    reward_name=st.sampled_from(["", "number", "exact", "json", "nothing"]) | short,
)
answers = (
    words
    | st.integers().map(str)
    | st.sampled_from(['{"a": 1}', "[[", "- x\n- y", "Answer: 5", "\\boxed{5}", "The answer is B."])
)
