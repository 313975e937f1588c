"""``session``: open a blind rating session, invite people, look at it, extend it, close it, take the votes home.

Guarantees: tokens are printed once and nowhere kept; while the owner still rates, ``show`` says nothing of how the votes fall;
``export`` writes a file whole or not at all, and ``tuning-fork verdict FILE`` computes every number from it again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from studio.cli.output import Output, write_whole
from studio.cli.reporting import prefer
from studio.compare import blind, known_pairs, outcome
from studio.compare.blind import SessionOptions, SessionPlan, SessionState
from studio.compare.recompute import as_json
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.settings import Settings
from studio.store import Store

#: What each action takes beside its target.
_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "create": (
        *("prompts", "ratings", "per_rater", "overlap", "criterion", "comments", "gold", "gold_file", "min_seconds"),
        *("all_pairs", "days", "open_to_logins"),
    ),
    "invite": ("name", "count", "days", "url"),
    "list": (),
    "show": (),
    "pause": (),
    "resume": (),
    "extend": ("prompts", "days"),
    "withdraw": ("rater",),
    "close": (),
    "export": ("out", "csv"),
    "prefer": ("out",),
}
_URL: Final = "http://127.0.0.1:7860"


def session_arguments(parser: argparse.ArgumentParser) -> None:
    """``session create COMPARISON|RUN``, ``session list``, ``session invite|show|extend|close|export|prefer|… SESSION``."""
    parser.add_argument("action", choices=tuple(_ACTIONS), help="what to do")
    parser.add_argument(
        "target", nargs="?", default="", metavar="ID", help="a comparison or run to create from, otherwise a session"
    )
    new = parser.add_argument_group("create")
    new.add_argument("--prompts", type=int, metavar="N", help="rate N prompts; with extend: add up to N")
    new.add_argument("--ratings", type=int, metavar="N", help="let N people rate each prompt (default: everybody rates all)")
    new.add_argument("--per-rater", type=int, metavar="N", help="deal at most N pairs to one person")
    new.add_argument("--overlap", type=float, metavar="SHARE", help="share of prompts that everybody sees, 0 to 1")
    new.add_argument(
        "--criterion", action="append", metavar="NAME", help="a question beside the overall one; repeat for several"
    )
    new.add_argument("--comments", action="store_true", default=None, help="let raters write a comment")
    new.add_argument("--gold", type=int, metavar="N", help="strew in N pairs of which the better answer is known")
    new.add_argument("--gold-file", type=Path, metavar="FILE", help='such pairs of your own: [{"prompt", "better", "worse"}]')
    new.add_argument("--min-seconds", type=float, metavar="S", help="least time between two votes")
    new.add_argument("--all-pairs", action="store_true", default=None, help="compare challengers with each other, too")
    new.add_argument("--open-to-logins", action="store_true", default=None, help="let signed-in people take a seat themselves")
    others = parser.add_argument_group("invite, extend, withdraw, export, prefer")
    others.add_argument("--days", type=float, metavar="D", help="how long invites lead in")
    others.add_argument("--name", metavar="NAME", help="whom the invite is for")
    others.add_argument("--count", type=int, metavar="N", help="make N invites")
    others.add_argument("--url", metavar="URL", help=f"where raters reach the studio (default: {_URL})")
    others.add_argument("--rater", metavar="RATER", help="whose seat is taken back; `show` lists them")
    others.add_argument("--out", type=Path, metavar="FILE", help="write the export, or the pairs of prefer, to this file")
    others.add_argument("--csv", action="store_true", default=None, help="export the votes as CSV")


def session(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Do one thing with a rating session."""
    _require_fitting(asked)
    store = Store(settings.database)
    try:
        if asked.action == "prefer":
            return prefer(asked.target, asked.out, settings, store, output)
        return _DOES[asked.action](asked, store, settings.owner, output)
    finally:
        store.close()


def _require_fitting(asked: argparse.Namespace) -> None:
    """Refuse an option that would be ignored."""
    takes = _ACTIONS[asked.action]
    every = {name for names in _ACTIONS.values() for name in names}
    for name in sorted(every - set(takes)):
        if getattr(asked, name) is not None:
            raise SettingError(
                f"`session {asked.action}` takes no --{name.replace('_', '-')}.",
                next_step="Leave it out; see `session --help`.",
            )
    if not asked.target and asked.action != "list":
        what = "comparison or run" if asked.action == "create" else "session"
        raise SettingError(f"Which {what}?", where="ID", next_step="`session list` lists sessions, `runs` lists runs.")


def _create(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    found: dict[str, Any] = {
        "prompts": asked.prompts,
        "ratings_per_prompt": asked.ratings,
        "per_rater": asked.per_rater,
        "overlap": asked.overlap,
        "criteria": asked.criterion,
        "comments": asked.comments,
        "gold": asked.gold,
        "min_seconds": asked.min_seconds,
        "pairs": "all" if asked.all_pairs else None,
        "expires_days": asked.days,
        "login": asked.open_to_logins,
    }
    options = SessionOptions.from_dict({name: value for name, value in found.items() if value is not None})
    known = known_pairs.from_json(_text(asked.gold_file)) if asked.gold_file else ()
    row = blind.open_session(store, _comparison(store, asked.target, owner), owner, options=options, known=known)
    state, plan = blind.state(store, row.id, owner), SessionPlan.of(row)
    output.result(
        {"session_id": row.id, "comparison_id": row.comparison_id, "prompts": len(plan.rated), "pairs": state.pairs}
        | {"automatic_ties": state.automatic_ties, "gold": state.gold, "options": asdict(plan.options)}
    )
    output.say(f"Session {row.id}: {state.pairs:,} pairs to rate on {len(plan.rated):,} prompts.")
    output.say(f"Invite people: tuning-fork session invite {row.id} --name NAME")
    return 0


def _comparison(store: Store, target: str, owner: str) -> str:
    """The comparison itself, or the newest complete one of a run."""
    if not target.startswith("run-"):
        return store.comparisons.get(target, owner).id
    for one in store.comparisons.of_run(store.runs.get(target, owner).id, owner):
        if store.jobs.get(one.id).status == "completed":
            return one.id
    raise RunError("This run has no complete comparison.", where=target, next_step=f"Make one: tuning-fork compare {target}")


def _invite(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    many = 1 if asked.count is None else asked.count
    if not 1 <= many <= 500:
        raise SettingError("This value cannot work.", where="--count", next_step="Use a whole number from 1 to 500.")
    before, made = len(blind.raters(store, asked.target, owner)), []
    for number in range(1, many + 1):
        name = asked.name or f"Guest {before + number}"
        name = f"{name} {number}" if asked.name and many > 1 else name
        one = blind.invite(store, asked.target, owner, name, days=asked.days)
        link = f"{(asked.url or _URL).rstrip('/')}/rate/#{one.token}"
        made.append(
            {"rater_id": one.rater_id, "name": one.name, "link": link, "token": one.token, "expires_at": one.expires_at}
        )
    output.result({"session_id": asked.target, "invites": made})
    for one in made:
        output.say(f"{one['name']}: {one['link']}")
    output.say("Each link is shown here once, and whoever has it rates as this person.")
    return 0


def _list(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    rows = store.ratings.sessions(asked.target, owner) if asked.target else store.ratings.all(owner)
    states = [blind.state(store, one.id, owner) for one in rows]
    output.result([_summary(one) | {"created_at": row.created_at} for one, row in zip(states, rows, strict=True)])
    output.table(
        ["session", "comparison", "state", "raters", "votes", "pairs"],
        [(one.id, one.comparison_id, _state_of(one), len(one.raters), one.votes, one.pairs) for one in states],
    )
    if not states:
        output.say("No sessions yet. Open one: tuning-fork session create RUN")
    return 0


def _show(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    state = blind.state(store, asked.target, owner)
    sealed = any(one.is_owner and one.seat in ("waiting", "rating") for one in state.raters)
    told = None if sealed else outcome.verdict_of(store, state.id, owner)
    history = [{"at": one.at, "text": one.text} for one in store.ratings.events(state.id)]
    output.result(
        _summary(state)
        | {"raters": [asdict(one) for one in state.raters], "options": asdict(state.options), "history": history}
        | {"sealed": sealed, "verdict": None if told is None else as_json(told)}
    )
    output.say(f"Session {state.id} is {_state_of(state)}: {state.closed_pairs:,} of {state.pairs:,} pairs count so far.")
    output.table(
        ["rater", "name", "pairs", "state", "id"],
        [(one.label, one.name, f"{one.done} of {one.total}", one.seat, one.rater_id) for one in state.raters],
    )
    output.say("You are still rating, so the verdict stays sealed." if told is None else f"\n{told.sentence}")
    return 0


def _pause(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    return _moved(asked.target, "paused", blind.pause, store, owner, output)


def _resume(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    return _moved(asked.target, "open", blind.resume, store, owner, output)


def _moved(session_id: str, to: str, act: Callable[[Store, str, str], bool], store: Store, owner: str, output: Output) -> int:
    act(store, session_id, owner)
    now = blind.state(store, session_id, owner)
    if now.status != to:
        raise RunError("This session is closed, for good.", where=session_id, next_step="Open a new one over the same answers.")
    output.result(_summary(now))
    output.say(f"Session {session_id} is {_state_of(now)}.")
    return 0


def _extend(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    blind.extend(store, asked.target, owner, prompts=asked.prompts or 0, days=asked.days or 0.0)
    now = blind.state(store, asked.target, owner)
    output.result(_summary(now))
    output.say(f"Session {now.id} now holds {now.pairs:,} pairs.")
    return 0


def _withdraw(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    if not asked.rater:
        raise SettingError("Whose seat?", where="--rater", next_step=f"`session show {asked.target}` lists them.")
    known = blind.raters(store, asked.target, owner)
    rater = next((one for one in known if asked.rater in (one.rater_id, one.label)), None)
    if rater is None:
        raise NotFoundError("This rater is not part of the session.", where=asked.rater, next_step="`session show` lists them.")
    blind.withdraw(store, asked.target, owner, rater.rater_id)
    output.result({"session_id": asked.target, "rater_id": rater.rater_id, "withdrawn": True})
    output.say(f"The seat of {rater.name} takes no more votes. What they rated is kept.")
    return 0


def _close(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    blind.close(store, asked.target, owner)
    now = blind.state(store, asked.target, owner)
    output.result(_summary(now))
    output.say(f"Session {now.id} is closed. Take the votes home: tuning-fork session export {now.id} --out votes.json")
    return 0


def _export(asked: argparse.Namespace, store: Store, owner: str, output: Output) -> int:
    if asked.csv and output.as_json:
        raise SettingError("Votes as CSV are not JSON.", where="--csv", next_step="Leave out one of the two.")
    document = outcome.export(store, asked.target, owner)
    text = (
        outcome.export_csv(store, asked.target, owner)
        if asked.csv
        else json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    )
    if asked.out is None:
        output.result(document)
        output.say(text.rstrip("\n"))
        return 0
    write_whole(asked.out, text)
    output.result({"session_id": asked.target, "file": str(asked.out), "votes": len(document["items"])})
    output.say(f"{len(document['items']):,} votes are in {asked.out}. Recompute: tuning-fork verdict {asked.out}")
    return 0


def _summary(state: SessionState) -> dict[str, Any]:
    return {
        "session_id": state.id,
        "comparison_id": state.comparison_id,
        "status": state.status,
        "ended": state.ended,
        "pairs": state.pairs,
        "closed_pairs": state.closed_pairs,
        "automatic_ties": state.automatic_ties,
        "gold": state.gold,
        "votes": state.votes,
        "n_raters": len(state.raters),
    }


def _state_of(state: SessionState) -> str:
    return "finished" if state.ended and state.status == "open" else state.status


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("The file cannot be read.", where=str(path), next_step="Check the path; it has to be UTF-8.") from error


_DOES: Final[Mapping[str, Callable[[argparse.Namespace, Store, str, Output], int]]] = {
    "create": _create,
    "invite": _invite,
    "list": _list,
    "show": _show,
    "pause": _pause,
    "resume": _resume,
    "extend": _extend,
    "withdraw": _withdraw,
    "close": _close,
    "export": _export,
}
