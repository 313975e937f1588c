"""What a run costs: exact where it can be, a range where it cannot, and never a guessed price."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import models, rewards
from studio.errors import SettingError
from studio.models import lineup, prices
from studio.recipe import DataFacts, recommend
from studio.recipe.cost import TokenCounts, estimate, spent

QWEN = models.get("Qwen/Qwen3-8B")
COUNTED = DataFacts(320, 40, 40, mean_tokens=101.0, p95_tokens=150, max_tokens=200, trained_tokens=30.0)
FOR = {"sl": "SL", "rl": "RL", "dpo": "DPO", "rlhf": "DPO", "distill": "SL"}


def test_supervised_tokens_worked_out_by_hand():
    recipe = replace(recommend(COUNTED, QWEN).recipe, batch_size=32, epochs=3, eval_every=10, max_length=4_096)
    cost = estimate(recipe, COUNTED, QWEN)
    assert cost is not None
    # 320 rows in 10 steps, three times, 100 predicted tokens each; 4 checks of 40 rows.
    assert cost.low == cost.high == TokenCounts(prefill=4 * 40 * 100, train=3 * 320 * 100)
    assert cost.exact
    assert cost.low_usd == cost.high_usd == pytest.approx((16_000 * 0.195 + 96_000 * 0.44) / 1e6)
    assert cost.low_usd == spent(cost.low, QWEN)
    assert cost.sentence.startswith("About 0.05 USD for 112 thousand tokens, counted; prices from")
    assert "7 October 2026" in cost.sentence


def test_what_is_cut_off_is_not_paid_for():
    recipe = replace(recommend(COUNTED, QWEN).recipe, batch_size=32, epochs=1, eval_every=0, max_length=51)
    cost = estimate(recipe, replace(COUNTED, validation_rows=0), QWEN)
    assert cost is not None
    assert cost.low.train == 320 * 50


def test_pairs_are_read_twice_and_by_the_reference():
    facts = replace(COUNTED, training="DPO")
    recipe = replace(recommend(facts, QWEN, "dpo").recipe, batch_size=32, epochs=1, eval_every=0, max_length=4_096)
    cost = estimate(recipe, replace(facts, validation_rows=0), QWEN)
    assert cost is not None
    assert cost.low == cost.high == TokenCounts(prefill=320 * 2 * 101, train=2 * 320 * 2 * 100)
    warm = estimate(replace(recipe, warm_start_epochs=1), replace(facts, validation_rows=0), QWEN)
    assert warm is not None
    assert warm.low.train - cost.low.train == 320 * 100
    assert cost.exact
    assert not warm.exact


def test_practice_is_a_range():
    facts = replace(COUNTED, training="RL", trained_tokens=None)
    recipe = replace(recommend(facts, QWEN, "rl").recipe, batch_size=32, group_size=8, epochs=1, eval_every=0, max_tokens=64)
    cost = estimate(recipe, replace(facts, validation_rows=0), QWEN)
    assert cost is not None
    assert not cost.exact
    assert cost.high == TokenCounts(prefill=320 * 8 * 101, sample=320 * 8 * 64, train=320 * 8 * 165)
    assert cost.low.sample == 320 * 8 * 8
    assert cost.low_usd is not None
    assert cost.high_usd is not None
    assert cost.low_usd < cost.high_usd
    assert cost.sentence.startswith("Between")
    held = estimate(replace(recipe, kl_coef=0.1), replace(facts, validation_rows=0), QWEN)
    assert held is not None
    assert held.high.prefill - cost.high.prefill == 320 * 8 * 165


def test_a_warm_start_is_checked_too():
    facts = replace(COUNTED, training="DPO")
    recipe = replace(recommend(facts, QWEN, "dpo").recipe, batch_size=32, epochs=1, eval_every=0, max_length=4_096)
    cost, warm = estimate(recipe, facts, QWEN), estimate(replace(recipe, warm_start_epochs=2), facts, QWEN)
    assert cost is not None
    assert warm is not None
    # Before its first step and of its end: the better answers of 40 held-out pairs.
    assert warm.low.prefill - cost.low.prefill == 2 * 40 * 100


def test_held_out_answers_are_read_again_by_what_their_distance_is_measured_to():
    facts = replace(COUNTED, training="RL", trained_tokens=None)
    recipe = replace(
        recommend(facts, QWEN, "rl").recipe, batch_size=32, group_size=8, epochs=1, eval_every=0, max_tokens=64, kl_coef=0.0
    )
    plain, held = estimate(recipe, replace(facts, validation_rows=0), QWEN), estimate(recipe, facts, QWEN)
    assert plain is not None
    assert held is not None
    # Two checks of 40 questions, two answers each; the start reads every answer with its question.
    assert held.high.sample - plain.high.sample == 2 * 40 * 2 * 64
    assert held.high.prefill - plain.high.prefill == 2 * 40 * 2 * (101 + 101 + 64)


def test_a_teacher_answers_the_held_out_questions_too():
    recipe = recommend(COUNTED, QWEN, "distill").recipe
    recipe = replace(recipe, teacher_prompt="x" * 400, eval_every=0, max_tokens=60, teacher="Qwen/Qwen3.5-9B")
    cost, alone = estimate(recipe, COUNTED, QWEN), estimate(recipe, replace(COUNTED, validation_rows=0), QWEN)
    assert cost is not None
    assert alone is not None
    # Questions have 71 tokens and answers up to 60; the student answers 40 questions twice and is scored on the teacher's.
    assert cost.teacher_high.sample - alone.teacher_high.sample == 40 * 60
    assert cost.teacher_high.prefill - alone.teacher_high.prefill == 40 * (100 + 71)
    assert cost.high.sample - alone.high.sample == 2 * 40 * 60
    assert cost.high.prefill - alone.high.prefill == 2 * 40 * (71 + 71 + 60 - 1)
    pulled = replace(recommend(COUNTED, QWEN, "distill", distillation="on_policy").recipe, teacher="Qwen/Qwen3.5-9B")
    some, none = estimate(pulled, COUNTED, QWEN), estimate(pulled, replace(COUNTED, validation_rows=0), QWEN)
    assert some is not None
    assert none is not None
    assert some.teacher_high.prefill > none.teacher_high.prefill


def test_who_judges_by_rules_reads_each_answer_twice_for_each_rule_at_its_own_price():
    facts = replace(COUNTED, training="RL", trained_tokens=None, validation_rows=0)
    plain = replace(recommend(facts, QWEN, "rl").recipe, batch_size=32, group_size=8, epochs=1, eval_every=0, max_tokens=64)
    rules = rewards.Rules(rules=("Be kind.", "Be brief."))
    own = estimate(replace(plain, reward=rewards.to_json(rules)), facts, QWEN)
    other = replace(plain, reward=rewards.to_json(rules.model_copy(update={"judge": "openai/gpt-oss-20b"})))
    theirs, unpriced = estimate(other, facts, QWEN), estimate(replace(other, reward=other.reward.replace(
        "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3.1")), facts, QWEN)  # fmt: skip
    base = estimate(plain, facts, QWEN)
    assert base is not None
    assert own is not None
    assert theirs is not None
    assert unpriced is not None
    read = own.high.prefill - base.high.prefill
    assert read > 320 * 8 * 2 * 2 * (101 + 64)
    assert theirs.high == base.high
    assert theirs.judges_high.prefill == read
    assert theirs.high_usd is not None
    assert base.high_usd is not None
    assert theirs.high_usd - base.high_usd == pytest.approx(read * 0.18 / 1e6)
    assert unpriced.high_usd is None
    assert "DeepSeek-V3.1 is not known" in unpriced.sentence


def test_a_judge_learns_and_is_examined_in_both_orders_and_compares_every_two_answers():
    facts = replace(COUNTED, training="DPO")
    chosen = replace(
        recommend(facts, QWEN, "rlhf").recipe,
        batch_size=32, group_size=5, epochs=1, eval_every=0, max_tokens=16, kl_coef=0.0, judge_batch_size=30, judge_epochs=2,
        warm_start_epochs=0, drop_flat_groups="no", max_steps=None,
    )  # fmt: skip
    cost, again = estimate(chosen, facts, QWEN), estimate(replace(chosen, judge="run-a"), facts, QWEN)
    warm = estimate(replace(chosen, warm_start_epochs=1), replace(facts, validation_rows=0), QWEN)
    plain = estimate(chosen, replace(facts, validation_rows=0), QWEN)
    assert cost is not None
    assert again is not None
    assert warm is not None
    assert plain is not None
    question = facts.prompt_tokens(QWEN)
    both = 2 * 101 - question + 40
    # 300 of the 320 pairs fill whole batches; 2 passes in 2 orders, and 40 held-out pairs before and after, in 2 orders.
    assert cost.high.train - again.high.train == round(2 * 2 * 300 * both)
    assert cost.high.prefill - again.high.prefill == pytest.approx((2 - 1) * 2 * 40 * both, abs=1)
    assert warm.high.train - plain.high.train == 300 * 100
    # Five answers to each of 320 questions, each against four others; each comparison gives one token.
    compared = 320 * 5 * 4
    assert plain.high.sample == 320 * 5 * 16 + compared
    assert plain.high.prefill == pytest.approx(320 * 5 * question + compared * (question + 2 * 16 + 40), abs=1)
    # Two checks of 40 questions with two answers each, compared in two orders; two exams of 40 pairs in two orders, and what
    # the start answers.
    assert cost.high.sample - plain.high.sample == 2 * 80 * (16 + 2) + 2 * 2 * 40 + 40 * 16


@pytest.mark.parametrize("method", FOR)
@pytest.mark.parametrize("kind", ["prompt", "on_policy"])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(3, 20_000), held_out=st.integers(0, 500), mean=st.none() | st.floats(3, 4_000))
def test_more_work_never_costs_less(method, kind, rows, held_out, mean):
    facts = DataFacts(rows, held_out, mean_tokens=mean, training=FOR[method])
    recipe = recommend(facts, QWEN, method, distillation=kind).recipe
    cost, more = estimate(recipe, facts, QWEN), estimate(replace(recipe, epochs=recipe.epochs + 1), facts, QWEN)
    if mean is None:
        assert cost is None
        return
    assert cost is not None
    assert more is not None
    for kind_of in ("prefill", "sample", "train"):
        assert 0 <= getattr(cost.low, kind_of) <= getattr(cost.high, kind_of) <= getattr(more.high, kind_of)
    assert cost.sentence.endswith(".")
    if cost.low_usd is not None:
        assert cost.high_usd is not None
        assert 0 <= cost.low_usd <= cost.high_usd


def test_a_price_that_nobody_wrote_down_is_not_known():
    unknown = models.get("moonshotai/Kimi-K2-Thinking")
    cost = estimate(recommend(COUNTED, unknown).recipe, COUNTED, unknown)
    assert cost is not None
    assert (cost.low_usd, cost.high_usd, cost.price) == (None, None, None)
    assert "The price of Kimi-K2-Thinking is not known here." in cost.sentence
    assert spent(TokenCounts(1, 2, 3), unknown) is None


def test_a_teacher_without_a_price_leaves_the_cost_open():
    recipe = replace(recommend(COUNTED, QWEN, "distill", distillation="on_policy").recipe, teacher="Qwen/Qwen3-32B")
    cost = estimate(recipe, COUNTED, QWEN)
    assert cost is not None
    assert cost.high_usd is None
    assert cost.teacher_high.prefill > 0
    assert models.get(recipe.teacher).label in cost.sentence
    own = estimate(replace(recipe, teacher="run_of_mine"), COUNTED, QWEN)
    assert own is not None
    assert own.high_usd is not None


def test_what_runs_here_is_free():
    nano = models.get("nano")
    cost = estimate(recommend(COUNTED, nano).recipe, COUNTED, nano)
    assert cost is not None
    assert (cost.low_usd, cost.high_usd, cost.storage_usd) == (0.0, 0.0, (0.0, 0.0))
    assert cost.sentence.startswith("Free")


def test_storage_is_from_the_end_result_to_all_that_is_kept():
    recipe = replace(recommend(COUNTED, QWEN).recipe, lora_rank=32)
    cost = estimate(recipe, COUNTED, QWEN)
    assert cost is not None
    assert cost.storage_usd is not None
    gigabytes = QWEN.trainable_parameters(32) * 2 / 1e9
    assert cost.storage_usd[0] == pytest.approx(gigabytes * 0.10)
    assert cost.storage_usd[1] > cost.storage_usd[0]


# --- the table ---------------------------------------------------------------------------------------------------------------


def test_the_newest_row_counts():
    found = prices.price_of("Qwen/Qwen3-8B")
    assert found is not None
    assert (found.prefill, found.sample, found.train, found.date) == (0.195, 0.60, 0.44, "2026-10-07")
    assert not found.old(dt.date(2026, 11, 21))
    assert found.old(dt.date(2027, 11, 21))


def test_every_shipped_price_is_of_a_model_in_the_catalogue():
    names = {model.wire_name for model in lineup._hosted()}
    assert set(prices._shipped().models) <= names
    for found in prices._shipped().models.values():
        assert found.date
        assert found.source


def test_the_owners_table_wins(tmp_path):
    row = "{model: Qwen/Qwen3-8B, date: 2026-11-20, source: my contract, prefill: 1, sample: 2, train: 3}"
    (tmp_path / "prices.yaml").write_text(f"models: [{row}]", encoding="utf-8")
    assert spent(TokenCounts(1_000_000, 1_000_000, 1_000_000), QWEN, tmp_path) == 6
    found = prices.price_of("Qwen/Qwen3-8B", tmp_path)
    assert found is not None
    assert found.source == "my contract"
    assert prices.storage_price(tmp_path) == prices.storage_price()


@pytest.mark.parametrize(
    "text",
    [
        "models: [{model: a, date: 2026-11-20, source: me, prefill: 1, sample: 2}]",
        "models: [{model: a, date: soon, source: me, prefill: 1, sample: 2, train: 3}]",
        "models: [{model: a, date: 2026-11-20, source: me, prefill: -1, sample: 2, train: 3}]",
        "models: [{model: a, date: 2026-11-20, source: me, prefill: .nan, sample: 2, train: 3}]",
        "models: 3",
        "{",
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        prices.price_of("Qwen/Qwen3-8B", tmp_path)
    assert caught.value.where == str(path)
    assert caught.value.next_step
