"""Token statistics: known answers on small files, cuts as training cuts, second looks, samples, estimates, findings."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from pyarrow import parquet

from studio import data, models, tokens
from studio.data import Message, Reading
from studio.errors import DataError
from studio.models.rendering import NoTokenizer
from studio.recipe import facts_of, recommend
from studio.tokens import counting, counts, profiles
from studio.tokens.counting import OutlineDoubtedError
from tests.tokens.conftest import CALL, WEATHER, written

NANO = models.get("nano")
ROWS = [{"prompt": f"Question {n}", "completion": "Yes " * (n + 1) + "done"} for n in range(20)]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(profiles, "_recent", {})


class Watching:
    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def at(self, phase, done, total, unit):
        self.seen.append((phase, done, total, unit))
        if self.stop_at is not None and done >= self.stop_at:
            raise data.Cancelled("Stopped.")


def lengths(inspection, target="last_assistant_message", max_length=None):
    """What rendering says, row by row."""
    rows = [row for batch in profiles.conversations(inspection) for row in batch]
    return [written().rendering(row.messages, target, max_length) for row in rows]


def test_a_profile_says_what_rendering_each_row_says(inspected):
    inspection = inspected(ROWS)
    shown = lengths(inspection, max_length=32)
    sizes = sorted(len(one.tokens) for one in shown)
    found = tokens.profile(inspection, NANO, "last_assistant_message", 32)
    assert (found.measured, found.rows, found.rows_all, found.examples) == ("every row", 20, 20, 20)
    assert (found.max, found.total, found.p50, found.p95) == (sizes[-1], sum(sizes), sizes[9], sizes[18])
    assert found.mean == sum(sizes) / 20
    assert found.trained == sum(one.trained for one in lengths(inspection))
    assert found.share_trained == found.trained / found.total
    assert found.too_long == sum(one.cut > 0 for one in shown) > 0
    assert found.cut_tokens == sum(one.cut for one in shown)
    assert found.trained - found.cut_trained == sum(one.trained for one in shown)
    assert sum(bar.count for bar in found.bars) == 20
    assert found.bars[-1].high == found.max
    assert "every row" in found.note
    assert tokens.TokenProfile.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_rows_whose_answer_is_cut_off_leave_nothing(inspected):
    rows = [*ROWS[:3], {"prompt": "long " * 50, "completion": "Yes"}]
    found = tokens.profile(inspected(rows), NANO, "last_assistant_message", 40)
    assert (found.too_long, found.nothing_left, found.bare_lines, found.bare_row_ids) == (1, 1, (4,), (3,))
    codes = {one.code: one for one in tokens.findings(found)}
    assert set(codes) == {"too_long", "nothing_trained"}
    assert codes["nothing_trained"].message.startswith("1 row leaves nothing to learn")
    assert codes["too_long"].fixes[0].fix == data.Fix("leave_out_rows", "too_long:3")


def test_the_second_look_reads_no_text_and_loads_nothing(inspected, monkeypatch):
    inspection = inspected(ROWS)
    assert tokens.known(inspection, NANO, "last_assistant_message") is None
    first = tokens.profile(inspection, NANO, "last_assistant_message", 32)
    for name in ("_counted", "conversations"):
        monkeypatch.setattr(profiles, name, lambda *_: pytest.fail("counted again"))
    profiles._recent.clear()
    assert tokens.known(inspection, NANO, "last_assistant_message", 32) == first
    monkeypatch.setattr(profiles, "kept", lambda *_: pytest.fail("read again"))
    assert tokens.known(inspection, NANO, "last_assistant_message", 32) == first
    monkeypatch.undo()
    assert tokens.profile(inspection, NANO, "last_assistant_message", 32) == first
    other = tokens.known(inspection, NANO, "last_assistant_message", 20)
    assert other is not None
    assert other.too_long > first.too_long
    assert tokens.known(inspection, NANO, "all_tokens") is None
    assert tokens.known(inspection, NANO, "last_assistant_message", renderer="role_colon") is None


def test_the_second_look_does_not_import_the_cookbook(inspected):
    import subprocess

    inspection = inspected(ROWS)
    tokens.profile(inspection, NANO, "last_assistant_message")
    code = f"""
import sys
from pathlib import Path
from studio import data, models, tokens
found = tokens.known(data.reopen(Path({str(inspection.folder)!r})), models.get("nano"), "last_assistant_message")
print(found.rows, *sorted({{"torch", "tinker_cookbook", "transformers"}} & set(sys.modules)))"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["20"]


def test_other_texts_are_counted_again(inspected, tmp_path):
    source = tmp_path / "original"
    first = tokens.profile(inspected(ROWS), NANO)
    source.write_text(
        json.dumps({"prompt": "One more?", "completion": "Certainly not"}) + "\n" + source.read_text("utf-8"), "utf-8"
    )
    inspection = data.inspect(source, "rows.jsonl", tmp_path / "staged")
    assert tokens.known(inspection, NANO) is None
    assert tokens.profile(inspection, NANO).rows == first.rows + 1


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense PAR1", None])
def test_a_damaged_file_of_counts_is_counted_again(inspected, damage):
    inspection = inspected(ROWS)
    first = tokens.profile(inspection, NANO)
    path = counts.kept_at(inspection, NANO, "all_assistant_messages")
    path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    assert tokens.known(inspection, NANO) is None
    assert tokens.profile(inspection, NANO) == first


def test_leaving_the_long_rows_out_needs_no_new_count(inspected, tmp_path, monkeypatch):
    inspection = inspected(ROWS)
    before = tokens.profile(inspection, NANO, "last_assistant_message", 32)
    fix = tokens.findings(before)[0].fixes[0].fix
    reading = Reading(fixes=(fix,))
    without = data.inspect(tmp_path / "original", "rows.jsonl", inspection.folder, reading=reading)
    assert without.rows_usable == 20 - before.too_long
    monkeypatch.setattr(profiles, "_counted", lambda *_: pytest.fail("counted again"))
    after = tokens.known(without, NANO, "last_assistant_message", 32)
    assert after is not None
    assert (after.rows, after.too_long, after.max <= 32) == (20 - before.too_long, 0, True)
    assert tokens.findings(after) == ()
    again = data.inspect(tmp_path / "original", "rows.jsonl", inspection.folder)
    assert tokens.known(again, NANO, "last_assistant_message", 32) == before


def test_a_data_set_that_was_split_is_the_same_rows(inspected):
    inspection = inspected(ROWS)
    found = tokens.profile(inspection, NANO)
    assert tokens.known(data.split(inspection), NANO) == found


def test_recommendations_use_counted_tokens(inspected):
    dataset = data.split(inspected([*ROWS, {"prompt": "Why?", "completion": "word " * 300}]))
    guessed = facts_of(dataset)
    assert tokens.with_tokens(guessed, dataset, NANO) == guessed
    found = tokens.profile(dataset, NANO, "all_tokens")
    known = tokens.with_tokens(guessed, dataset, NANO)
    assert (known.p95_tokens, known.max_tokens) == (found.p95, found.max)
    # The mean is that of the rows that are trained on.
    counts = profiles.counted(dataset.inspection, NANO, "all_tokens")
    trained = parquet.read_table(dataset.train.path, columns=["row_id"])["row_id"].to_pylist()
    assert known.mean_tokens == pytest.approx(counts.tokens[np.isin(counts.row_ids, trained)].mean())
    # 300 words are 1,500 letters, but only about 300 tokens: the limit need not be as high as the letters suggest.
    assert recommend(guessed, NANO).recipe.max_length == 2048
    assert recommend(known, NANO).recipe.max_length == 512
    assert f"{found.max:,} tokens" in recommend(known, NANO).setting("max_length").reason


def test_progress_is_told_and_a_stop_leaves_nothing_behind(inspected, monkeypatch):
    monkeypatch.setattr("studio.data.conversations._BATCH", 5)
    inspection = inspected(ROWS)
    with pytest.raises(data.Cancelled):
        tokens.profile(inspection, NANO, watch=Watching(stop_at=10))
    assert not list(inspection.folder.glob("tokens-*"))
    watching = Watching()
    tokens.profile(inspection, NANO, watch=watching)
    assert watching.seen == [("counting tokens", done, 20, "rows") for done in (0, 5, 10, 15, 20)]


def test_a_very_large_file_is_counted_in_a_sample_that_says_so(inspected, monkeypatch):
    inspection = inspected([{"prompt": f"Question {n}", "completion": f"Answer {n * n}"} for n in range(2_000)])
    exact = tokens.profile(inspection, NANO, "last_assistant_message", 20)
    characters = inspection.lengths.prompt.total + inspection.lengths.completion.total
    monkeypatch.setattr(profiles, "MOST_CHARACTERS", characters - 1)
    monkeypatch.setattr(profiles, "SAMPLE_CHARACTERS", characters // 4)
    assert tokens.known(inspection, NANO, "last_assistant_message") is None
    found = tokens.profile(inspection, NANO, "last_assistant_message", 20)
    assert found.measured == "sample"
    assert 400 < found.rows < 600
    assert found.rows_all == 2_000
    assert f"{found.rows:,} of 2,000 rows" in found.note
    assert found.total == pytest.approx(exact.total, rel=0.02)
    assert found.too_long == pytest.approx(exact.too_long, rel=0.2)
    assert tokens.known(inspection, NANO, "last_assistant_message", 20) == found
    warning = next(one for one in tokens.findings(found) if one.code == "too_long")
    assert warning.message.startswith("About ")
    # In a sample nobody knows all the rows, so none can be left out by number.
    assert not warning.fixes


def test_without_a_tokenizer_there_is_an_estimate_that_says_so(inspected, monkeypatch):
    inspection = inspected(ROWS)

    def missing(model):
        raise NoTokenizer(model)

    monkeypatch.setattr(counting, "tokenizer_of", missing)
    hosted = models.get("Qwen/Qwen3-8B")
    found = tokens.profile(inspection, hosted, "last_assistant_message", 16)
    assert found.measured == "estimate"
    assert "estimate" in found.note
    letters = sum(len(row["prompt"]) + len(row["completion"]) for row in ROWS)
    assert found.total == pytest.approx(letters / hosted.chars_per_token + 20 * 10, abs=20)
    assert 0 < found.trained < found.total
    assert tokens.findings(found) == ()
    assert tokens.known(inspection, hosted, "last_assistant_message", 16) == found
    # Once the tokenizer is there, or after a while, it is counted.
    monkeypatch.setattr(counting, "tokenizer_of", lambda _: written().tokenizer)
    assert tokens.profile(inspection, hosted, "last_assistant_message", 16).measured == "every row"


def test_an_estimate_is_forgotten_after_a_while(inspected, monkeypatch):
    inspection = inspected(ROWS)
    hosted = models.get("Qwen/Qwen3-8B")
    monkeypatch.setattr(counting, "tokenizer_of", lambda model: (_ for _ in ()).throw(NoTokenizer(model)))
    tokens.profile(inspection, hosted)
    assert tokens.known(inspection, hosted) is not None
    monkeypatch.setattr(counts, "_TRY_AGAIN", -1)
    assert tokens.known(inspection, hosted) is None


def test_tool_chats_count_where_the_format_has_tools_and_are_set_aside_where_not(inspected):
    chat = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        {"role": "assistant", "content": "Sunny."},
    ]
    tools = [{"type": "function", "function": WEATHER}]
    rows = [{"messages": chat, "tools": tools, "parallel_tool_calls": False}]
    rows += [
        {"messages": [{"role": "user", "content": f"Hi {n}"}, {"role": "assistant", "content": "Hello"}]} for n in range(4)
    ]
    inspection = inspected(rows)
    assert inspection.rows_usable == 5
    found = tokens.profile(inspection, NANO)
    assert (found.rows, found.refusals) == (5, ())
    assert "Sunny." in tokens.views(inspection, 0, NANO)[0].rendering.text
    refused = tokens.profile(inspection, NANO, renderer="role_colon")
    assert (refused.rows, refused.examples) == (5, 4)
    (finding,) = tokens.findings(refused)
    assert (finding.code, finding.severity, finding.count, finding.lines) == ("unsupported_tools", "error", 1, (1,))
    assert finding.message == "1 row cannot be used with this model. nano has no way to write tool calls down."
    assert finding.fixes[0].fix == data.Fix("leave_out_rows", "unsupported_tools:0")
    assert tokens.known(inspection, NANO, renderer="role_colon") == refused


def test_pairs_count_both_answers_and_show_both(inspected):
    pairs = [{"prompt": f"Q{n}", "chosen": f"Good answer {n}", "rejected": f"Bad {n}"} for n in range(5)]
    inspection = inspected(pairs)
    found = tokens.profile(inspection, NANO)
    assert (found.rows, found.examples, found.train_on) == (5, 10, "last_assistant_message")
    better, worse = tokens.views(inspection, 2, NANO)
    assert (better.title, worse.title) == ("Better answer", "Worse answer")
    taught = ["".join(token.text for token in view.rendering.tokens if token.trained) for view in (better, worse)]
    assert taught == ["Good answer 2<|im_end|>", "Bad 2<|im_end|>"]
    assert found.trained == sum(view.rendering.trained for row in range(5) for view in tokens.views(inspection, row, NANO))


def test_tasks_for_a_reward_show_the_prompt_as_it_is_sampled_from(inspected):
    inspection = inspected(
        [{"prompt": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(5)], reading=Reading(kind="rl_answer")
    )
    assert inspection.shape is not None
    assert inspection.shape.training == "RL"
    found = tokens.profile(inspection, NANO)
    assert (found.rows, found.examples, found.trained, found.nothing_left) == (5, 5, 0, 0)
    (view,) = tokens.views(inspection, 0, NANO)
    assert view.rendering.text == "<|im_start|>user\nWhat is 0 + 1?<|im_end|>\n<|im_start|>assistant\n"
    assert view.rendering.trained == 0


def test_a_doubted_outline_means_counting_row_by_row(inspected, monkeypatch):
    inspection = inspected(ROWS)
    asked = []

    class Doubting(counting.Counter):
        def __init__(self, *values, outlines=True):
            super().__init__(*values, outlines=outlines)
            asked.append(outlines)

        def count(self, conversations):
            if asked[-1]:
                raise OutlineDoubtedError
            return super().count(conversations)

    exact = tokens.profile(inspection, NANO)
    counts.kept_at(inspection, NANO, "all_assistant_messages").unlink()
    monkeypatch.setattr(profiles, "Counter", Doubting)
    assert tokens.profile(inspection, NANO) == exact
    assert asked == [True, False]


def test_nothing_usable_is_refused(inspected):
    inspection = inspected([{"prompt": "", "completion": ""}])
    assert tokens.known(inspection, NANO) is None
    with pytest.raises(DataError, match="no usable rows"):
        tokens.profile(inspection, NANO)


def test_missing_rows_are_never_passed_off_as_counted():
    tally = counts.Tally()
    for row_id in range(4):
        tally.add(row_id, row_id + 1, 10, (5, 10))
    found = tally.counts()
    kept = found.of_rows(np.array([1, 3]))
    assert kept is not None
    assert kept.row_ids.tolist() == [1, 3]
    assert kept.spans.tolist() == [5, 10, 5, 10]
    assert found.of_rows(np.array([1, 4])) is None


def test_the_conversation_of_a_question_is_what_the_stage_holds(inspected):
    inspection = inspected([{"prompt": "Q", "completion": "A", "system": "S"}, *ROWS[:3]])
    row = profiles.conversations(inspection)
    assert next(row)[0].messages == (Message("system", "S"), Message("user", "Q"), Message("assistant", "A"))
