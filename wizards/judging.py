"""The way from a finished run to votes, which several pages share: answers, a session, a seat in it, a link for somebody else.

Guarantees: an open session is used again, so that asking twice makes nothing twice; an invite's token goes to the browser once,
in the part of an address that browsers send to nobody, and is in no draft; an owner who still rates is recognised, so that no
page shows them how the votes fall.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio.compare import blind, generate
from studio.compare.blind import RaterProgress, SessionState
from studio.compare.looked import kin
from studio.errors import NotFoundError, RunError
from studio.store import ComparisonRow, SessionRow, Store
from wizards import widgets
from wizards.draft import Draft
from wizards.shell import Action, Context, Once, Said, StepParts, Visit
from wizards.widgets import Html, tag

#: With its slash: without, a browser would be sent there in two steps.
RATE: Final = "/rate/"


@dataclass(frozen=True, slots=True)
class Place:
    """What there is to judge: the comparison of a run and its session, as far as they exist."""

    comparison: ComparisonRow | None
    session: SessionRow | None


def place_of(store: Store, draft: Draft, owner: str) -> Place:
    """The comparison and the session that the draft names, or the newest of its run."""
    comparison = _comparison(store, draft, owner)
    return Place(comparison, _session(store, comparison, draft, owner) if comparison else None)


def _comparison(store: Store, draft: Draft, owner: str) -> ComparisonRow | None:
    if draft.comparison:
        try:
            return store.comparisons.get(draft.comparison, owner)
        except NotFoundError:
            pass  # an old link: the run's newest is the best that can be shown
    return next(iter(store.comparisons.of_run(draft.run, owner)), None) if draft.run else None


def _session(store: Store, comparison: ComparisonRow, draft: Draft, owner: str) -> SessionRow | None:
    sessions = store.ratings.sessions(comparison.id, owner)
    return next((one for one in sessions if one.id == draft.session), next(iter(sessions), None))


def placed(ctx: Context, visit: Visit) -> Draft:
    """The draft with the ids of its comparison and session written in."""
    place = place_of(ctx.store, visit.draft, visit.owner)
    return replace(
        visit.draft,
        comparison=place.comparison.id if place.comparison else "",
        session=place.session.id if place.session else "",
    )


def begin(ctx: Context, visit: Visit) -> Draft:
    """Let both models answer, and go to the step that shows it. Raises as ``start_comparison`` does."""
    comparison = generate.start_comparison(ctx.settings, ctx.store, visit.draft.run, visit.owner)
    ctx.supervisor.submit(comparison.id)
    return placed(ctx, replace(visit, draft=replace(visit.draft, comparison=comparison.id).at("compare")))


def take_seat(ctx: Context, visit: Visit) -> Once:
    """A seat for the owner in the open session (a new session when there is none), and on to the rating page."""
    session = _open_session(ctx, visit)
    invite = blind.own_seat(ctx.store, session.id, visit.owner)
    draft = replace(visit.draft, comparison=session.comparison_id, session=session.id)
    return Once(draft, leave=f"{RATE}#{invite.token}", back="/?" + draft.at("verdict").to_query())


def invite_guest(ctx: Context, visit: Visit, *, name: str = "", days: float | None = None) -> Once:
    """A link for somebody else, said once above the step; without a name they are a numbered guest. Raises as ``invite``."""
    session = _open_session(ctx, visit)
    guests = sum(not one.is_owner for one in blind.raters(ctx.store, session.id, visit.owner))
    invite = blind.invite(ctx.store, session.id, visit.owner, name.strip() or f"Guest {guests + 1}", days=days)
    draft = replace(visit.draft, comparison=session.comparison_id, session=session.id)
    return Once(draft, said=link_notice(invite.name, f"{RATE}#{invite.token}", invite.expires_at))


def close(ctx: Context, visit: Visit) -> Draft:
    """End the session for good. Raises ``NotFoundError``."""
    draft = placed(ctx, visit)
    blind.close(ctx.store, draft.session, visit.owner)
    return draft


def _open_session(ctx: Context, visit: Visit) -> SessionRow:
    place = place_of(ctx.store, visit.draft, visit.owner)
    if place.comparison is None:
        raise RunError("There are no answers to rate yet.", next_step="Let both models answer first.")
    if place.session is not None and place.session.state != "closed":
        return place.session
    return blind.open_session(ctx.store, place.comparison.id, visit.owner)


def own_seat(state: SessionState) -> RaterProgress | None:
    """The owner's seat that still has pairs to rate, or ``None``. While there is one, no page may tell how the votes fall."""
    return next((one for one in state.raters if one.is_owner and not one.revealed), None) if state.open else None


def rates_the_same(store: Store, here: ComparisonRow) -> bool:
    """Whether the owner still rates answers to some of these prompts in another comparison of the run."""
    sessions = (row for other in kin(store, here) for row in store.ratings.sessions(other.id, here.owner))
    return any(own_seat(blind.state(store, row.id, here.owner)) is not None for row in sessions)


def link_notice(name: str, href: str, expires_at: float | None = None) -> Html:
    """The link, whole, with a button that copies it. The page writes its own origin in front."""
    until = "" if expires_at is None else f" It leads in until {day(expires_at)}."
    return tag(
        "div",
        widgets.icon("info", 20),
        tag(
            "div",
            tag("p", tag("strong", f"Send this link to one person ({name})."), cls="tf-notice-what"),
            tag("p", tag("code", href, id="tf-invite", data_origin=True, cls="tf-link-text")),
            tag(
                "p",
                "It needs no account and shows nothing but the pairs. Whoever has it rates as this person. "
                f"It is shown here once: the studio keeps only its fingerprint.{until}",
            ),
            tag("button", "Copy the link", type="button", cls="tf-button tf-secondary", data_copy="tf-invite"),
        ),
        cls="tf-notice is-quiet",
        role="status",
    )


def day(at: float) -> str:
    """A day as people write it: ``22 Nov 2026``. ``at`` is in epoch seconds."""
    told = time.localtime(at)
    return f"{told.tm_mday} {time.strftime('%b %Y', told)}"


def seat_door(session_id: str, label: str) -> Html:
    """Back to the owner's seat. The link is known to the browser that took it; another browser gets the button beside it."""
    return tag(
        "span",
        tag("a", label, widgets.icon("arrow"), href=RATE, hidden=True, cls="tf-button tf-primary"),
        widgets.button("Rate in this browser", "rate", kind="secondary", phase="Opening your rating page"),
        data_seat=session_id,
        cls="tf-seat",
    )


def raters_table(state: SessionState) -> Html:
    """Who rates and how far they are, without a word on what they said."""
    rows = [(_named(one), f"{one.done:,} of {one.total:,}", how_far(one, state)) for one in state.raters]
    return widgets.table(("Who", "Pairs rated", "State"), rows, caption="Who rates", cls="tf-raters")


def _named(one: RaterProgress) -> Html:
    """With the neutral name that stands in notes and exports."""
    return widgets.join((tag("strong", one.name), tag("span", one.label, cls="tf-remark")), " ")


def how_far(one: RaterProgress, state: SessionState) -> Html:
    """Where a rater stands, in a word."""
    if one.revealed:
        return widgets.pill("Finished", "good")
    if not state.open:
        return widgets.pill("Closed", "quiet")
    if one.seat in ("expired", "withdrawn"):
        return widgets.pill("Expired" if one.seat == "expired" else "Taken back", "quiet")
    if state.status == "paused":
        return widgets.pill("Paused", "quiet")
    return widgets.pill("Rating", "live") if one.done else widgets.pill("Not started", "quiet")


def one_panel(
    read: Callable[[Visit], Html], missing: Callable[[str], Html], pressed: Callable[[Visit, Said], Draft | Once]
) -> StepParts:
    """A step that is one panel about one run; ``missing`` shows that the run is not there."""
    panel = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        try:
            return (read(visit),)
        except NotFoundError:
            return (missing(visit.draft.run),)

    return StepParts(outputs=(panel,), show=show, actions=(Action(panel.pick, pressed),), ticking=(panel,))
