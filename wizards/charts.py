"""Which curves a run has, in plain words: one table for every method and every stage.

Guarantees: pure; a chart is offered once it has a point, and the first one of the stage at work always; what a number means is
said before its term; nothing is drawn that was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from studio.runs.diagnosis import told
from studio.runs.progress import Point, Progress
from studio.runs.stages import StageKey

Look = Literal["main", "other", "check"]
Form = Literal["number", "percent", "tokens"]
Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a chart. ``main`` is drawn raw and smoothed, ``other`` smoothed only, ``check`` as points."""

    series: str
    label: str
    look: Look = "main"


@dataclass(frozen=True, slots=True)
class Mark:
    """A height worth knowing, and what it means. It is drawn when the curve comes near."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: what it shows in plain words, what the field calls it, and what it means when it moves.

    ``short`` is a button's worth of the title. ``floor`` starts the vertical axis at zero. ``seldom`` is trouble that most
    runs never have: it is shown when it happens.
    """

    id: str
    title: str
    short: str
    term: str
    explains: str
    lines: tuple[Line, ...]
    better: Better
    form: Form = "number"
    marks: tuple[Mark, ...] = ()
    floor: bool = True
    stage: StageKey = "train"
    seldom: bool = False

    def points(self, series: Mapping[str, tuple[Point, ...]], line: Line) -> tuple[Point, ...]:
        """The points of one of its lines; empty while there are none."""
        prefix = "" if self.stage == "train" else f"{self.stage}/"
        return series.get(prefix + line.series, ())

    def drawn(self, series: Mapping[str, tuple[Point, ...]]) -> bool:
        """Whether it has something to show: a point, and for trouble that seldom happens one above zero."""
        points = [point for line in self.lines for point in self.points(series, line)]
        return any(point.value > 0 for point in points) if self.seldom else bool(points)

    def say(self, value: float) -> str:
        """A number of this chart as people read it."""
        if self.form == "percent":
            return f"{value:.0%}".replace("%", " %")
        return f"{value:,.0f}" if self.form == "tokens" else told(value)


def _loss(title: str, explains: str, stage: StageKey = "train", short: str = "Loss") -> Chart:
    lines = (Line("train_loss", "On rows it trains on"), Line("validation_loss", "On rows it never trains on", "check"))
    ident = "loss" if stage == "train" else f"{stage}-loss"
    return Chart(ident, title, short, "loss", explains, lines, "lower", stage=stage)


_EXAMPLES: Final = _loss(
    "How far its guesses are from your answers",
    "Each step shows it examples. The lower the line, the likelier your own words are in its eyes.",
)
_WARM_UP: Final = _loss(
    "Warming up: how far its guesses are from the better answers",
    "Before anything else it learns to write the kind of answer that people chose.",
    "warm_start",
    "Warm-up loss",
)
_PREFERS: Final = Chart(
    "accuracy",
    "How often it leans to the better answer",
    "Right choices",
    "preference accuracy",
    "Half is what a coin would get. It counts pairs in which the better answer has become likelier, compared with the start, "
    "than the worse one.",
    (Line("accuracy", "On pairs it trains on"), Line("validation_accuracy", "On pairs it never trains on", "check")),
    "higher",
    "percent",
    (Mark(0.5, "a coin"),),
)
_MARGIN: Final = Chart(
    "margin",
    "How clearly it leans to the better answer",
    "How clearly",
    "reward margin",
    "The distance between better and worse in its own eyes. It should grow, and need not stop.",
    (Line("margin", "On pairs it trains on"), Line("validation_margin", "On pairs it never trains on", "check")),
    "higher",
    floor=False,
)
_BOTH: Final = Chart(
    "both",
    "What became of the better and of the worse answers",
    "Better and worse",
    "implicit rewards",
    "Above zero an answer has become likelier than it was at the start, below zero less likely. When both fall, the model "
    "unlearns answering as such: then training is too strong.",
    (Line("chosen_reward", "Better answers"), Line("rejected_reward", "Worse answers", "other")),
    "neither",
    floor=False,
)
_REWARD: Final = Chart(
    "reward",
    "What its answers score",
    "Score",
    "mean reward",
    "Each step it tries several answers to some questions. This is the mean of what they scored.",
    (Line("reward", "While it practises"), Line("validation_reward", "On questions it never practises", "check")),
    "higher",
)
_PREFERRED: Final = Chart(
    "preferred",
    "How often the judge prefers its answers to those of the start",
    "Preferred",
    "win rate against the start",
    "Measured on questions it never practises: its answer against the one that the model gave before the practice. Half means "
    "no difference. The scores of each step tell nothing here, because answers are only compared with each other.",
    (Line("validation_reward", "On questions it never practises", "check"),),
    "higher",
    "percent",
    (Mark(0.5, "no difference"),),
)
_SIGNAL: Final = Chart(
    "signal",
    "Questions that teach something",
    "Teaching questions",
    "share of groups with signal",
    "When all answers to a question score the same, there is nothing to learn from it. The share falls when it gets everything "
    "right, or everything wrong.",
    (Line("signal_share", "Share of the step's questions"),),
    "neither",
    "percent",
)
_DISTANCE: Final = Chart(
    "kl",
    "How far it has moved from where it began",
    "Distance",
    "KL divergence from the start",
    "Around 0.01 is a gentle change; above 0.1 it may have forgotten other things it could do.",
    (Line("kl", "In each step's answers"), Line("validation_kl", "On questions it never practises", "check")),
    "neither",
    marks=(Mark(0.01, "gentle"), Mark(0.1, "too far")),
)
_LENGTH: Final = Chart(
    "length",
    "How long its answers are",
    "Length",
    "tokens per answer",
    "Answers that grow and grow while the score rises are a sign that it found a loophole in the score.",
    (
        Line("answer_tokens", "While it practises"),
        Line("validation_answer_tokens", "On questions it never practises", "check"),
    ),
    "neither",
    "tokens",
)
_VARIETY: Final = Chart(
    "entropy",
    "How much its choice of words varies",
    "Variety",
    "entropy",
    "Near zero it always says the same and can find nothing new any more.",
    (Line("entropy", "In each step's answers"),),
    "neither",
)
_SPREAD: Final = Chart(
    "spread",
    "How much the scores of one question's answers differ",
    "Spread",
    "spread of rewards",
    "It learns from the difference between better and worse tries. No spread, no learning.",
    (Line("reward_spread", "While it practises"),),
    "neither",
)
_CUT: Final = Chart(
    "cut",
    "Answers that were cut off",
    "Cut off",
    "share of answers at the maximum length",
    "These reached the longest answer allowed before they had ended. If there are many, allow longer ones.",
    (
        Line("cut_share", "While it practises"),
        Line("validation_cut_share", "On questions it never practises", "check"),
    ),
    "lower",
    "percent",
    seldom=True,
)
_MISSING: Final = Chart(
    "missing",
    "Answers that could not be scored",
    "Not scored",
    "share of answers without a reward",
    "Their scoring failed. They teach nothing; the answers below say why.",
    (Line("missing_share", "While it practises"),),
    "lower",
    "percent",
    seldom=True,
)
_JUDGE: Final = Chart(
    "judge",
    "How often the judge picks what people picked",
    "Judge is right",
    "accuracy of the reward model",
    "Measured on pairs that the judge never saw. Half is what a coin would get; a judge close to that would teach noise.",
    (Line("validation_accuracy", "On pairs it never trains on", "check"),),
    "higher",
    "percent",
    (Mark(0.5, "a coin"),),
    stage="judge",
)
_JUDGE_LOSS: Final = _loss(
    "How sure the judge is of what people picked", "The lower, the surer it is of the right one.", "judge", "Judge's loss"
)
_TEACHER: Final = Chart(
    "teacher",
    "How far it is from its teacher",
    "Distance to teacher",
    "reverse KL divergence",
    "It writes, and the teacher says of each word how likely it would have been. At zero both would write the same.",
    (Line("teacher_kl", "While it practises"), Line("validation_teacher_kl", "On questions it never practises", "check")),
    "lower",
)
_FORM: Final = Chart(
    "form",
    "Answers in the form that the teacher gives",
    "In form",
    "format match",
    "Asked without the long prompt, how many of its answers have the marks, brackets and line breaks of the prompted "
    "teacher's. The words between them may differ.",
    (Line("validation_layout", "On questions it never trains on", "check"),),
    "higher",
    "percent",
)
_WORD_FOR_WORD: Final = Chart(
    "word-for-word",
    "Answers that are the teacher's word for word",
    "Word for word",
    "exact match",
    "Asked without the long prompt, how many of its answers are the very text that the prompted teacher gave.",
    (Line("validation_match", "On questions it never trains on", "check"),),
    "higher",
    "percent",
)

_PRACTICE: Final = (_SIGNAL, _DISTANCE, _LENGTH, _CUT, _VARIETY, _SPREAD, _MISSING)
#: The charts of each way of training, stage by stage; the first one of a stage is the one to look at.
CHARTS: Final[Mapping[str, tuple[Chart, ...]]] = {
    "sl": (_EXAMPLES,),
    "dpo": (_WARM_UP, _PREFERS, _MARGIN, _BOTH, _loss("How wrong it is about the pairs", "The loss that is made smaller.")),
    "rl": (_REWARD, *_PRACTICE),
    "rlhf": (_WARM_UP, _JUDGE, _JUDGE_LOSS, _PREFERRED, *_PRACTICE),
    "prompt": (
        _loss(
            "How far its guesses are from the teacher's answers",
            "The teacher answered with the long prompt; the student learns to say the same without it.",
        ),
        _FORM,
        _WORD_FOR_WORD,
    ),
    "on_policy": (_TEACHER, _LENGTH, _CUT, _VARIETY),
}


def of(now: Progress, distillation: str = "") -> tuple[Chart, ...]:
    """The charts of this run that have something to show, and the main one of the stage at work in any case.

    ``distillation`` tells the two kinds of it apart.
    """
    every = CHARTS.get(distillation if now.method == "distill" else now.method, CHARTS["sl"])
    at = stage_at(now)
    main = next((chart for chart in every if chart.stage == at), every[0])
    return tuple(chart for chart in every if chart.drawn(now.series) or chart is main)


def stage_at(now: Progress) -> StageKey:
    """The stage that is at work, or the last one that has begun."""
    begun: list[StageKey] = [state.key for state in now.stages if state.state == "now" or state.step]
    if begun:
        return begun[-1]
    return now.stages[0].key if now.stages else "train"


def chosen(found: Sequence[Chart], now: Progress, ident: str) -> Chart:
    """The chart to show big: the one asked for, else the main one of the stage at work."""
    main = next((chart for chart in found if chart.stage == stage_at(now)), found[-1])
    return next((chart for chart in found if chart.id == ident), main)


def total_of(now: Progress, chart: Chart) -> int:
    """The steps of the stage that a chart belongs to; 0 while nobody knows."""
    return next((state.total for state in now.stages if state.key == chart.stage), now.total)
