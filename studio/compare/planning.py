"""Before a session: how many prompts it takes to see a difference of a given size, and what a given number can show.

Guarantees: computed for the very rule that ends sessions (evidence above the threshold at any look from the 20th prompt on),
not for a textbook test, and exact for one rating per prompt. More raters make the score of a prompt steadier, but how much
nobody knows beforehand, so nothing is promised for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from studio.compare.evidence import THRESHOLD, Spread, more_prompts_needed
from studio.compare.sentences import percent, prompts
from studio.compare.verdict import FEWEST_PROMPTS
from studio.errors import SettingError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LIKELY: Final = 0.8
"""A chance that one may call "you will probably see it"."""
WIN_RATES: Final = (0.6, 0.65, 0.7, 0.75, 0.8, 0.9)
"""True win rates that a plan speaks of."""

_WORDS_A_MINUTE: Final = 238
_FARTHEST: Final = 2000
_NEGLIGIBLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One supposed true win rate: prompts that probably show it (``None``: over 2,000), and the chance that the planned do."""

    win_rate: float
    prompts_needed: int | None
    chance: float


@dataclass(frozen=True, slots=True)
class Planning:
    """What a session of so many prompts can show.

    ``smallest_win_rate`` is the smallest true win rate, in whole percent, that these prompts probably show, ``None`` when none
    is large enough. ``wins_needed`` is the number of prompts that the better side has to win at the end when nothing ties.
    ``prompts_for_no_difference`` is how many it takes to show that two equal models do not differ by anything worth having.
    """

    prompts: int
    tie_share: float
    challengers: int
    rows: tuple[PlanRow, ...]
    smallest_win_rate: float | None
    wins_needed: int | None
    prompts_for_no_difference: int | None

    @property
    def sentence(self) -> str:
        """The plan in plain words."""
        if self.smallest_win_rate is None and self.prompts >= FEWEST_PROMPTS:
            shows = f"With {prompts(self.prompts)} you will hardly see a difference, whatever it is"
        elif self.smallest_win_rate is None:
            shows = f"{prompts(self.prompts)} cannot name a winner: it takes at least {FEWEST_PROMPTS}"
        else:
            rate = percent(self.smallest_win_rate)
            shows = f"With {prompts(self.prompts)} you will probably see a difference when the true win rate is {rate} or more"
        if not self.rows:
            return f"{shows}; with so many ties large ones do not occur."
        smallest = self.rows[0]
        needed = "more than 2,000" if smallest.prompts_needed is None else f"about {smallest.prompts_needed:,}"
        return f"{shows}; to see a win rate of {percent(smallest.win_rate)} you need {needed} prompts."


def plan_session(prompts: int, *, tie_share: float = 0.0, challengers: int = 1) -> Planning:
    """Say what ``prompts`` can show when ``tie_share`` of them tie. Up to a second the first time, then quick.

    Raises ``SettingError`` for fewer than 1 prompt or challenger, or a tie share outside [0, 0.9].
    """
    if prompts < 1:
        raise SettingError("A session needs at least one prompt.", where="prompts", next_step="Use 1 or more.")
    return Planning(
        prompts=prompts,
        tie_share=tie_share,
        challengers=challengers,
        rows=tuple(
            PlanRow(
                rate,
                prompts_needed(rate, tie_share=tie_share, challengers=challengers),
                chance_of_verdict(prompts, rate, tie_share=tie_share, challengers=challengers),
            )
            for rate in WIN_RATES
            if rate <= 1 - tie_share / 2
        ),
        smallest_win_rate=_smallest(prompts, tie_share, challengers),
        wins_needed=wins_needed(prompts, challengers=challengers),
        prompts_for_no_difference=_no_difference(tie_share, challengers),
    )


def prompts_needed(win_rate: float, *, chance: float = LIKELY, tie_share: float = 0.0, challengers: int = 1) -> int | None:
    """Fewest prompts after which a session has named the better side with this chance, if ``win_rate`` is true.

    ``None`` when more than 2,000. Raises ``SettingError`` for a win rate that so many ties do not allow.
    """
    if chance_of_verdict(_FARTHEST, win_rate, tie_share=tie_share, challengers=challengers) < chance:
        return None
    few, enough = 0, _FARTHEST
    while enough - few > 1:
        middle = (few + enough) // 2
        reached = chance_of_verdict(middle, win_rate, tie_share=tie_share, challengers=challengers) >= chance
        few, enough = (few, middle) if reached else (middle, enough)
    return enough


def chance_of_verdict(prompts: int, win_rate: float, *, tie_share: float = 0.0, challengers: int = 1) -> float:
    """Chance that a session of up to ``prompts`` names the better side, looked at after every prompt.

    Ties count one half in ``win_rate``. Raises ``SettingError`` for a share outside its range.
    """
    _check(win_rate, tie_share, challengers)
    if prompts < FEWEST_PROMPTS:
        return 0.0
    ahead, more = max(win_rate, 1 - win_rate), min(prompts, _FARTHEST) - FEWEST_PROMPTS
    # Rounded, so that 0.65 and 1 - 0.35 find the same walk.
    win_share = round((ahead - tie_share / 2) / (1 - tie_share), 12)
    walks = _walks(win_share, tie_share, challengers)
    from scipy.stats import binom

    # Of the prompts after the first look some lean; the others move nothing.
    leaning = binom.pmf(np.arange(more + 1), more, 1 - tie_share) if tie_share else np.eye(1, more + 1, more)[0]
    return float(sum(one.weight * (leaning @ one.named[one.leaned : one.leaned + more + 1]) for one in walks))


def wins_needed(prompts: int, *, challengers: int = 1) -> int | None:
    """Prompts that one side has to win of so many, without ties, to be named at the end; ``None`` below the minimum."""
    if prompts < FEWEST_PROMPTS:
        return None
    line = math.log(THRESHOLD * challengers)
    return next((wins for wins in range((prompts + 1) // 2, prompts + 1) if _log_e(wins, prompts - wins) > line), None)


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """Sessions of which ``leaned`` prompts lean at the first look, a share of ``weight`` of all.

    ``named[d]`` is the chance that the better side has been named when d prompts lean.
    """

    leaned: int
    weight: float
    named: Floats


@lru_cache(maxsize=128)
def _walks(win_share: float, tie_share: float, challengers: int) -> tuple[_Walk, ...]:
    from scipy.stats import binom

    weights = binom.pmf(np.arange(FEWEST_PROMPTS + 1), FEWEST_PROMPTS, 1 - tie_share)
    starts = np.flatnonzero(weights > _NEGLIGIBLE)
    named = _named_by(win_share, starts, math.log(THRESHOLD * challengers))
    return tuple(_Walk(int(start), float(weights[start]), row) for start, row in zip(starts, named, strict=True))


def _named_by(win_share: float, starts: npt.NDArray[np.intp], line: float) -> Floats:
    """Chance, per start and number of prompts that lean, that the better side was named by then.

    A walk over the number of wins with two absorbing lines, which are looked at from ``starts`` leaning prompts on. Only the
    part between the lines is carried along.
    """
    alive, lowest, needed = np.ones((len(starts), 1)), 0, 0  # alive[:, i]: the chance of lowest + i wins
    named = np.zeros((len(starts), _FARTHEST + FEWEST_PROMPTS + 1))
    for leaned in range(named.shape[1]):
        if leaned:
            after = np.zeros((len(starts), alive.shape[1] + 1))
            after[:, :-1] = alive * (1 - win_share)
            after[:, 1:] += alive * win_share
            alive = after
            named[:, leaned] = named[:, leaned - 1]
        needed = max(needed, (leaned + 1) // 2)
        while needed <= leaned and _log_e(needed, leaned - needed) <= line:
            needed += 1
        looked, top, bottom = starts <= leaned, max(0, needed - lowest), leaned - needed + 1 - lowest
        named[looked, leaned] += alive[looked, top:].sum(axis=1)
        alive[looked, top:] = 0.0
        if bottom > 0:
            alive[looked, :bottom] = 0.0  # the other side was named
        if looked.all():
            alive, lowest = alive[:, max(0, bottom) : top], lowest + max(0, bottom)
            if not alive.size or alive.sum() < _NEGLIGIBLE:
                named[:, leaned:] = named[:, leaned, None]
                break
    return named


def _log_e(wins: int, losses: int) -> float:
    total = wins + losses
    return total * math.log(2) + math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(total + 2)


def _smallest(prompts: int, tie_share: float, challengers: int) -> float | None:
    """In whole percent, by halving: the chance rises with the win rate."""
    low, high = 50, math.floor(100 * (1 - tie_share / 2))

    def seen(points: int) -> bool:
        return chance_of_verdict(prompts, points / 100, tie_share=tie_share, challengers=challengers) >= LIKELY

    if not seen(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high / 100


def _no_difference(tie_share: float, challengers: int) -> int | None:
    lean = (1 - tie_share) / 2
    mix = Spread(np.array([0.0, 0.5, 1.0]), np.array([lean, tie_share, lean]))
    more = more_prompts_needed(mix, at_least=FEWEST_PROMPTS - 1, most=4 * _FARTHEST, threshold=THRESHOLD * challengers)
    return None if more is None else more + 1


def reading_minutes(words: float) -> float:
    """Minutes that silent reading of so many words takes at the usual 238 a minute (Brysbaert 2019, English non-fiction).

    Deciding comes on top, and code or another language take longer, so this is a least.
    """
    return words / _WORDS_A_MINUTE


def pairs_for_each(pairs: int, raters: int, ratings: int | None, shared: int = 0) -> int:
    """How many of so many pairs each of so many raters is dealt, so that together they are enough.

    ``ratings`` people rate each pair (``None``: everybody rates everything), and everybody rates ``shared`` of them.
    """
    if ratings is None or ratings >= raters:
        return pairs
    return min(pairs, shared + math.ceil((pairs - min(shared, pairs)) * ratings / raters))


def _check(win_rate: float, tie_share: float, challengers: int) -> None:
    if challengers < 1:
        raise SettingError("Somebody has to be compared.", where="challengers", next_step="Use 1 or more.")
    if not 0 <= tie_share <= 0.9:
        raise SettingError("This is not a share of ties.", where="tie_share", next_step="Use 0 to 0.9.")
    if not tie_share / 2 <= win_rate <= 1 - tie_share / 2:
        raise SettingError(
            "With so many ties this win rate cannot occur.", where="win_rate", next_step=f"Use at most {1 - tie_share / 2:.2f}."
        )
