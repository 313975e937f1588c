"""``judge``: let a model judge the pairs of a session, beside the people and never among them.

Guarantees: how much will be asked is said before anything is; a key is read from the environment and is in no argument and no
file; the same command again goes on where it ended; while the owner still rates, nothing says how the model chose.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from studio.cli.output import Output
from studio.compare import machine, machine_desk
from studio.compare.machine import JudgeSettings
from studio.compare.machine_desk import Judging
from studio.compare.machine_opinion import LABEL, as_json
from studio.errors import RunError, SettingError
from studio.runs.supervisor import Supervisor
from studio.settings import Secret, Settings
from studio.store import Store, new_id

_PAUSE: Final = 0.25
_DEFAULTS: Final = JudgeSettings("model")


def judge_arguments(parser: argparse.ArgumentParser) -> None:
    """``judge SESSION --endpoint URL --model NAME [--key-env NAME]``, or ``judge SESSION --model nano``."""
    parser.add_argument("session", metavar="SESSION", help="a session; `session list` lists them")
    parser.add_argument(
        "--endpoint",
        default="",
        metavar="URL",
        help="an OpenAI-compatible server, such as https://api.example.org/v1 (default: the place where this studio trains)",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="the model as its server calls it (default: nano; with --endpoint: default, for servers that have one model)",
    )
    parser.add_argument("--key-env", metavar="NAME", help="environment variable that holds the server's key")
    parser.add_argument(
        "--max-tokens", type=int, default=_DEFAULTS.max_tokens, metavar="N", help="longest reply (default: %(default)s)"
    )
    parser.add_argument(
        "--tries", type=int, default=_DEFAULTS.tries, metavar="N", help="make a request at most N times (default: %(default)s)"
    )
    parser.add_argument(
        "--at-once", type=int, default=_DEFAULTS.at_once, metavar="N", help="requests under way together (default: %(default)s)"
    )
    parser.add_argument("--count", action="store_true", help="say how much would be asked, and ask nothing")


def judge(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Ask the model about every pair in both orders, and print what came of it beside what people said."""
    wanted = JudgeSettings(
        asked.model or ("default" if asked.endpoint else "nano"),
        asked.endpoint,
        max_tokens=asked.max_tokens,
        tries=asked.tries,
        at_once=asked.at_once,
    )
    store = Store(settings.database)
    try:
        work = machine.work_of(store, asked.session, settings.owner)
        told = f"{work.pairs:,} pairs, each in both orders: {work.requests:,} requests with {work.characters:,} characters."
        output.say(f"{told} What they cost is up to the server." if wanted.endpoint else told)
        if asked.count:
            output.result({"session_id": asked.session, **asdict(work)})
            return 0
        found = _judged(settings, store, asked.session, wanted, _key(asked.key_env))
        output.result(_document(found))
        _say(found, output)
    finally:
        store.close()
    return 0


def _key(name: str | None) -> Secret | None:
    if name is None:
        return None
    value = os.environ.get(name, "").strip()
    if not value:
        raise SettingError(f"The environment has no key under {name}.", where="--key-env", next_step=f"Set {name} first.")
    return Secret(value)


def _judged(settings: Settings, store: Store, session_id: str, wanted: JudgeSettings, key: Secret | None) -> Judging:
    """Ask what is not asked yet, and wait for it. Raises ``RunError`` when it did not complete."""
    known = machine.find(store, session_id, settings.owner, wanted)
    judge_id = known.id if known is not None else new_id("jdg")
    with Supervisor(settings, store) as supervisor:
        if key is not None:
            supervisor.lend(judge_id, key)
        machine.start_judging(settings, store, session_id, settings.owner, wanted, judge_id=judge_id)
        job = supervisor.submit(judge_id)
        try:
            while not job.ended:
                time.sleep(_PAUSE)
                job = store.jobs.get(judge_id)
        except KeyboardInterrupt:
            # Asking costs money: it must not go on behind the back of somebody who has left.
            supervisor.stop(judge_id)
            raise
    if job.status != "completed":
        raise RunError(f"Asking is {job.status}. {job.reason}".strip(), where=judge_id, next_step=job.next_step)
    return next(one for one in machine_desk.judgings(store, session_id, settings.owner) if one.id == judge_id)


def _document(found: Judging) -> dict[str, Any]:
    tokens = found.tokens or (None, None)
    return {
        "judge_id": found.id,
        "model": found.asked.model,
        "endpoint": found.asked.endpoint,
        "requests": found.requests,
        "answered": found.done,
        "tokens_in": tokens[0],
        "tokens_out": tokens[1],
        "sealed": found.sealed,
        "opinion": None if found.opinion is None else as_json(found.opinion),
    }


def _say(found: Judging, output: Output) -> None:
    output.say(f"{found.done:,} of {found.requests:,} questions are answered.")
    if found.sealed:
        output.say("You are still rating, so what the model said stays sealed.")
    if found.opinion is None:
        return
    told: Mapping[str, Any] = as_json(found.opinion)
    output.table(
        ["compared", "win rate", "low", "high", "evidence", "prompts"],
        [
            (one["label"], *(_number(one[name]) for name in ("win_rate", "low", "high", "evidence", "n_items")))
            for one in told["checkpoints"]
        ],
        title=f"{found.asked.model}: {LABEL}",
    )
    agreed: Mapping[str, Any] = told["agreement_with_people"]
    rows = [
        ("pairs judged in both orders", told["n_judged"]),
        ("changed with the order (ties)", told["n_contradicted"]),
        *((f"missing: {reason}", many) for reason, many in told["missing"].items()),
        ("pairs that people judged, too", agreed["n_pairs"]),
        ("agrees with their majority", agreed["raw"]),
        ("where both took a side", agreed["decisive"]),
        ("Krippendorff's alpha", agreed["alpha"]),
    ]
    output.table(["", ""], [(name, _number(value)) for name, value in rows])


def _number(value: object) -> str:
    return "not known" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
