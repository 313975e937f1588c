"""What is counted at whose price, and when the hard budget ends a run. No engine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from studio import models, rewards
from studio.data import Message
from studio.runs import files, heldout, rl, teaching
from studio.runs.attendant import Attendant
from studio.runs.envs import Question
from studio.runs.meter import BudgetReached, Meter, cost_of
from studio.runs.practice import Practice
from studio.runs.rollouts import Answer, Group
from studio.runs.teaching import Teacher

NANO = models.get("nano")
BIGGER = replace(NANO, name="bigger")


class Client:
    """Answers every question with the same three tokens."""

    async def sample(self, **_):
        return SimpleNamespace(sequences=[SimpleNamespace(tokens=[5, 6, 7])])


def metered(folder, *, teacher=None, **recipe):
    """A meter at work on a stage in ``folder``, and that work."""
    recipe = SimpleNamespace(**{"budget_usd": None, "max_tokens": 8, "seed": 0, "temperature": 1.0, **recipe})
    work = SimpleNamespace(folder=folder, earlier_folders=(), recipe=recipe, model=NANO, teacher=teacher, begun_at=0, saved=())
    desk = SimpleNamespace(settings=SimpleNamespace(home=folder), stopping=False, phase=lambda _: None)
    return Meter(desk, work), work, desk


@pytest.mark.parametrize(
    ("teacher", "before"), [(None, "studio/tokens_"), (NANO, "studio/tokens_"), (BIGGER, "studio/tokens_teacher_")]
)
def test_what_a_teacher_reads_and_writes_has_its_own_price_where_it_is_another_model(tmp_path, teacher, before):
    meter, _, _ = metered(tmp_path, teacher=teacher)
    asked = Teacher(NANO, Client(), "Be brief.", meter)
    asyncio.run(asked.answer((Message("user", "Hi"),), max_tokens=8, temperature=1.0, seed=0))
    counted = meter.take()
    assert set(counted) == {f"{before}prefill", f"{before}sample"}
    assert counted[f"{before}sample"] == 3


def test_what_a_bigger_teacher_reads_of_practised_answers_is_billed_as_its_own(tmp_path):
    meter, work, desk = metered(tmp_path, teacher=BIGGER)
    practice = Practice(desk, work, meter, None, drops_flat=False, references=0, taught=True)
    practice._count([GROUP])
    assert meter.take() == {
        "studio/tokens_sample": 7,
        "studio/tokens_prefill": 20,
        "studio/tokens_train": 27,
        "studio/tokens_teacher_prefill": 27,
    }


def test_what_a_bigger_teacher_reads_of_held_out_answers_is_billed_as_its_own(tmp_path, monkeypatch):
    meter, work, desk = metered(tmp_path, teacher=BIGGER)
    reference = heldout.Reference("teacher_kl", Client, teaches=True)

    async def distance(_):
        reference.tokens = 27
        return 0.5

    async def rollout(keep, _):
        keep(GROUP)

    monkeypatch.setattr(reference, "distance", distance)
    monkeypatch.setattr(heldout, "do_group_rollout", rollout)
    checks = heldout.HeldOut(work, meter, 1, lambda _place, _count, keep: keep, reference)
    found = asyncio.run(Attendant(desk, work, meter, checks)._measured(Client()))
    assert found["validation/teacher_kl"] == 0.5
    assert meter.take() == {"studio/tokens_sample": 7, "studio/tokens_prefill": 20, "studio/tokens_teacher_prefill": 27}


GROUP = Group("Hi", tuple(Answer(text, None, (), tokens, None) for text, tokens in (("yes", 3), ("maybe", 4))), "", 10)


def test_an_answer_with_an_unusual_line_end_is_read_back_whole(tmp_path):
    path = tmp_path / teaching.ANSWERS
    given = "one\u2028{}\u0085[1]\u2029two"
    record = {"part": "train", "place": 3, "answer": given, "cut": False}
    text = json.dumps(record, ensure_ascii=False)
    path.write_text(f'{text}\n7\n[]\n{{}}\n{{"part": "tr', "utf-8")
    assert teaching._known(path, "train") == {3: teaching.Taught((), given, False)}


def test_what_waits_for_its_line_counts_against_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.runs.meter.spent", lambda tokens, *_: float(tokens.total))
    meter, work, _ = metered(tmp_path, budget_usd=10.0)
    (work.folder / files.METRICS).write_text(json.dumps({"step": 0, "progress/batch": 0, "num_tokens": 6}) + "\n")
    meter.count("prefill", 3)
    assert meter.exhausted() is None
    meter.count("prefill", 1)
    assert meter.exhausted() == 10.0


def test_what_a_judge_of_rules_reads_is_counted(tmp_path, monkeypatch):
    made = {}
    monkeypatch.setattr(rl, "RuleJudge", lambda *_args, count=None: made.update(count=count) or made)
    rules = rewards.to_json(rewards.Rules(rules=("Be kind.",)))
    meter, work, _ = metered(tmp_path, reward=rules)
    with rl.scorer(work, meter):
        made["count"](NANO, 11)
    assert meter.take() == {"studio/tokens_prefill": 11}


def test_another_model_that_judges_by_rules_is_billed_at_its_own_price(tmp_path):
    meter, work, _ = metered(tmp_path)
    meter.count_judge(models.get("Qwen/Qwen3-8B"), 1_000_000)
    assert cost_of(meter.counts, NANO, None, tmp_path) == pytest.approx(0.195)
    meter.write()
    # What was written is read back, and the next line goes on from there.
    later = Meter(SimpleNamespace(settings=SimpleNamespace(home=tmp_path), stopping=False), work)
    later.count_judge(models.get("Qwen/Qwen3-8B"), 1_000_000)
    assert later.cost == pytest.approx(0.39)
    later.count_judge(models.get("deepseek-ai/DeepSeek-V3.1"), 1)
    assert later.cost is None


def test_the_budget_ends_the_asking_of_a_teacher_and_what_was_asked_is_on_the_bill(tmp_path, monkeypatch):
    monkeypatch.setattr("studio.runs.meter.spent", lambda tokens, *_: float(tokens.sample))
    monkeypatch.setattr(teaching, "_AT_ONCE", 1)
    meter, work, desk = metered(tmp_path, budget_usd=7.0)
    asked = [Question((Message("user", "Hi"),), None) for _ in range(5)]  # three tokens an answer: the third reaches 7
    ask = teaching.ask_all(desk, work, Teacher(NANO, Client(), "Be brief.", meter), "train", asked, 1.0)
    with pytest.raises(BudgetReached):
        asyncio.run(ask)
    assert len((tmp_path / teaching.ANSWERS).read_text().splitlines()) == 3
    assert metered(tmp_path)[0].counts.own.sample == 9


def test_a_stop_while_a_teacher_is_asked_keeps_what_was_counted(tmp_path):
    class Slow(Client):
        async def sample(self, **limits):
            if limits["sampling_params"].seed:
                await asyncio.sleep(60)
            return await super().sample()

    async def stopped(ask):
        asking = asyncio.create_task(ask)
        while not (tmp_path / teaching.ANSWERS).is_file():
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    meter, work, desk = metered(tmp_path)
    asked = [Question((Message("user", "Hi"),), None) for _ in range(2)]
    asyncio.run(stopped(teaching.ask_all(desk, work, Teacher(NANO, Slow(), "Be brief.", meter), "train", asked, 1.0)))
    assert metered(tmp_path)[0].counts.own.sample == 3
