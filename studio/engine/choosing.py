"""From logits to the next tokens of a batch whose rows each have their own temperature, top-k, top-p and random stream.

Guarantees: what one row draws depends on its own logits, settings and stream only, never on its neighbours; log-probabilities
are those of the model itself, before temperature and truncation, as RL needs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from studio.engine.refusals import RefusalError

#: Tokens whose weights are summed before anything is searched.
_BLOCK: Final = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """How one request picks tokens: temperature 0 is greedy, ``top_k`` -1 and ``top_p`` 1 keep everything."""

    temperature: float = 1.0
    top_k: int = -1
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:
            raise RefusalError(f"The temperature {self.temperature} is not between 0 and 100.")
        if self.top_k < -1:
            raise RefusalError(f"The top-k {self.top_k} is neither -1 (everything) nor a count.")
        if not 0.0 < self.top_p <= 1.0:
            raise RefusalError(f"The top-p {self.top_p} is not above 0 and at most 1.")

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken every time."""
        return self.temperature == 0.0 or self.top_k == 1

    @property
    def truncates(self) -> bool:
        """Whether the tail is cut off, which needs the tokens in order."""
        return self.top_k > 0 or self.top_p < 1.0


class Chooser:
    """The settings of the rows of one batch as tensors, built once and used every step."""

    def __init__(self, choices: Sequence[Choice], device: torch.device) -> None:
        self._all_greedy = all(choice.greedy for choice in choices)
        self._any_greedy = any(choice.greedy for choice in choices)
        cuts = [place for place, choice in enumerate(choices) if choice.truncates and not choice.greedy]
        self._cuts = cuts
        self._plain = not cuts and all(choice.greedy or choice.temperature == 1.0 for choice in choices)
        column = [[1.0 if choice.greedy else choice.temperature] for choice in choices]
        self._temperature = torch.tensor(column, device=device)
        self._greedy = torch.tensor([choice.greedy for choice in choices], device=device)
        self._top_k = torch.tensor(
            [[choices[place].top_k if choices[place].top_k > 0 else 2**31] for place in cuts], device=device
        )
        self._top_p = torch.tensor([[choices[place].top_p] for place in cuts], device=device)

    @property
    def needs_draws(self) -> bool:
        """Whether any row takes chances."""
        return not self._all_greedy

    def pick(self, logits: torch.Tensor, draws: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and their log-probabilities, both ``(B,)``, from logits ``(B, V)`` and one uniform draw per row in [0, 1)."""
        normaliser = torch.logsumexp(logits, dim=-1)
        tokens = logits.argmax(dim=-1) if self._all_greedy else self._sample(logits, normaliser, draws)
        if self._any_greedy and not self._all_greedy:
            tokens = torch.where(self._greedy, logits.argmax(dim=-1), tokens)
        return tokens, logits.gather(1, tokens[:, None])[:, 0] - normaliser

    def _sample(self, logits: torch.Tensor, normaliser: torch.Tensor, draws: Sequence[float]) -> torch.Tensor:
        """Inverse-transform sampling: the first token at which the cumulated probability passes the draw."""
        if self._plain:
            return _invert((logits - normaliser[:, None]).exp_(), draws)
        scaled = logits / self._temperature
        tokens = _invert(torch.softmax(scaled, dim=-1), draws)
        if self._cuts:
            # Only these rows are searched in the order of their weights: the others must not notice.
            tokens[self._cuts] = self._cut_off(scaled[self._cuts], [draws[place] for place in self._cuts])
        return tokens

    def _cut_off(self, scaled: torch.Tensor, draws: Sequence[float]) -> torch.Tensor:
        """The tokens of rows that keep only the likeliest."""
        # A stable sort keeps equal logits in token order, so that the same draw gives the same token in every batch.
        ordered, order = torch.sort(scaled, dim=-1, descending=True, stable=True)
        ranks = torch.arange(ordered.shape[1], device=scaled.device)[None, :]
        ordered = ordered.masked_fill(ranks >= self._top_k, -torch.inf)
        probabilities = torch.softmax(ordered, dim=-1)
        # Keep the smallest set whose mass reaches top_p: a token stays while the mass before it is still below.
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities.masked_fill((before >= self._top_p) & (ranks > 0), 0.0)
        return order.gather(1, _invert(probabilities, draws)[:, None])[:, 0]


def _invert(weights: torch.Tensor, draws: Sequence[float]) -> torch.Tensor:
    """Indices ``(B,)`` drawn in proportion to ``weights`` ``(B, V)``, which need not sum to one.

    In two steps, first the block and then the place in it, so that only sums of blocks are cumulated over the whole vocabulary.
    """
    exact = torch.float32 if weights.device.type == "mps" else torch.float64
    rest = -weights.shape[1] % _BLOCK
    blocks = (torch.nn.functional.pad(weights, (0, rest)) if rest else weights).unflatten(1, (-1, _BLOCK))
    uniform = torch.tensor(np.asarray(draws), dtype=exact, device=weights.device)[:, None]
    sums = blocks.sum(dim=-1).to(exact).cumsum(dim=-1)
    wanted = uniform * sums[:, -1:]
    block = _first_above(sums, wanted)
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0.0)
    inside = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0].to(exact).cumsum(dim=-1)
    return (block * _BLOCK + _first_above(inside, wanted - before)).clamp_(max=weights.shape[1] - 1)[:, 0]


def _first_above(cumulated: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The first place ``(B, 1)`` whose cumulated weight passes ``wanted`` ``(B, 1)``: never one without weight of its own.

    Where the weights are not numbers it is the last place: a row's neighbours must not suffer from it.
    """
    # Rounding may put the draw at or past the end of all mass.
    below = torch.nextafter(cumulated[:, -1:], torch.zeros((), dtype=cumulated.dtype, device=cumulated.device))
    found = torch.searchsorted(cumulated, torch.minimum(wanted, below).clamp(min=0), right=True)
    return found.clamp_(max=cumulated.shape[1] - 1)
