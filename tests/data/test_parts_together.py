"""What stays together, what stays where it is, in which shares and in which order."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data.splitting.links import tie
from studio.errors import DataError, StoreError
from tests.effort import tries

PARTS = ("train", "validation", "test")
PLAN = data.SplitPlan("even", 40, 30, 30)


def make(folder: Path, rows: Iterable[dict], plan: data.SplitPlan | None = None, **options) -> data.Dataset:
    return data.split(inspected(folder, rows), plan, **options)


def inspected(folder: Path, rows: Iterable[dict]) -> data.Inspection:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "original.dat"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data.inspect(source, "rows.jsonl", folder / "dataset")


def parts_of(dataset: data.Dataset) -> dict[str, list[data.Row]]:
    return {name: data.rows(getattr(dataset, name).path) for name in PARTS}


def places(dataset: data.Dataset) -> dict[str, set[str]]:
    """The parts in which each prompt is."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, rows in parts_of(dataset).items():
        for row in rows:
            found[row.prompt].add(name)
    return found


def place(dataset: data.Dataset) -> dict[str, str]:
    return {prompt: next(iter(found)) for prompt, found in places(dataset).items()}


def pair(prompt: str, **more: object) -> dict:
    return {"prompt": prompt, "completion": f"answer to {prompt}", **more}


def by_value(dataset: data.Dataset, rows: Iterable[dict], column: str) -> dict[object, set[str]]:
    where = places(dataset)
    found: dict[object, set[str]] = defaultdict(set)
    for row in rows:
        if row[column] not in (None, ""):
            found[row[column]] |= where[row["prompt"]]
    return found


# ---- groups ----


def test_rows_of_a_group_are_in_one_part(tmp_path):
    rows = [pair(f"question {n}", user=f"user {n % 40}") for n in range(400)]
    dataset = make(tmp_path, rows, replace(PLAN, group="user"))
    assert all(len(found) == 1 for found in by_value(dataset, rows, "user").values())
    assert min(dataset.train.rows, dataset.validation.rows, dataset.test.rows) >= 40
    assert dataset.details["together"]["groups"] == 40
    assert dataset.details["together"]["components"] == 40


def test_without_the_wish_groups_are_torn(tmp_path):
    rows = [pair(f"question {n}", user=f"user {n % 40}") for n in range(400)]
    assert any(len(found) > 1 for found in by_value(make(tmp_path, rows, PLAN), rows, "user").values())


def test_a_group_reaches_through_the_prompts_that_it_shares(tmp_path):
    """a shares a prompt with b, b another with c: all three are one piece, and so is every row of them."""
    rows = [pair(f"{user} asks {n}", user=user) for user in "abcdefghijklmnopqrstuvwxyz" for n in range(4)]
    rows += [pair("shared one", user="a"), {**pair("shared one", user="b"), "completion": "other"}]
    rows += [pair("shared two", user="b"), {**pair("SHARED  two", user="c"), "completion": "other"}]
    dataset = make(tmp_path, rows, replace(PLAN, group="user"))
    found = by_value(dataset, rows, "user")
    assert found["a"] == found["b"] == found["c"]
    assert len(found["a"]) == 1
    assert dataset.details["together"]["largest"] == 16


def test_rows_without_a_group_go_their_own_way(tmp_path):
    rows = [pair(f"question {n}", user=None if n % 2 else "") for n in range(60)]
    rows += [pair(f"of somebody {n}", user="somebody") for n in range(3)]
    dataset = make(tmp_path, rows, replace(PLAN, group="user"))
    assert dataset.details["together"]["groups"] == 1
    assert min(dataset.train.rows, dataset.validation.rows, dataset.test.rows) >= 10


def test_more_rows_of_known_groups_move_nothing(tmp_path):
    rows = [pair(f"question {n}", user=f"user {n % 30}") for n in range(300)]
    more = [pair(f"later {n}", user=f"user {n % 30}") for n in range(300)] + [
        pair(f"new {n}", user=f"n{n}") for n in range(300)
    ]
    plan = replace(PLAN, group="user")
    before, after = make(tmp_path / "a", rows, plan), make(tmp_path / "b", [*more, *rows], plan)
    assert before.moved_prompts == after.moved_prompts == 0
    was, now = place(before), place(after)
    assert all(now[prompt] == part for prompt, part in was.items())


def test_a_column_that_is_not_there_is_named(tmp_path):
    inspection = inspected(tmp_path, [pair(f"question {n}", user="u", topic="t") for n in range(30)])
    assert data.groupable(inspection)[:2] == ("user", "topic")
    for wish in ("group", "stratify", "order"):
        with pytest.raises(DataError, match="nobody") as caught:
            data.split(inspection, replace(PLAN, **{wish: "nobody"}))
        assert '"user"' in caught.value.next_step


def test_one_group_for_all_is_refused(tmp_path):
    rows = [pair(f"question {n}", user="all of us") for n in range(30)]
    with pytest.raises(DataError, match="only 1 piece") as caught:
        make(tmp_path, rows, replace(PLAN, group="user"))
    assert "another column" in caught.value.next_step


@pytest.mark.parametrize("name", ["'; DROP TABLE kept; --", 'x"y', "a'b", "ünï"])
def test_a_hostile_column_name_is_only_a_name(tmp_path, name):
    rows = [pair(f"question {n}", **{name: f"{n % 9}' OR 1=1 --"}) for n in range(60)]
    dataset = make(tmp_path, rows, replace(PLAN, group=name, stratify=name, order=name))
    assert dataset.rows == 60
    assert all(len(found) == 1 for found in by_value(dataset, rows, name).values())


# ---- near-duplicates ----


def test_near_duplicates_are_in_one_part(tmp_path):
    rows = [
        pair(f"{word}, please tell me about case {n}{end}") for n in range(60) for word, end in (("Hello", "?"), ("hello", "!"))
    ]
    dataset = make(tmp_path, rows, PLAN)
    for n in range(60):
        assert len({place(dataset)[row["prompt"]] for row in rows[2 * n : 2 * n + 2]}) == 1
    assert dataset.details["together"]["near_duplicates"]
    assert dataset.details["together"]["components"] == 60


def test_near_duplicates_may_be_torn_when_asked(tmp_path):
    rows = [
        pair(f"{word}, please tell me about case {n}{end}") for n in range(60) for word, end in (("Hello", "?"), ("hello", "!"))
    ]
    dataset = make(tmp_path, rows, replace(PLAN, near=False))
    assert dataset.details["together"]["components"] == 120
    assert any(place(dataset)[rows[2 * n]["prompt"]] != place(dataset)[rows[2 * n + 1]["prompt"]] for n in range(60))


# ---- conversations ----


def chat(*texts: str) -> dict:
    turns = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * len(texts), texts, strict=False)]
    return {"messages": turns}


def test_a_conversation_and_its_beginning_are_in_one_part(tmp_path):
    rows = []
    for n in range(60):
        rows += [
            chat(f"Topic {n * 7919}?", f"About {n}."),
            chat(f"topic {n * 7919}?", f"About {n}.", f"And {n * 31}?", "More."),
        ]
    dataset = make(tmp_path, rows, replace(PLAN, near=False))
    first_turn = defaultdict(set)
    for name, found in parts_of(dataset).items():
        for row in found:
            first_turn[row.messages[0].content.lower()].add(name)
    assert all(len(found) == 1 for found in first_turn.values())
    assert dataset.details["together"]["conversations_begun"] == 60


def test_conversations_that_only_begin_alike_may_part(tmp_path):
    """Nobody is asked the greeting alone, so nothing leaks."""
    rows = [chat("Hello", "Hi, how can I help?", f"Question {n * 7919}?", f"Answer {n}.") for n in range(60)]
    dataset = make(tmp_path, rows, replace(PLAN, near=False))
    assert dataset.details["together"]["components"] == 60
    assert dataset.test.rows > 5


# ---- chains ----


def components(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Prompt → smallest prompt that can be reached, the slow and simple way."""
    label: dict[int, int] = {}
    hubs: dict[int, set[int]] = defaultdict(set)
    for prompt, value in edges:
        label[prompt] = prompt
        hubs[value].add(prompt)
    changed = True
    while changed:
        changed = False
        for members in hubs.values():
            lowest = min(label[prompt] for prompt in members)
            for prompt in members:
                if label[prompt] != lowest:
                    label[prompt], changed = lowest, True
    return label


def tied(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as folder:
        listed = list(edges)
        turns = 'STRUCT("role" VARCHAR, content VARCHAR, more VARCHAR)[]'
        connection.execute(f"CREATE TABLE stage (row_id BIGINT, prompt_key UBIGINT, reason VARCHAR, messages {turns})")
        connection.execute("CREATE TABLE near (row_id BIGINT, cluster UBIGINT)")
        numbers, prompts, values = list(range(len(listed))), [prompt for prompt, _ in listed], [value for _, value in listed]
        connection.execute("INSERT INTO stage SELECT unnest($1), unnest($2), NULL, NULL", [numbers, prompts])
        connection.execute("INSERT INTO near SELECT unnest($1), unnest($2)", [numbers, values])
        near = Path(folder) / "near.parquet"
        connection.execute(f"COPY near TO '{near}'")
        tie("stage", "SL", near, "", connection)
        return dict(connection.execute("SELECT prompt_key, label FROM labels").fetchall())


@pytest.mark.slow
@tries(20)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 25)), min_size=1, max_size=60))
def test_ties_reach_as_far_as_they_go(edges):
    expected = components(edges)
    shared = {value for value, many in Counter(value for _, value in set(edges)).items() if many > 1}
    linked = {prompt for prompt, value in edges if value in shared}
    assert tied(edges) == {prompt: label for prompt, label in expected.items() if prompt in linked}


def test_a_long_chain_is_one_piece():
    length = 5_000
    # Prompts in no order, each tied to the next: the worst case for passing labels on.
    prompts = [(n * 2_654_435_761) % 2**32 for n in range(length)]
    edges = [(prompts[n], n // 1) for n in range(length)] + [(prompts[n], n - 1) for n in range(1, length)]
    assert set(tied(edges).values()) == {min(prompts)}


# ---- stability ----

words = st.text("abcdefgh", min_size=1, max_size=3)
marks = st.sampled_from(["", "!", "?", " .", "..."])
users = st.sampled_from(["", *"uvwxyz"])
row = st.builds(lambda word, mark, user: pair(f"tell me about {spelled(word)}{mark}", user=user), words, marks, users)


def spelled(word: str) -> str:
    """Letters that are far from those of any other word, so that nothing but what a test ties is a near-duplicate."""
    return "".join(chr(ord("a") + byte % 26) for byte in hashlib.sha256(word.encode()).digest())


def linked(rows: list[dict], group: bool) -> Callable[[dict], int]:
    """The component of a row, from texts alone."""
    numbered = {id(row): n for n, row in enumerate(rows)}
    values: dict[tuple[str, str], int] = {}
    edges = []
    for n, one in enumerate(rows):
        ties = [("prompt", "".join(letter for letter in one["prompt"].lower() if letter.isalnum()))]
        ties += [("user", one["user"])] if group and one["user"] else []
        edges += [(n, values.setdefault(value, len(values))) for value in ties]
    label = components(edges)
    return lambda one: label[numbered[id(one)]]


@pytest.mark.slow
@tries(10)
@given(rows=st.lists(row, min_size=30, max_size=90), group=st.booleans(), seed=st.randoms(use_true_random=False))
def test_nothing_leaks_and_the_order_is_nothing(rows, group, seed):
    plan = replace(PLAN, group="user" if group else "")
    component = linked(rows, group)
    with tempfile.TemporaryDirectory() as folder:
        try:
            dataset = make(Path(folder) / "a", rows, plan)
        except DataError:
            # Fewer than three pieces.
            assert len({component(one) for one in rows}) < 3
            return
        where = places(dataset)
        found = defaultdict(set)
        for one in rows:
            found[component(one)] |= where[one["prompt"]]
        assert all(len(parts) == 1 for parts in found.values())
        shuffled = list(rows)
        seed.shuffle(shuffled)
        assert places(make(Path(folder) / "b", shuffled, plan)) == where


@pytest.mark.slow
@tries(10)
@given(old=st.lists(row, min_size=40, max_size=90), new=st.lists(row, max_size=60), group=st.booleans())
def test_rows_that_share_nothing_move_nothing(old, new, group):
    """Exactly what ``assign`` promises: only a component that a new row joins may move, and then only as a whole."""
    plan = replace(PLAN, group="user" if group else "")
    both = [*new, *old]
    component = linked(both, group)
    touched = {component(one) for one in new}
    with tempfile.TemporaryDirectory() as folder:
        try:
            before, after = make(Path(folder) / "a", old, plan), make(Path(folder) / "b", both, plan)
        except DataError:
            return
        corrected = [dataset.moved_prompts or dataset.details["kept_in_train"] for dataset in (before, after)]
        if any(corrected):
            return
        was, now = place(before), place(after)
        assert all(now[one["prompt"]] == was[one["prompt"]] for one in old if component(one) not in touched)
        if group:
            # A new row of a known group moves nothing either, as long as it ties no two groups together.
            alone = defaultdict(set)
            for one in both:
                alone[component(one)].add(one["user"])
            steady = [one for one in old if one["user"] and alone[component(one)] == {one["user"]}]
            assert all(now[one["prompt"]] == was[one["prompt"]] for one in steady)


# ---- strata ----


def shares(dataset: data.Dataset, rows: list[dict], column: str) -> dict[object, Counter]:
    where = place(dataset)
    found: dict[object, Counter] = defaultdict(Counter)
    for one in rows:
        found[one[column]][where[one["prompt"]]] += 1
    return found


def test_every_stratum_gets_its_share_of_each_part(tmp_path):
    labels = ["often"] * 300 + ["seldom"] * 40 + ["rare"] * 12
    rows = [pair(f"question {n}", label=label) for n, label in enumerate(labels)]
    plan = data.SplitPlan("80/15/5", 80, 15, 5, stratify="label")
    dataset = make(tmp_path, rows, plan)
    for label, found in shares(dataset, rows, "label").items():
        total = sum(found.values())
        for part, share in (("validation", 0.15), ("test", 0.05)):
            assert max(1, int(total * share * 0.8)) <= found[part] <= max(1, -(-total * share * 1.2 // 1)), (label, part)
    assert dataset.details["strata"]["rare"]["test"] == 1
    assert sum(sum(found.values()) for found in dataset.details["strata"].values()) == len(rows)


def test_strata_too_small_for_three_parts_are_taken_together(tmp_path):
    rows = [pair(f"question {n}", label=f"only {n}") for n in range(60)]
    dataset = make(tmp_path, rows, replace(PLAN, stratify="label"))
    assert set(dataset.details["strata"]) == {""}
    assert dataset.test.rows == pytest.approx(18, abs=4)


def test_a_stratified_split_is_stable_where_nothing_is_corrected(tmp_path):
    plan = replace(PLAN, stratify="label")
    rows = [pair(f"question {n}", label="ab"[n % 2]) for n in range(600)]
    more = [pair(f"another {n}", label="ab"[n % 2]) for n in range(300)]
    before, after = make(tmp_path / "a", rows, plan), make(tmp_path / "b", more + rows, plan)
    assert before.moved_prompts == after.moved_prompts == 0
    now = place(after)
    assert all(now[prompt] == part for prompt, part in place(before).items())


def test_groups_and_strata_go_together(tmp_path):
    rows = [pair(f"question {n}", user=f"user {n % 90}", label="ab"[n % 90 < 20]) for n in range(360)]
    dataset = make(tmp_path, rows, replace(PLAN, group="user", stratify="label"))
    assert all(len(found) == 1 for found in by_value(dataset, rows, "user").values())
    assert all(min(found[part] for part in PARTS) > 0 for found in shares(dataset, rows, "label").values())


# ---- order ----


def test_a_curriculum_by_length(tmp_path):
    rows = [pair("word " * ((n * 37) % 50 + 1) + str(n)) for n in range(80)]
    dataset = make(tmp_path, rows, replace(PLAN, order="length"))
    sizes = [len(row.prompt) + len(row.completion) for row in data.rows(dataset.train.path)]
    assert sizes == sorted(sizes)
    assert [row.line for row in data.rows(dataset.test.path)] == sorted(row.line for row in data.rows(dataset.test.path))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["10", "9", "-1", "2.5"], ["-1", "2.5", "9", "10"]),
        (["10", "9", "low", "2.5"], ["10", "2.5", "9", "low"]),
    ],
)
def test_a_curriculum_by_a_column(tmp_path, values, expected):
    rows = [pair(f"question {n}", level=values[n % 4]) for n in range(80)] + [pair(f"without {n}") for n in range(10)]
    dataset = make(tmp_path, rows, replace(PLAN, order="level"))
    level = {row["prompt"]: row.get("level") for row in rows}
    found = [level[row.prompt] for row in data.rows(dataset.train.path)]
    ordered = list(dict.fromkeys(found))
    assert ordered == [*expected, None]
    assert sum(found[n] != found[n - 1] for n in range(1, len(found))) == 4


# ---- verified, watched ----


def test_texts_that_the_database_hashes_alike_are_neither_copies_nor_a_leak(tmp_path):
    """Its hash is the same for "say the number 2 ... 2." and "say the number 5 ... 5."."""
    prompts = (f"say the number {n} as a word and explain {n}." for n in range(900))
    inspection = inspected(tmp_path, [{"prompt": prompt, "completion": "It is a number."} for prompt in prompts])
    assert inspection.duplicate_rows == 0
    assert data.split(inspection, PLAN).rows == 900


@pytest.mark.parametrize("all_read", [200_000, 0], ids=["every row is read", "all stretches are read"])
def test_a_leak_on_disk_is_noticed(tmp_path, monkeypatch, all_read):
    """The texts that were written are read again: a prompt in two parts is never kept, whatever the keys say."""
    from studio.data.splitting import leaks, parts

    monkeypatch.setattr(leaks, "_ALL_READ", all_read)
    monkeypatch.setattr(leaks, "_ONE_OF", 1)
    real = parts.verified

    def leaking(folder, *arguments, **options):
        changed = folder / "changed.parquet"
        with duckdb.connect() as connection:
            learned = f"(SELECT min(prompt) FROM read_parquet('{folder / 'train.parquet'}'))"
            rows = f"SELECT * REPLACE ({learned} AS prompt) FROM read_parquet('{folder / 'test.parquet'}')"
            connection.execute(f"COPY ({rows}) TO '{changed}' (FORMAT parquet)")
        changed.replace(folder / "test.parquet")
        return real(folder, *arguments, **options)

    inspection = inspected(tmp_path, [pair(f"question {n}") for n in range(60)])
    monkeypatch.setattr(parts, "verified", leaking)
    with pytest.raises(StoreError, match="not what was computed"):
        data.split(inspection, PLAN)


class Impatient:
    def __init__(self, phase: str) -> None:
        self.phase, self.seen = phase, []

    def at(self, phase: str, done: int, total: int, unit: str) -> None:
        self.seen.append(phase)
        if phase == self.phase:
            raise data.Cancelled("You stopped it.")


def test_a_split_can_be_watched_and_stopped(tmp_path):
    inspection = inspected(tmp_path, [pair(f"question {n}") for n in range(60)])
    watch = Impatient("verifying the parts")
    with pytest.raises(data.Cancelled):
        data.split(inspection, PLAN, watch=watch)
    assert watch.seen[0] == "placing the rows"
    assert not (inspection.folder / "dataset.json").exists()
    assert data.split(inspection, PLAN).rows == 60
