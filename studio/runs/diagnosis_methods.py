"""Says how a run goes, for every method, from the numbers that its method has: one sentence and one action.

Guarantees: pure functions; the same numbers give the same sentence; every threshold is a named number below; what endangers the
result is said before what looks well. Examples are judged by ``diagnosis`` itself, and so are stages that learn from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from studio.runs.diagnosis import Diagnosis, diagnose, smooth, window_for
from studio.runs.metrics import Point

Series = Mapping[str, tuple[Point, ...]]

#: Steps before anything is said about pairs or practice.
EARLY: Final = 3
#: The reward of the better answers (beta times the log of how much likelier they are) below which they are being lost.
LOST: Final = -0.1
#: Held-out pairs preferred rightly, at most, that are no better than chance; and how far below its best it may fall.
CHANCE: Final = 0.55
ACCURACY_FALL: Final = 0.05
#: Steps after which chance is no longer a matter of patience.
PATIENCE: Final = 10
#: Share of questions with differing scores below which practice has nothing to go by, over the last ``RECENT`` steps.
NO_SIGNAL: Final = 0.1
RECENT: Final = 5
#: Answers this many times longer or shorter than at first, while the reward rises, are a way to please the reward.
STRETCHED: Final = 2.0
#: Distance to the start in nats per token that is too much where the recipe sets no limit (Tinker's guide to RL).
TOO_FAR: Final = 0.1
#: Share of answers that could not be scored, and fall of the reward, that deserve a word.
UNSCORED: Final = 0.1
REWARD_FALL: Final = 0.1


def diagnose_run(method: str, series: Series, total: int, *, ended: bool = False, kl_limit: float | None = None) -> Diagnosis:
    """How a run of ``method`` goes. ``series`` is what ``Progress.series`` holds, ``total`` the steps of the last stage.

    While an earlier stage is at work, it is that stage that is judged. ``kl_limit`` is the recipe's, in nats per token.
    """
    begun = any("/" not in name and points for name, points in series.items())
    if not begun and (judge := series.get("judge/validation_accuracy")):
        return _judge(judge, ended=ended)
    if not begun and (losses := series.get("warm_start/train_loss")):
        return diagnose(losses, series.get("warm_start/validation_loss", ()), max(total, len(losses)), ended=ended)
    match method:
        case "dpo":
            return _pairs(series, ended=ended)
        case "rl" | "rlhf":
            return _practice(series, ended=ended, kl_limit=kl_limit)
        case "distill" if "teacher_kl" in series:
            return _taught(series["teacher_kl"], total, ended=ended)
        case _:
            return diagnose(series.get("train_loss", ()), series.get("validation_loss", ()), total, ended=ended)


def _pairs(series: Series, *, ended: bool) -> Diagnosis:
    losses, accuracy = series.get("train_loss", ()), series.get("validation_accuracy", ())
    if any(not math.isfinite(point.value) for point in losses[-3:]):
        return _run_away()
    if len(losses) < EARLY:
        return _early(ended=ended)
    lost = _both_fall(series)
    if lost is not None:
        return lost
    if len(accuracy) < 2:
        return Diagnosis("wait", "Nothing was measured on held-out pairs yet.", "Wait for the next check.")
    first, last, best = accuracy[0].value, accuracy[-1].value, max(point.value for point in accuracy)
    if last < best - ACCURACY_FALL:
        return Diagnosis(
            "warn",
            f"It preferred the better of two unseen answers in {best:.0%} of pairs, and now in {last:.0%}: it begins to learn "
            "your pairs by heart.",
            "Next time use fewer passes." if ended else "Stop it now, and next time use fewer passes.",
        )
    if last <= CHANCE and len(losses) >= PATIENCE:
        return Diagnosis(
            "warn",
            f"It prefers the better of two unseen answers in {last:.0%} of pairs, which is no better than chance.",
            "Check that the better answers are in the column for the better ones; then try a larger learning rate.",
        )
    return Diagnosis(
        "good",
        f"It prefers the better of two unseen answers in {last:.0%} of pairs ({first:.0%} before training).",
        "Next: compare it with the base model, and read the answers." if ended else "Nothing to do. Let it run.",
    )


def _both_fall(series: Series) -> Diagnosis | None:
    """The warning of DPO's known failure: the margin grows because both answers become unlikely, the worse one faster."""
    chosen = _now(series, "validation_chosen_reward", "chosen_reward")
    rejected = _now(series, "validation_rejected_reward", "rejected_reward")
    if chosen is None or rejected is None or chosen > LOST or rejected > LOST:
        return None
    return Diagnosis(
        "warn",
        f"Both rewards fall (better {chosen:.2f}, worse {rejected:.2f}): the model turns away from the better answers as well, "
        "and may end up writing something else.",
        "Start again with a learning rate three to ten times smaller, or warm up on the better answers first. Read some "
        "answers before you use it.",
    )


def _now(series: Series, *names: str) -> float | None:
    """Where the first of these series that has more than one point stands, without the noise of single steps."""
    for name in names:
        points = series.get(name, ())
        if len(points) > 1:
            return smooth(points, window_for(len(points)))[-1].value if "validation" not in name else points[-1].value
    return None


def _practice(series: Series, *, ended: bool, kl_limit: float | None) -> Diagnosis:
    reward, share = series.get("reward", ()), series.get("signal_share", ())
    if len(reward) < EARLY:
        return _early(ended=ended)
    if (unscored := _mean(series.get("missing_share", ())[-RECENT:])) > UNSCORED:
        return Diagnosis(
            "warn",
            f"{unscored:.0%} of the answers could not be scored, so they teach nothing.",
            "Open some answers to see why, and correct the reward.",
        )
    measured = series.get("validation_reward", ())
    first, last = (
        (measured[0].value, measured[-1].value) if len(measured) > 1 else (_mean(reward[:RECENT]), _mean(reward[-RECENT:]))
    )
    # A trick that every answer has learned scores alike too, so it is looked for first.
    pleasing = _pleasing(series, kl_limit) if last > first else None
    if pleasing is not None:
        return pleasing
    if len(share) >= EARLY and _mean(share[-RECENT:]) < NO_SIGNAL:
        right = last > 0.9
        return Diagnosis(
            "warn",
            f"All answers to a question score alike in {1 - _mean(share[-RECENT:]):.0%} of questions: there is nothing to "
            "learn from.",
            "It already gets them right: use harder questions."
            if right
            else "Use easier questions, a reward that gives part marks, more answers to each question, or more temperature.",
        )
    unseen = "on questions it has not seen " if len(measured) > 1 else ""
    if last < first - REWARD_FALL:
        return Diagnosis(
            "bad",
            f"The reward {unseen}has fallen from {first:.2f} to {last:.2f}.",
            "Stop, and start a new run with a learning rate three to ten times smaller.",
        )
    if last <= first:
        return Diagnosis(
            "wait", f"The reward {unseen}has not risen yet ({first:.2f} to {last:.2f}).", "Wait, or read some answers."
        )
    tense = "rose" if ended else "rises"
    action = "Next: compare it with the base model." if ended else "Nothing to do. Let it run, and read some answers."
    return Diagnosis("good", f"The reward {unseen}{tense} from {first:.2f} to {last:.2f}.", action)


def _pleasing(series: Series, kl_limit: float | None) -> Diagnosis | None:
    """Signs that a rising reward is earned by a trick (reward hacking), or ``None``."""
    length, far = series.get("answer_tokens", ()), series.get("kl", ())
    before, now = _mean(length[:EARLY]), _mean(length[-EARLY:])
    advice = "Read some answers. If they are worse, change the reward, hold it closer to the start, or stop earlier."
    if len(length) > EARLY and before > 0 and not 1 / STRETCHED <= now / before <= STRETCHED:
        grown = "longer" if now > before else "shorter"
        return Diagnosis(
            "warn",
            f"The reward rises while answers get much {grown} ({before:.0f} to {now:.0f} tokens): perhaps a trick.",
            advice,
        )
    limit = TOO_FAR if kl_limit is None else kl_limit
    if far and (moved := _mean(far[-EARLY:])) > limit:
        return Diagnosis(
            "warn",
            f"The reward rises, and the model has moved {moved:.2f} nats per token from its start ({limit:g} is the limit).",
            advice,
        )
    return None


def _judge(accuracy: Sequence[Point], *, ended: bool) -> Diagnosis:
    now = accuracy[-1].value
    if ended and now <= CHANCE:
        return Diagnosis(
            "bad",
            f"The judge is right on {now:.0%} of unseen pairs, no better than chance, so practice for it would teach nothing.",
            "Check the pairs, add more, or train the judge longer.",
        )
    level = "good" if now > CHANCE else "wait"
    return Diagnosis(level, f"The judge is right on {now:.0%} of pairs it has not seen.", "Nothing to do. Let it run.")


def _taught(distance: Sequence[Point], total: int, *, ended: bool) -> Diagnosis:
    if len(distance) < EARLY:
        return _early(ended=ended)
    first, last = _mean(distance[:EARLY]), smooth(distance, window_for(total))[-1].value
    if not math.isfinite(last):
        return _run_away()
    if last < first:
        tense = "came" if ended else "comes"
        action = "Next: compare it with the base model." if ended else "Nothing to do. Let it run."
        return Diagnosis("good", f"It {tense} closer to its teacher ({first:.2f} to {last:.2f} nats per token).", action)
    return Diagnosis(
        "warn" if ended or len(distance) > PATIENCE else "wait",
        f"It is no closer to its teacher than at first ({first:.2f} to {last:.2f} nats per token).",
        "Try a learning rate three times smaller, or answers with more room.",
    )


def _early(*, ended: bool) -> Diagnosis:
    if ended:
        return Diagnosis("wait", "It ended before there was anything to judge.", "Resume it, or start a new run.")
    return Diagnosis("wait", "It has just begun. The first steps say little.", f"Wait for step {EARLY}.")


def _run_away() -> Diagnosis:
    return Diagnosis(
        "bad",
        "The loss is no longer a number: training has run away.",
        "Start a new run with a learning rate ten times smaller.",
    )


def _mean(points: Sequence[Point]) -> float:
    known = [point.value for point in points if math.isfinite(point.value)]
    return sum(known) / len(known) if known else 0.0
