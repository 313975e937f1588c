"""What comes after a verdict: the report, a preference data set of the votes, and training on it. A part of the verdict page.

Guarantees: it shows nothing and makes nothing while anybody may still rate, because all of it tells whose answer was better;
what was made is found again after a reload; what it says of numbers is what the data set holds.

The page calls ``part`` to show it and hands every press to ``pressed`` first, which answers ``None`` for what is not its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from studio import methods
from studio.compare import preferences
from studio.compare.preferences import Preferences
from studio.compare.sentences import people
from studio.compare.standing import SessionState
from studio.data import FEWEST_PROMPTS
from studio.errors import NotFoundError
from studio.recipe import Recipe
from studio.store import Store
from wizards import judging, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, Visit
from wizards.widgets import Html, tag

_MAKE: Final = "prefer"
_TRAIN: Final = "prefer_train"


@dataclass(frozen=True, slots=True)
class Afterwards:
    """What the part shows. ``dataset`` is the id of the data set, empty until it is made; ``judged_by`` counts its people."""

    session: str
    found: Preferences
    dataset: str
    judged_by: int


def part(store: Store, session: SessionState, owner: str) -> Html | None:
    """The part with its headings, or ``None`` while the answers are sealed or nobody has voted."""
    now = read(store, session, owner)
    return html(now) if now is not None else None


def read(store: Store, session: SessionState, owner: str) -> Afterwards | None:
    """What there is to do with this session. Raises ``NotFoundError``."""
    if (session.open and not session.finished) or not session.votes:
        return None
    found = preferences.of_session(store, session.id, owner)
    return Afterwards(session.id, found, preferences.known(store, found, owner), int(found.provenance["people"]))


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Afterwards) -> Html:
    """Both parts as markup."""
    return widgets.join((_report(now), _learning(now)))


def _report(now: Afterwards) -> Html:
    return tag(
        "section",
        tag("h2", "Report"),
        tag(
            "p",
            "What was compared, by whom, what came out and what it does not say, in one file to send, keep or print. It holds "
            "the votes without names, so anybody can compute its numbers again.",
            cls="tf-remark",
        ),
        tag(
            "div",
            _link("Save the report", now.session, "report.html", kind="secondary"),
            _link("Model card section (Markdown)", now.session, "report.md"),
            _link("Its picture (SVG)", now.session, "report.svg"),
            cls="tf-acts",
        ),
        cls="tf-part tf-afterwards",
    )


def _link(words: str, session: str, what: str, *, kind: str = "quiet") -> Html:
    href = f"/take/session/{session}/{what}"
    return tag("a", widgets.icon("file"), tag("span", words), href=href, download=True, cls=f"tf-button tf-{kind}")


def _learning(now: Afterwards) -> Html:
    return tag(
        "section",
        tag("h2", "Learn from these votes"),
        tag("p", _told(now)),
        *(_made(now) if now.dataset else (_make(now),)),
        _left_out(now.found),
        cls="tf-part tf-afterwards",
    )


def _told(now: Afterwards) -> str:
    many = len(now.found.pairs)
    pairs = "1 pair" if many == 1 else f"{many:,} pairs"
    if not many:
        return "No prompt has a majority for one of the answers, so there is no pair to learn from."
    agreed = "one person preferred" if now.judged_by == 1 else "most of those who judged preferred"
    who = people(now.judged_by).lower()
    return f"The votes of {who} give {pairs} of a better and a worse answer: prompts on which {agreed} one."


def _left_out(found: Preferences) -> Html | None:
    if not found.remarks:
        return None
    return widgets.more(
        "What is left out",
        tag("ul", *(tag("li", f"{one}.") for one in found.remarks), cls="tf-notes"),
        keep="afterwards-left-out",
    )


def _make(now: Afterwards) -> Html:
    too_few = len(now.found.pairs) < FEWEST_PROMPTS
    act = widgets.button("Make a preference data set", _MAKE, phase="Checking and splitting the pairs", disabled=too_few)
    return widgets.join(
        (
            tag("div", act, cls="tf-acts"),
            tag("p", f"It takes at least {FEWEST_PROMPTS} pairs.", cls="tf-remark tf-under-acts") if too_few else None,
        )
    )


def _made(now: Afterwards) -> tuple[Html, ...]:
    acts = (
        widgets.button("Train on it (DPO)", _TRAIN, value="dpo", kind="primary", sign="arrow"),
        widgets.button("Train a judge (reward model)", _TRAIN, value="rlhf", sign="arrow"),
        tag(
            "a",
            widgets.icon("file"),
            tag("span", "Data card"),
            href=f"/take/{now.dataset}/card.md",
            download=True,
            cls="tf-button tf-quiet",
        ),
    )
    return (
        tag("p", widgets.pill("Data set made", "good"), " ", tag("code", now.dataset), cls="tf-afterwards-made"),
        tag("p", f"{methods.readiness('dpo', len(now.found.pairs)).sentence} More sessions give more pairs.", cls="tf-remark"),
        tag("div", *acts, cls="tf-acts"),
        tag(
            "p",
            "DPO changes the model by the pairs themselves. A judge learns from them what people like, and the model then "
            "practises for it. Either way the model has then seen these prompts, so a later comparison refuses or stamps them.",
            cls="tf-remark tf-under-acts",
        ),
    )


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once | None:
    """What a press on this part does, ``None`` for a press on something else. Raises what the domain raises."""
    if said.name not in (_MAKE, _TRAIN):
        return None
    draft = judging.placed(ctx, visit)
    found = preferences.of_session(ctx.store, draft.session, visit.owner)
    dataset = preferences.make_dataset(ctx.settings, ctx.store, found, visit.owner)
    return draft if said.name == _MAKE else learning(ctx.store, visit, dataset, said.value)


def learning(store: Store, visit: Visit, dataset: str, method: str) -> Draft:
    """On to *Settings* with a preference data set, for a new run that goes on from the one that is on screen, if it can.

    What people compared is that run; from the model as it was made, what it has learned would be lost. One press on *Settings*
    takes it back. Raises ``NotFoundError`` for a method that there is none of.
    """
    fresh = Draft(method=methods.method(method).id, dataset=dataset, model=visit.draft.model).at("settings")
    try:
        run = store.runs.get(visit.draft.run, visit.owner)
    except NotFoundError:
        return fresh
    if not run.checkpoint_path or not store.jobs.get(run.id).ended:
        return fresh
    rank = Recipe.from_json(run.recipe_json).lora_rank
    kept = Draft(method=fresh.method, dataset=dataset, model=run.model).at("settings")
    return kept.with_change("start_from", run.id).with_change("lora_rank", str(rank))
