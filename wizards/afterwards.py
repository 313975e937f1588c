"""What comes after a verdict: a preference data set of the votes, training on it, and the report. A part of the verdict page.

Guarantees: it shows nothing and makes nothing while anybody may still rate, because all of it tells whose answer was better;
what is made once is found again after a reload; what it says of numbers is what the data set will hold.

The page calls ``part`` to show it and hands every press to ``pressed`` first, which answers ``None`` for what is not its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from studio import methods
from studio.compare import preferences
from studio.compare.preferences import Preferences
from studio.compare.standing import SessionState
from studio.data import FEWEST_PROMPTS
from studio.methods import Readiness
from studio.store import Store
from wizards import judging, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, Visit
from wizards.widgets import Html, tag

_MAKE: Final = "prefer"
_TRAIN: Final = "prefer_train"


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What the part shows. ``dataset`` is the id of the data set, empty until it is made."""

    session: str
    found: Preferences
    dataset: str
    readiness: Readiness


def part(store: Store, session: SessionState, owner: str) -> Html | None:
    """The part with its headings, or ``None`` while the answers are sealed or nobody has voted."""
    now = read(store, session, owner)
    return html(now) if now is not None else None


def read(store: Store, session: SessionState, owner: str) -> Afterwards | None:
    """What there is to do with this session. Raises ``NotFoundError``."""
    if (session.open and not session.finished) or not session.votes:
        return None
    found = preferences.of_session(store, session.id, owner)
    return Afterwards(session.id, found, preferences.known(store, found, owner), methods.readiness("dpo", len(found.pairs)))


def html(now: Afterwards) -> Html:
    """The part as markup."""
    return tag("section", tag("h2", "Learn from these votes"), _pairs(now), cls="tf-part tf-afterwards")


def _pairs(now: Afterwards) -> Html:
    many = len(now.found.pairs)
    told = f"{many:,} pair{'' if many == 1 else 's'} of a better and a worse answer"
    return tag("div", tag("p", told), _acts(now), cls="tf-acts")


def _acts(now: Afterwards) -> Html:
    if not now.dataset:
        return widgets.button(
            "Make a preference data set",
            _MAKE,
            phase="Making the data set",
            disabled=len(now.found.pairs) < FEWEST_PROMPTS,
        )
    return widgets.join(
        (
            widgets.button("Train on it (DPO)", _TRAIN, value="dpo", kind="primary", sign="arrow"),
            widgets.button("Train a judge (reward model)", _TRAIN, value="rlhf", sign="arrow"),
        )
    )


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once | None:
    """What a press on this part does, ``None`` for a press on something else. Raises what the domain raises."""
    if said.name not in (_MAKE, _TRAIN):
        return None
    draft = judging.placed(ctx, visit)
    found = preferences.of_session(ctx.store, draft.session, visit.owner)
    dataset = preferences.make_dataset(ctx.settings, ctx.store, found, visit.owner)
    if said.name == _MAKE:
        return draft
    fresh = Draft(method=methods.method(said.value).id, dataset=dataset, model=draft.model)
    return replace(fresh, step="settings")
