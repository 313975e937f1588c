"""The reward panel of the settings step: a reward built without code, tried on one's own rows and on the model's answers.

Guarantees: what is typed is checked at once; a reward that cannot be used stays on screen with what is wrong and is never
trained with; trying it trains nothing and never holds the page up; the reward that is shown is the one that a run would start
with.

The settings step embeds it: ``html`` draws, ``pressed`` takes the presses whose names begin with ``reward``, ``edited`` the
fields whose names do, and ``seen`` says what the heartbeat of the panel would bring back, so that an unchanged panel need not
be drawn again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from studio import rewards
from studio.errors import DataError, NotFoundError, RunError, StudioError
from studio.rewards import Reward, RewardError, Score, Suggestion, TaskRow
from studio.rewards.bench import Bench
from studio.rewards.of_data import some_rows, suggested
from studio.runs import rehearsal
from studio.store import Store
from studio.work import Cancelled, Done, Failed, Working
from wizards import reward_forms as building
from wizards.draft import Draft
from wizards.plan import Plan, noted, plan
from wizards.reward_markup import Screen, Tried, Trying
from wizards.reward_markup import html as markup
from wizards.reward_view import View, read, written
from wizards.shell import Context, Said, Visit
from wizards.widgets import Html

#: Rows of the person's own that are shown.
_ROWS: Final = 3
_ELSEWHERE: Final = "A model judges this, so nothing can be shown at once. Try it with the model, below."


def html(ctx: Context, visit: Visit, now: Plan) -> Html:
    """The panel; empty while there is no data or the method takes no reward. Raises as reading the files does."""
    found = screen(ctx, visit, now)
    return markup(found) if found is not None else Html("")


def screen(ctx: Context, visit: Visit, now: Plan) -> Screen | None:
    """What the panel shows, ``None`` while there is nothing to build a reward for."""
    if now.dataset is None or now.recipe is None or now.recipe.method != "rl":
        return None
    path = now.dataset.train.path
    view = read(ctx.settings, visit.draft, visit.owner)
    first = suggested(path)
    used = _used(now, first)
    raw, problem = _raw(view, used)
    rows = some_rows(path, _ROWS)
    tried, note, failed = _tried(view, rows, used if problem is None else None)
    problem = problem or failed
    return Screen(
        raw=raw,
        sentence=rewards.describe(used),
        reason=first.reason,
        sure=first.sure,
        changed=rewards.to_json(used) != rewards.to_json(first.reward),
        cautions=rewards.cautions(used),
        problem=problem,
        tried=tried,
        preview_note=note,
        trying=_trying(now, used),
        yaml=view.yaml or rewards.to_yaml(used),
        yaml_problem=str(problem) if view.yaml and problem is not None else "",
    )


def seen(ctx: Context, visit: Visit, now: Plan) -> str:
    """What the heartbeat of the panel as it is now would say; empty when it has none."""
    del ctx, visit
    if now.dataset is None:
        return ""
    state = rehearsal.state(now.dataset.folder)
    return f"reward:{state.progress.phase}" if isinstance(state, Working) else ""


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each press on the panel does. Raises ``StudioError``."""
    now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
    if now.dataset is None or now.recipe is None:
        return visit.draft
    raw, _ = _raw(read(ctx.settings, visit.draft, visit.owner), _used(now, suggested(now.dataset.train.path)))
    place, _, name = said.value.partition(".")
    at = int(place) if place.isdecimal() else -1
    match said.name:
        case "reward-suggested":
            return _changed(ctx, visit, None)
        case "reward-add":
            return _changed(ctx, visit, building.added(raw))
        case "reward-remove":
            return _changed(ctx, visit, building.removed(raw, at))
        case "reward-flip":
            return _changed(ctx, visit, building.flipped(raw, at, name))
        case "reward-try":
            _begin(ctx, visit, now)
        case "reward-cancel":
            rehearsal.cancel(now.dataset.folder)
        case _:
            pass
    return visit.draft


def edited(ctx: Context, visit: Visit, said: Said) -> Draft:
    """A field of the panel was left. Raises ``StoreError`` when the disk refuses."""
    _, _, name = said.name.partition(".")
    place, _, field = name.partition(".")
    view = read(ctx.settings, visit.draft, visit.owner)
    if place == "answer" and field.isdecimal() and int(field) < _ROWS:
        return written(ctx.settings, visit.draft, visit.owner, view.answering(int(field), said.value))
    if name == "yaml":
        return _typed(ctx, visit, said.value)
    now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
    if now.dataset is None or now.recipe is None or not place.isdecimal():
        return visit.draft
    raw, _ = _raw(view, _used(now, suggested(now.dataset.train.path)))
    made = (
        building.set_kind(raw, int(place), said.value)
        if field == "kind"
        else building.set_field(raw, int(place), field, said.value)
    )
    return _changed(ctx, visit, made)


def _used(now: Plan, first: Suggestion) -> Reward:
    """The reward that a run would start with; the suggestion while nothing else was chosen."""
    text = now.recipe.reward if now.recipe is not None else ""
    return rewards.parse(text) if text else first.reward


def _raw(view: View, used: Reward) -> tuple[Mapping[str, Any], StudioError | None]:
    """The reward as it stands in the fields, and why it cannot be used."""
    if view.mapping is not None:
        try:
            rewards.parse(view.mapping)
        except RewardError as error:
            return view.mapping, error
    if view.yaml:
        try:
            rewards.parse(view.yaml)
        except RewardError as error:
            return rewards.to_mapping(used), error
    return rewards.to_mapping(used), None


def _changed(ctx: Context, visit: Visit, raw: Mapping[str, Any] | None) -> Draft:
    """The draft with this reward (``None`` for the suggested one). One that cannot be used stays in the view alone."""
    view = replace(read(ctx.settings, visit.draft, visit.owner), raw="", yaml="")
    if raw is None:
        return written(ctx.settings, visit.draft.with_change("reward", None), visit.owner, view)
    try:
        reward = rewards.parse(raw)
    except RewardError:
        return written(ctx.settings, visit.draft, visit.owner, replace(view, raw=json.dumps(raw, ensure_ascii=False)))
    draft = _noted(ctx, visit, reward)
    return written(ctx.settings, draft, visit.owner, view)


def _typed(ctx: Context, visit: Visit, text: str) -> Draft:
    """The draft after the text was changed."""
    view = replace(read(ctx.settings, visit.draft, visit.owner), raw="", yaml="")
    try:
        reward = rewards.parse(text)
    except RewardError:
        return written(ctx.settings, visit.draft, visit.owner, replace(view, yaml=text))
    return written(ctx.settings, _noted(ctx, visit, reward), visit.owner, view)


def _noted(ctx: Context, visit: Visit, reward: Reward) -> Draft:
    """The draft with this reward. What is suggested anyway is no change."""
    now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
    text = rewards.to_json(reward)
    if now.dataset is not None and text == rewards.to_json(suggested(now.dataset.train.path).reward):
        return visit.draft.with_change("reward", None)
    return noted(ctx.settings, visit.draft, visit.owner, "reward", text)


def _begin(ctx: Context, visit: Visit, now: Plan) -> None:
    """Set the bench going. Raises ``DataError`` when it is at work already, ``RunError`` when nobody could answer."""
    if now.dataset is None or now.recipe is None:
        raise DataError("There is no data to try it on.", next_step="Add your data first.")
    recipe = now.recipe
    reward = _used(now, suggested(now.dataset.train.path))
    rehearsal.begin(ctx.settings, now.dataset.folder, reward, _wanted(ctx.store, visit.owner, now, recipe.start_from))


def _wanted(store: Store, owner: str, now: Plan, start_from: str) -> rehearsal.Wanted:
    recipe = now.recipe
    assert recipe is not None  # noqa: S101 - the caller has looked
    wanted = rehearsal.Wanted(
        model=recipe.model, renderer=recipe.renderer, temperature=recipe.temperature, max_tokens=recipe.max_tokens
    )
    if not start_from.startswith("run-"):
        return wanted
    run = store.runs.get(start_from, owner)
    if not run.sampler_path:
        raise RunError("The run to start from left no model that could answer.", where=run.name, next_step="Choose another.")
    return replace(wanted, sampler_path=run.sampler_path)


def _trying(now: Plan, used: Reward) -> Trying:
    if now.dataset is None:
        return Trying()
    state = rehearsal.state(now.dataset.folder)
    match state:
        case Working():
            return Trying(phase=state.progress.phase or "starting")
        case Failed():
            return Trying(error=state.error)
        case Done():
            return _done(state, used)
        case Cancelled() | None:
            return Trying()


def _done(state: Done, used: Reward) -> Trying:
    try:
        bench = Bench.of_dict(state.result)
    except (RewardError, KeyError, TypeError):
        return Trying()  # of an older version; it can be tried again
    return Trying(bench=bench, stale=rewards.to_json(bench.reward) != rewards.to_json(used))


def _tried(view: View, rows: tuple[TaskRow, ...], reward: Reward | None) -> tuple[tuple[Tried, ...], str, StudioError | None]:
    """The rows with their scores, or why there is nothing to show, or what is wrong with the reward."""
    typed = dict(view.typed)
    if reward is None:
        return tuple(Tried(row, None, typed.get(place, ""), None) for place, row in enumerate(rows)), "", None
    if rewards.needs(reward).judge:
        return (), _ELSEWHERE, None
    asked = [(place, row.reference) for place, row in enumerate(rows) if row.reference]
    asked += [(place, text) for place, text in typed.items() if place < len(rows)]
    try:
        scores = _scored(rewards.to_json(reward), tuple(_Asked(answer, rows[place]) for place, answer in asked))
    except (RewardError, NotFoundError) as error:
        return tuple(Tried(row, None, typed.get(place, ""), None) for place, row in enumerate(rows)), "", error
    found = dict(zip(asked, scores, strict=True))
    return (
        tuple(
            Tried(
                row,
                found.get((place, row.reference)) if row.reference else None,
                typed.get(place, ""),
                found.get((place, typed[place])) if place in typed else None,
            )
            for place, row in enumerate(rows)
        ),
        "",
        None,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """An answer and its row, in a form that a cache can be asked for."""

    answer: str
    row: TaskRow

    def __hash__(self) -> int:
        return hash((self.answer, self.row.prompt))


@lru_cache(maxsize=64)
def _scored(reward: str, items: tuple[_Asked, ...]) -> tuple[Score, ...]:
    """The scores of answers to rows. Kept, because a page is drawn more often than it changes, and a sandbox takes its time."""
    with rewards.batch_scorer(rewards.parse(reward)) as scorer:
        return asyncio.run(scorer([(one.answer, one.row) for one in items]))
