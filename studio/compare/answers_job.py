"""The process that makes the answers of one comparison: ``python -m studio.compare.answers_job --home DIR --job ID``.

Guarantees: it answers exactly the plan that is recorded; it ends ``completed`` only when both models have answered every prompt
and the measures are stored; what it had stored when it was stopped or killed stays, and the next process goes on from there.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from studio import data, models
from studio.compare.generate import Plan, Question, measured, questions, reward_of
from studio.data import Dataset
from studio.errors import RunError
from studio.runs.desk import Desk, StopAsked, at_desk, leave
from studio.runs.environment import settle_down
from studio.runs.seal import sealed
from studio.store import AnswerRow, Arm, checked_id

if TYPE_CHECKING:
    from studio.runs.link import Link

_NOISY: Final = ("tinker", "tinker_cookbook", "httpx", "httpcore", "urllib3")


def main() -> int:
    """Answer the comparison named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("answers", _answer)


def _answer(desk: Desk) -> None:
    comparison = desk.store.comparisons.get(desk.job.id, desk.job.owner)
    plan = Plan.of(comparison)
    if not plan.run_seal:
        # Asked for in a version without seals: the run is sealed now, or the comparison is refused.
        run, _ = sealed(desk.settings, desk.store, desk.store.runs.get(plan.run_id, desk.job.owner), _data_of(desk, plan))
        plan = replace(plan, run_seal=run.seal)
    asked = questions(desk.settings, plan)
    known = _known(desk)
    if len(known) < 2 * len(asked):
        settle_down(desk.settings, offline=models.get(plan.model).local)
        for name in _NOISY:
            logging.getLogger(name).setLevel(logging.WARNING)
        with ThreadPoolExecutor(1) as pool:
            # Importing the cookbook takes seconds; the engine starts meanwhile.
            imported: Future[None] = pool.submit(_import_cookbook)
            from studio.runs.link import connected

            with connected(desk, [plan.model]) as link:
                desk.check()
                desk.phase("preparing the prompts")
                imported.result()
                _fill_in(desk, link, plan, asked, known)
    desk.phase("measuring")
    answers, reward = desk.store.comparisons.answers(comparison.id), reward_of(desk.store, plan, desk.job.owner)
    found = [asdict(one) for one in measured(answers, reward=reward, asked_of=asked)]
    desk.store.comparisons.update(comparison.id, measures_json=json.dumps(found, allow_nan=False))


def _data_of(desk: Desk, plan: Plan) -> Dataset:
    return data.load(desk.settings.datasets / checked_id(plan.dataset_id))


def _import_cookbook() -> None:
    import studio.compare.generate_arms  # noqa: F401 # pyright: ignore[reportUnusedImport] - imported for its cost


def _known(desk: Desk) -> set[tuple[str, Arm]]:
    return {(row.prompt_id, row.arm) for row in desk.store.comparisons.answers(desk.job.id)}


def _fill_in(desk: Desk, link: Link, plan: Plan, asked: Sequence[Question], known: set[tuple[str, Arm]]) -> None:
    """Ask for every answer that is not stored yet."""
    from studio.compare.generate_arms import Answering, Questioner, answer_all
    from studio.runs.link import beside

    questioner = Questioner(models.get(plan.model), plan.renderer)
    prepared = tuple(one for one in (questioner.prepare(question, plan) for question in asked) if one is not None)
    if not prepared:
        raise RunError(
            "Every held-out prompt is too long for this model.",
            next_step="Use shorter prompts, or a model with a longer context.",
        )
    if left_out := len(asked) - len(prepared):
        desk.store.jobs.tell(desk.job.id, f"{left_out} held-out prompts are too long for this model and were left out.")
    total = 2 * len(prepared)

    def store(rows: Sequence[AnswerRow]) -> None:
        desk.store.comparisons.add_answers(rows)
        known.update((row.prompt_id, row.arm) for row in rows)
        desk.progress(len(known), total)

    desk.progress(len(known), total)
    desk.phase("answering")
    work = Answering(desk.job.id, desk.job.owner, prepared, frozenset(known), store)
    try:
        # Nothing needs saving at a stop: every answer that arrived is stored already.
        beside(link, answer_all(work, plan, questioner), check=desk.check)
    except StopAsked as stop:
        raise StopAsked(f"{len(known):,} of {total:,} answers are kept.") from stop
    desk.progress(len(known), total)


if __name__ == "__main__":
    leave(main())
