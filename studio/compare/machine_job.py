"""The process in which a model judges one session: ``python -m studio.compare.machine_job --home DIR --job ID``.

Guarantees: every rating is stored as it arrives, so that a stop or a kill loses only what was under way, and the next process
asks for the rest; the key is taken from this process's environment at once and hidden in everything that is printed; when an
endpoint answers nothing at all, the work ends as failed with what the endpoint said.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from studio import models
from studio.compare.machine import JudgeSettings, Question, questions_left
from studio.compare.machine_client import Endpoint, NoReplyError, Reply, require_allowed
from studio.compare.machine_words import read
from studio.errors import BackendError
from studio.runs.desk import Desk, StopAsked, at_desk, leave
from studio.runs.environment import JUDGE_KEY, settle_down
from studio.settings import Secret
from studio.store import MachineJudgeRow, MachineRatingRow

#: Failures in a row after which asking on is a waste of patience and money.
_ENOUGH_FAILURES: Final = 5
_LOOK_SECONDS: Final = 0.5
_LONGEST_REPLY: Final = 20_000


class Tray:
    """Takes replies in, stores what they say, and counts. ``done`` of ``total`` are ratings, those of before included."""

    def __init__(self, desk: Desk, judge: MachineJudgeRow, left: int, total: int) -> None:
        self._desk, self._judge = desk, judge
        self.done, self.total = total - left, total
        self._failed = 0

    def take(self, question: Question, reply: Reply | NoReplyError) -> None:
        """Store one reply. Raises ``BackendError`` when there is no use in asking on."""
        if isinstance(reply, NoReplyError):
            if reply.hopeless:
                raise reply
            self._failed += 1
            self._store(question, MachineRatingRow(*self._about(question), None, "failed", self._desk.redacted(reply.what)))
            if self._failed >= _ENOUGH_FAILURES:
                raise BackendError(
                    f"{_ENOUGH_FAILURES} questions in a row had no answer. {reply.what}",
                    next_step="What the model said so far is kept. When the server answers again, choose Ask the model again.",
                ) from reply
            return
        self._failed = 0
        found, kept = read(reply.text, reply.ending), self._desk.redacted(reply.text)[:_LONGEST_REPLY]
        told = (found.choice, found.missing, found.detail, kept, reply.tokens_in, reply.tokens_out)
        self._store(question, MachineRatingRow(*self._about(question), *told))
        self.done += 1
        self._desk.progress(self.done, self.total)

    def _about(self, question: Question) -> tuple[str, str, str, str, str]:
        return self._judge.id, question.prompt_id, question.left, question.right, self._judge.owner

    def _store(self, _question: Question, row: MachineRatingRow) -> None:
        self._desk.store.machine.keep([row])


def main() -> int:
    """Judge the session of the job named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("judge", _judge)


def _judge(desk: Desk) -> None:
    given = os.environ.pop(JUDGE_KEY, "")
    if given:
        desk.hide(given)
    judge = desk.store.machine.get(desk.job.id, desk.job.owner)
    wanted, left = JudgeSettings.of(judge), questions_left(desk.store, judge)
    rated = sum(one.missing != "failed" for one in desk.store.machine.ratings(judge.id))
    tray = Tray(desk, judge, len(left), rated + len(left))
    desk.progress(tray.done, tray.total)
    try:
        if wanted.endpoint:
            _ask_endpoint(desk, wanted, Secret(given) if given else None, left, tray)
        else:
            _ask_model(desk, wanted, left, tray)
    except StopAsked as stop:
        raise StopAsked(f"{tray.done:,} of {tray.total:,} ratings are kept.") from stop
    desk.progress(tray.done, tray.total)
    if missing := tray.total - tray.done:
        desk.store.jobs.tell(desk.job.id, f"{missing:,} questions had no answer. They can be asked again.")


def _ask_endpoint(desk: Desk, wanted: JudgeSettings, key: Secret | None, left: Sequence[Question], tray: Tray) -> None:
    require_allowed(desk.settings, wanted.endpoint)
    settle_down(desk.settings, offline=False)
    desk.phase("asking the model")
    ended = threading.Event()
    endpoint, waiting = Endpoint(wanted, key, ended=ended), list(reversed(left))
    pool = ThreadPoolExecutor(wanted.at_once)
    under_way: dict[Future[Reply], Question] = {}
    try:
        while waiting or under_way:
            desk.check()
            while waiting and len(under_way) < wanted.at_once:
                question = waiting.pop()
                under_way[pool.submit(endpoint.ask, question.messages)] = question
            for future in wait(under_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED).done:
                error = future.exception()
                if error is not None and not isinstance(error, NoReplyError):
                    raise error
                tray.take(under_way.pop(future), error if isinstance(error, NoReplyError) else future.result())
    finally:
        # Threads that wait for a server are left behind: the process ends with its work.
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _ask_model(desk: Desk, wanted: JudgeSettings, left: Sequence[Question], tray: Tray) -> None:
    model = models.get(wanted.model)
    settle_down(desk.settings, offline=model.local)
    from studio.compare.generate_judging import reply_all
    from studio.runs.link import beside, connected

    with connected(desk, [model.name]) as link:
        desk.check()
        desk.phase("asking the model")
        beside(link, reply_all(model, wanted, left, tray.take), check=desk.check)


if __name__ == "__main__":
    leave(main())
