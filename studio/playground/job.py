"""The process that answers in the playground: ``python -m studio.playground.job FOLDER``, started by ``asking.begin``.

Guarantees: as ``studio.work.child``; it answers what the store says is waited for, and writes each answer there as it comes; an
answer that a server refused is missing with its reason, and nothing stands in its place; when the engine dies, everything that
still waits is told so; it ends when nobody has asked for ``IDLE`` seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from studio.errors import StudioError
from studio.work import child

if TYPE_CHECKING:
    from studio.compare.generate_talk import Talker
    from studio.settings import Settings
    from studio.store import Store
    from studio.store.talks import TalkAnswerRow

#: Seconds without a question after which the model is let go of: it takes memory that a run may need.
IDLE: Final = 180.0
#: Seconds between two looks for a question.
_LOOK: Final = 0.15


def _talk(folder: Path, asked: Mapping[str, Any], teller: child.Teller) -> dict[str, Any]:
    # Not at the top: the guard is up before anything heavy is loaded.
    from studio import models
    from studio.compare.generate_talk import Talker, alone, beside, settle_down
    from studio.playground.asking import give_up, ticket
    from studio.settings import Settings
    from studio.store import Store

    settings = Settings.from_env().with_home(Path(asked["home"]))
    model = models.get(asked["model"])
    store = Store(settings.database)
    settle_down(settings, offline=model.local)
    log = ticket(settings, model.name).place / "engine.log"
    try:
        teller.at("starting the engine" if settings.place == "embedded" else "connecting")
        with alone(settings, (model.name,), log) as (link, key):
            talker = Talker(model, link.base_url, key)
            answered = beside(link, _serve(settings, store, talker, teller.at))
    except StudioError as error:
        give_up(store, model.name, error)
        raise
    finally:
        store.close()
    return {"answered": answered, "folder": folder.name}


async def _serve(settings: Settings, store: Store, talker: Talker, tell: Callable[[str], None]) -> int:
    """Answer until nobody asks any more; how many answers that were."""
    answered, idle_since = 0, time.monotonic()
    tell("loading the model")
    while time.monotonic() - idle_since < IDLE:
        waiting = store.talks.waiting(talker.model.name)
        if not waiting:
            tell("waiting for a question")
            await asyncio.sleep(_LOOK)
            continue
        if answered:
            tell("answering")
        await asyncio.gather(*(_answer(settings, store, talker, row) for row in waiting))
        answered, idle_since = answered + len(waiting), time.monotonic()
    await talker.close()
    return answered


async def _answer(settings: Settings, store: Store, talker: Talker, row: TalkAnswerRow) -> None:
    """One answer, or why there is none."""
    from studio.compare.generate_talk import Asked
    from studio.compare.plan import CompareSettings
    from studio.playground.asking import terms_of, turns_of
    from studio.runs.redact import redact

    question = store.talks.question(row.question_id, row.owner)
    terms = terms_of(question)
    wanted = CompareSettings(temperature=terms["temperature"], max_tokens=terms["max_tokens"], seed=terms["seed"])
    messages = turns_of(row.prompt_json)
    try:
        # Asked first: nobody should wait for an answer that cannot be stamped.
        learned = _trained_on(settings, store, question.run_id, row)
        said = await talker.answer(Asked(messages, terms["renderer"], row.path, wanted))
    except StudioError as error:
        store.talks.failed(row, redact(error.what, [talker.key]), error.next_step)
        return
    whole = replace(row, text=said.text, tokens=said.tokens, stop_reason=said.stop_reason, trained_on=learned)
    store.talks.answered(whole)


def _trained_on(settings: Settings, store: Store, run_id: str, row: TalkAnswerRow) -> int | None:
    """Whether this side was trained on these very turns; ``None`` for a base model, and for a run that kept no seal.

    Raises ``RunError`` when the seal was changed: then nobody can say what the answer shows.
    """
    from studio.playground.asking import turns_of
    from studio.runs import seal

    run = store.runs.get(run_id, row.owner)
    if not row.path or not run.seal:
        return None
    return int(seal.trained_on(settings, run.id, run.seal, [turns_of(row.prompt_json)])[0])


if __name__ == "__main__":
    child.main(find=lambda _: _talk)
