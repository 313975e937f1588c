"""The process that makes the answers of one comparison: ``python -m studio.compare.answers_job --home DIR --job ID``.

Guarantees: it answers exactly the plan that is recorded; it ends ``completed`` only when all arms have answered every prompt
and the measures are stored; what it had stored when it was stopped or killed stays, and the next process goes on from there;
nobody is asked when all answers came from files.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from studio import data, models
from studio.compare.measures import Measure, measure_latency
from studio.compare.plan import ArmPlan, Plan
from studio.compare.prompts import Question, matched, questions
from studio.compare.scores import complete, measured, reward_of
from studio.data import Dataset
from studio.errors import RunError
from studio.runs.desk import Desk, StopAsked, at_desk, leave
from studio.runs.environment import settle_down
from studio.runs.seal import sealed
from studio.store import AnswerRow, PromptRow, checked_id

if TYPE_CHECKING:
    from studio.compare.generate_arms import Clock
    from studio.runs.link import Link

_NOISY: Final = ("tinker", "tinker_cookbook", "httpx", "httpcore", "urllib3")
#: How the answers of a file ended is not known.
_IMPORTED: Final = "imported"


def main() -> int:
    """Answer the comparison named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("answers", _answer)


def _answer(desk: Desk) -> None:
    comparison = desk.store.comparisons.get(desk.job.id, desk.job.owner)
    plan = Plan.of(comparison)
    if plan.run_id and not plan.run_seal:
        # Asked for in a version without seals: the run is sealed now, or the comparison is refused.
        run, _ = sealed(desk.settings, desk.store, desk.store.runs.get(plan.run_id, desk.job.owner), _data_of(desk, plan))
        plan = replace(plan, run_seal=run.seal, arms=tuple(_sealed_as(arm, run.seal) for arm in plan.arms))
    asked = questions(desk.settings, plan)
    _store_prompts(desk, asked)
    _store_imported(desk, plan, asked)
    known = _known(desk)
    seconds: Mapping[str, Mapping[str, float]] = {}
    if missing := sum((one.prompt_id, arm.name) not in known for arm in plan.arms for one in asked if arm.asked):
        desk.say(f"{missing:,} answers are missing.")
        seconds = _ask(desk, plan, asked, known)
    desk.phase("measuring")
    found = _measured(desk, plan, asked, seconds)
    desk.store.comparisons.update(comparison.id, measures_json=json.dumps([asdict(one) for one in found], allow_nan=False))


def _sealed_as(arm: ArmPlan, run_seal: str) -> ArmPlan:
    return replace(arm, run_seal=run_seal) if arm.trained else arm


def _data_of(desk: Desk, plan: Plan) -> Dataset:
    return data.load(desk.settings.datasets / checked_id(plan.dataset_id))


def _import_cookbook() -> None:
    import studio.compare.generate_arms  # noqa: F401 # pyright: ignore[reportUnusedImport] - imported for its cost


def _known(desk: Desk) -> set[tuple[str, str]]:
    return {(row.prompt_id, row.arm) for row in desk.store.comparisons.answers(desk.job.id)}


def _store_prompts(desk: Desk, asked: Sequence[Question]) -> None:
    """Keep what is known of each prompt: what it can be sliced by, and whether an arm was trained on it."""
    told = [PromptRow(desk.job.id, one.prompt_id, desk.job.owner, one.position, _slices(one), one.stamp) for one in asked]
    desk.store.comparisons.add_prompts(told)


def _slices(one: Question) -> str:
    return json.dumps(dict(one.slices), ensure_ascii=False, sort_keys=True)


def _store_imported(desk: Desk, plan: Plan, asked: Sequence[Question]) -> None:
    """The answers that came from files; those that are stored already stay as they are."""
    for arm in plan.arms:
        if arm.asked:
            continue
        answers = matched(desk.settings, arm.digest, [one.messages for one in asked])
        rows = [_row(desk, arm, one, text) for one, text in zip(asked, answers, strict=True) if text is not None]
        desk.store.comparisons.add_answers(rows)


def _row(desk: Desk, arm: ArmPlan, one: Question, text: str) -> AnswerRow:
    prompt = json.dumps([asdict(turn) for turn in one.messages], ensure_ascii=False)
    told = (one.prompt_id, arm.name, desk.job.owner, one.position, prompt, one.reference, text)
    return AnswerRow(desk.job.id, *told, 0, _IMPORTED, None, 0)


def _ask(desk: Desk, plan: Plan, asked: Sequence[Question], known: set[tuple[str, str]]) -> Mapping[str, Mapping[str, float]]:
    """Let the models answer what is not stored yet; how long a few answers took."""
    needed = list(dict.fromkeys(arm.model for arm in plan.arms if arm.asked))
    settle_down(desk.settings, offline=all(models.get(name).local for name in needed))
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    with ThreadPoolExecutor(1) as pool:
        # Importing the cookbook takes seconds; the engine starts meanwhile.
        imported: Future[None] = pool.submit(_import_cookbook)
        from studio.runs.link import connected

        with connected(desk, needed) as link:
            desk.check()
            desk.phase("preparing the prompts")
            imported.result()
            return _fill_in(desk, link, plan, asked, known).seconds


def _fill_in(desk: Desk, link: Link, plan: Plan, asked: Sequence[Question], known: set[tuple[str, str]]) -> Clock:
    """Ask for every answer that is not stored yet."""
    from studio.compare.generate_arms import Answering, Clock, Questioners, answer_all
    from studio.runs.link import beside

    questioners = Questioners(plan)
    prepared = tuple(one for one in (questioners.prepare(question) for question in asked) if one is not None)
    if not prepared:
        raise RunError(
            "Every prompt is too long for one of the models.",
            next_step="Use shorter prompts, or a model with a longer context.",
        )
    if left_out := len(asked) - len(prepared):
        desk.store.jobs.tell(desk.job.id, f"{left_out} prompts are too long for one of the models and were left out.")
    total = len(plan.arms) * len(prepared)

    def store(rows: Sequence[AnswerRow]) -> None:
        desk.store.comparisons.add_answers(rows)
        known.update((row.prompt_id, row.arm) for row in rows)
        desk.progress(min(len(known), total), total)

    desk.progress(min(len(known), total), total)
    desk.phase("answering")
    work, clock = Answering(desk.job.id, desk.job.owner, prepared, frozenset(known), store, desk.phase), Clock()
    try:
        # Nothing needs saving at a stop: every answer that arrived is stored already.
        beside(link, answer_all(work, plan.arms, questioners, clock), check=desk.check)
    except StopAsked as stop:
        raise StopAsked(f"{min(len(known), total):,} of {total:,} answers are kept.") from stop
    desk.progress(total, total)
    return clock


def _measured(
    desk: Desk, plan: Plan, asked: Sequence[Question], seconds: Mapping[str, Mapping[str, float]]
) -> tuple[Measure, ...]:
    """Everything that a program can count, arm by arm."""
    names = [arm.name for arm in plan.arms]
    answers = desk.store.comparisons.answers(desk.job.id)
    if not complete(answers, names):
        raise RunError("No prompt was answered by all.", next_step="Choose prompts that every arm can answer.")
    found = measured(answers, reward=reward_of(desk.store, plan, desk.job.owner), asked_of=asked, arms=names)
    timed = [
        replace(one, reference=names[0], arm=arm)
        for arm in names[1:]
        for one in measure_latency(seconds.get(names[0], {}), seconds.get(arm, {}))
    ]
    if not any(arm.asked for arm in plan.arms):
        desk.progress(len(answers), len(answers))
    return (*found, *timed)


if __name__ == "__main__":
    leave(main())
