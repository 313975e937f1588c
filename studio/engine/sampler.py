"""Batched generation, each row with its own adapter: prefill, decode step by step, let rows join and leave.

Guarantees: a greedy row gives the tokens that ``model.generate`` gives; a seeded row gives the same tokens whatever it is
batched with, rows of other adapters included, up to float32 rounding of the logits; a row whose numbers are not finite fails
alone; a row leaves the batch when it is done and takes its memory along. Rows are padded on the left, so that the newest tokens
of all rows stand in one column and batches can be joined; rows of one adapter stand side by side, so that they are computed
together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from studio.engine import scoring
from studio.engine.base import Adapter, Base
from studio.engine.choosing import Choice, Chooser
from studio.engine.decoding import roomy_cache
from studio.engine.prefixes import Family, families
from studio.engine.protocol import MASK_LOGPROB, Floats, Ints, Sampled, SampledSequence, TopK
from studio.engine.refusals import RefusalError

#: Positions whose vocabulary-wide logits are held at once while prompts are scored.
_SCORE_ROWS = 4096
#: A batch is compacted when this share of its rows is done: copying the cache for each single row would cost more.
_COMPACT_SHARE = 0.25
_NOT_FINITE = "Its training went wrong: use an earlier checkpoint, or train again with a lower learning rate."


@dataclass(frozen=True, slots=True, eq=False)
class SampleRequest:
    """What one ``asample`` asks for. ``stop_tokens`` already holds the model's end tokens where they count."""

    prompt: Ints
    samples: int
    max_tokens: int
    choice: Choice = field(default_factory=Choice)
    seed: int | None = None
    stop_tokens: frozenset[int] = frozenset()
    stop_strings: tuple[str, ...] = ()
    prompt_logprobs: bool = False
    prompt_last: int | None = None
    topk_prompt: int = 0
    topk_sample: int = 0

    @property
    def scores_prompt(self) -> bool:
        """Whether log-probabilities of the prompt are asked for."""
        return self.prompt_logprobs or self.topk_prompt > 0


@dataclass(slots=True, eq=False)
class Ticket:
    """A request in flight, answered by ``adapter``, or by the base alone.

    ``deliver`` is called at most once, on the compute thread, with the result; otherwise ``failed`` says why not.
    """

    request: SampleRequest
    deliver: Callable[[Sampled], None]
    adapter: Adapter | None = None
    cancelled: bool = False
    failed: Exception | None = None
    rows: list[Row] = field(default_factory=list["Row"])
    scored: tuple[Floats | None, TopK | None] = (None, None)

    @property
    def done(self) -> bool:
        """Whether every sequence is complete or given up."""
        return bool(self.rows) and all(row.done for row in self.rows)

    def stop(self, error: Exception) -> None:
        """Give up all sequences."""
        self.failed = error
        for row in self.rows:
            row.done = True

    def finish_if_done(self) -> None:
        """Deliver when the last sequence is complete."""
        if self.done and self.failed is None:
            scored, topk = self.scored
            self.deliver(
                Sampled(tuple(row.sequence() for row in self.rows), scored if self.request.prompt_logprobs else None, topk)
            )


@dataclass(slots=True, eq=False)
class Row:
    """One sequence being generated."""

    ticket: Ticket
    random: np.random.Generator
    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    top: list[tuple[list[int], list[float]]] = field(default_factory=list[tuple[list[int], list[float]]])
    done: bool = False
    stopped: bool = False

    def sequence(self) -> SampledSequence:
        """The row as it is delivered."""
        topk = None
        if self.top:
            topk = TopK(np.array([t for t, _ in self.top], np.int32), np.array([p for _, p in self.top], np.float32))
        return SampledSequence(self.tokens, self.logprobs, self.stopped, topk)


class Generation:
    """Rows that share a cache and are decoded together, each with the adapter of its ticket."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._rows: list[Row] = []
        self._cache: Any = None
        self._mask: torch.Tensor = torch.empty(0)
        self._positions: torch.Tensor = torch.empty(0)
        self._next: torch.Tensor = torch.empty(0)
        self._chooser: Chooser | None = None

    @property
    def rows(self) -> int:
        """Rows still in the batch."""
        return len(self._rows)

    @property
    def joinable(self) -> bool:
        """Whether other rows may join; a sliding-window cache forgets what it would need for that."""
        return self._cache is None or self._base.shares_beginnings

    @torch.inference_mode()
    def admit(self, tickets: Sequence[Ticket]) -> None:
        """Prefill these requests, score their prompts, draw their first tokens, and let them join the batch."""
        tickets = sorted(tickets, key=_whose)
        for ticket in tickets:
            ticket.rows = [Row(ticket, _stream(ticket.request.seed, index)) for index in range(ticket.request.samples)]
        if brief := [ticket for ticket in tickets if ticket.request.max_tokens == 1]:
            self._answer(brief)
        if longer := [ticket for ticket in tickets if ticket.request.max_tokens > 1]:
            self._begin(longer)

    def _answer(self, tickets: Sequence[Ticket]) -> None:
        """Requests of one token, which mostly want to know how likely their prompt is: nothing of them needs to be kept."""
        base = self._base
        prompts = [ticket.request.prompt for ticket in tickets]
        for part in scoring.plan(prompts, self._families(tickets)):
            part.sort(key=lambda family: family.members[0])  # as the tickets stand: sorted by adapter
            members = [member for family in part for member in family.members]
            adapters = [tickets[member].adapter for member in members]
            states, rows = scoring.states(base, [prompts[member] for member in members], part, adapters)
            places = [torch.from_numpy(where).to(base.device) for where in rows]
            for member, place in zip(members, places, strict=True):
                if (request := tickets[member].request).scores_prompt:
                    base.serve([tickets[member].adapter])
                    ids = torch.from_numpy(request.prompt).to(base.device)
                    tickets[member].scored = self._score(states[place], ids, request)
            last = torch.stack([place[-1] for member, place in zip(members, places, strict=True) for _ in tickets[member].rows])
            fresh = Generation(base)
            fresh._rows = [row for member in members for row in tickets[member].rows]
            fresh._serve()
            fresh._choose(self._head(states[last]))

    def _families(self, tickets: Sequence[Ticket]) -> list[Family]:
        """Requests with a common beginning and the same adapter: what another one makes of it is something else."""
        if not self._base.shares_beginnings:
            return [Family((index,), 0) for index in range(len(tickets))]
        groups: dict[str, list[int]] = {}
        for index, ticket in enumerate(tickets):
            groups.setdefault(_whose(ticket), []).append(index)
        return [
            Family(tuple(group[member] for member in family.members), family.shared)
            for group in groups.values()
            for family in families([tickets[index].request.prompt for index in group])
        ]

    def _begin(self, tickets: Sequence[Ticket]) -> None:
        """Requests that go on: their prompts are cached."""
        # Equal prompts for one adapter are computed once: the samples of one group often come as requests of their own.
        unique: dict[tuple[str, bytes], int] = {}
        owner = [unique.setdefault((_whose(ticket), ticket.request.prompt.tobytes()), len(unique)) for ticket in tickets]
        first = [tickets[owner.index(index)] for index in range(len(unique))]
        ids, mask = _pad_left([ticket.request.prompt for ticket in first], self._base.device)
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        cache = self._new_cache()
        scored = [index for index, ticket in enumerate(tickets) if ticket.request.scores_prompt]
        self._base.serve([ticket.adapter for ticket in first])
        hidden, last = self._prefill(ids, mask, positions, cache, every=bool(scored))
        for index in scored:
            self._base.serve([tickets[index].adapter])
            tickets[index].scored = self._score(hidden[owner[index]], ids[owner[index]], tickets[index].request)
        rows = [row for ticket in tickets for row in ticket.rows]
        whose = [owner[index] for index, ticket in enumerate(tickets) for _ in ticket.rows]
        if whose != list(range(len(unique))):
            expand = torch.tensor(whose, device=ids.device)
            last, mask, positions = last[expand], mask[expand], positions[expand]
            cache.batch_select_indices(expand)
        fresh = Generation(self._base)
        fresh._rows, fresh._cache, fresh._mask, fresh._positions = rows, cache, mask, positions[:, -1]
        fresh._choose(last)
        if fresh._rows:
            self._join(fresh)

    def _serve(self) -> None:
        """Each row's adapter answers the next pass; a row that is done may have lost its own."""
        self._base.serve([None if row.done else row.ticket.adapter for row in self._rows])

    def _head(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of hidden states, or the logits that an unusual head has already made of them."""
        return (self._base.model.get_output_embeddings()(states) if self._base.plain_head else states).float()

    def _new_cache(self) -> DynamicCache:
        config = self._base.model.config
        return roomy_cache(config) if self._base.shares_beginnings else DynamicCache(config=config)

    @torch.inference_mode()
    def advance(self) -> None:
        """One token for every row."""
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=1)
        self._positions = self._positions + 1
        self._serve()
        output = self._base.model(
            input_ids=self._next[:, None],
            attention_mask=self._additive_mask() if self._base.decodes_leanly else self._mask,
            position_ids=self._positions[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._choose(output.logits[:, -1].float())

    def _additive_mask(self) -> torch.Tensor:
        """The mask as attention adds it, ``(B, 1, 1, S)``: made once per token instead of once per layer and token."""
        zeros = torch.zeros(self._mask.shape, dtype=self._base.model.dtype, device=self._mask.device)
        return zeros.masked_fill_(self._mask == 0, -torch.inf)[:, None, None, :]

    def _prefill(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache, *, every: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What ``_score`` needs of every position (hidden states, or logits for an unusual head), and the last logits."""
        model = self._base.model
        known = {
            "attention_mask": None if bool(mask.all()) else mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": True,
        }
        if not every:
            output = model(input_ids=ids, logits_to_keep=1, **known)
            return output.logits, output.logits[:, -1].float()
        if not self._base.plain_head:
            logits = model(input_ids=ids, **known).logits
            return logits, logits[:, -1].float()
        hidden = model.get_decoder()(input_ids=ids, **known).last_hidden_state
        return hidden, self._head(hidden[:, -1])

    def _score(self, states: torch.Tensor, ids: torch.Tensor, request: SampleRequest) -> tuple[Floats, TopK | None]:
        """Log-probability of every prompt token given the ones before it, NaN where there is none or none was asked for."""
        length = request.prompt.size
        wanted = length - 1 if request.prompt_last is None else min(request.prompt_last, length - 1)
        logprobs = np.full(length, np.nan, dtype=np.float32)
        k = request.topk_prompt
        top = TopK(np.zeros((length, k), np.int32), np.full((length, k), MASK_LOGPROB, np.float32)) if k else None
        if wanted < 1:
            return logprobs, top
        states, targets = states[-1 - wanted : -1], ids[-wanted:]
        for start in range(0, wanted, _SCORE_ROWS):
            logits = self._head(states[start : start + _SCORE_ROWS])
            normal = torch.logsumexp(logits, dim=-1)
            picked = logits.gather(1, targets[start : start + _SCORE_ROWS, None])[:, 0] - normal
            at = length - wanted + start
            logprobs[at : at + picked.shape[0]] = picked.cpu().numpy()
            if top is not None:
                values, tokens = torch.topk(logits, k, dim=-1)
                top.tokens[at : at + picked.shape[0]] = tokens.cpu().numpy()
                top.logprobs[at : at + picked.shape[0]] = (values - normal[:, None]).cpu().numpy()
        return logprobs, top

    def _choose(self, logits: torch.Tensor) -> None:
        """Give every row its next token, settle the rows that are done, and compact the batch when enough of them are."""
        if self._chooser is None:
            self._chooser = Chooser([row.ticket.request.choice for row in self._rows], logits.device)
        draws = [row.random.random() for row in self._rows] if self._chooser.needs_draws else []
        self._next, logp = self._chooser.pick(logits, draws)
        width = max(row.ticket.request.topk_sample for row in self._rows)
        top = torch.topk(torch.log_softmax(logits, dim=-1), width, dim=-1) if width else None
        finished: list[Ticket] = []
        for index, (row, token, value) in enumerate(zip(self._rows, self._next.tolist(), logp.tolist(), strict=True)):
            if row.done:
                continue
            if not math.isfinite(value):
                row.ticket.stop(RefusalError("The model gives no finite numbers.", next_step=_NOT_FINITE))
                continue
            row.tokens.append(token)
            row.logprobs.append(value)
            k = row.ticket.request.topk_sample
            if top is not None and k:
                row.top.append((top.indices[index, :k].tolist(), top.values[index, :k].tolist()))
            self._settle(row, token)
            if row.done:
                finished.append(row.ticket)
        self._compact()
        for ticket in dict.fromkeys(finished):
            ticket.finish_if_done()

    def _settle(self, row: Row, token: int) -> None:
        request = row.ticket.request
        row.stopped = token in request.stop_tokens or (bool(request.stop_strings) and self._spelled(row))
        row.done = row.stopped or row.ticket.cancelled or len(row.tokens) >= request.max_tokens

    def _spelled(self, row: Row) -> bool:
        """Whether the newest token completed a stop string. Only a tail is decoded: a token is at least one byte of text."""
        longest = max(len(text.encode()) for text in row.ticket.request.stop_strings)
        tail = self._base.tokenizer.decode(row.tokens[-longest - 8 :], skip_special_tokens=False)
        return any(text in tail for text in row.ticket.request.stop_strings)

    def _compact(self) -> None:
        done = sum(row.done for row in self._rows)
        if not done or (done < len(self._rows) and done < max(1, _COMPACT_SHARE * len(self._rows))):
            return
        left = [index for index, row in enumerate(self._rows) if not row.done]
        if not left:
            self.abandon()
            return
        self._select(left)
        # What only the rows that left were wide enough to need.
        blank = int(self._mask.argmax(dim=-1).min()) if self.joinable else 0
        if blank:
            self._mask = self._mask[:, blank:]
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, blank:], layer.values[:, :, blank:]

    def _select(self, places: Sequence[int]) -> None:
        """Keep the rows at these places, in this order."""
        self._rows = [self._rows[place] for place in places]
        self._chooser = None
        index = torch.tensor(places, device=self._mask.device)
        self._mask, self._positions, self._next = self._mask[index], self._positions[index], self._next[index]
        self._cache.batch_select_indices(index)

    def _join(self, other: Generation) -> None:
        """Take over another batch's rows, padding the shorter cache on the left."""
        if not self._rows:
            self._rows, self._cache, self._mask = other._rows, other._cache, other._mask
            self._positions, self._next, self._chooser = other._positions, other._next, other._chooser
            return
        width = max(self._mask.shape[1], other._mask.shape[1])
        self._widen(width)
        other._widen(width)
        for mine, theirs in zip(self._cache.layers, other._cache.layers, strict=True):
            mine.keys = torch.cat([mine.keys, theirs.keys])
            mine.values = torch.cat([mine.values, theirs.values])
        self._rows = [*self._rows, *other._rows]
        self._mask = torch.cat([self._mask, other._mask])
        self._positions = torch.cat([self._positions, other._positions])
        self._next = torch.cat([self._next, other._next])
        self._chooser = None
        order = sorted(range(len(self._rows)), key=lambda place: _whose(self._rows[place].ticket))
        if order != list(range(len(order))):
            self._select(order)

    def _widen(self, width: int) -> None:
        """Pad mask and cache on the left, so that the rows are this many columns wide."""
        short = width - self._mask.shape[1]
        self._mask = torch.nn.functional.pad(self._mask, (short, 0))
        for layer in self._cache.layers:
            layer.keys = torch.nn.functional.pad(layer.keys, (0, 0, short, 0))
            layer.values = torch.nn.functional.pad(layer.values, (0, 0, short, 0))

    def abandon(self) -> list[Ticket]:
        """Give up every row, for example after a failed step. Returns the requests that are left without an answer."""
        tickets = list(dict.fromkeys(row.ticket for row in self._rows))
        self._rows, self._cache, self._chooser = [], None, None
        return tickets


def check(request: SampleRequest, base: Base) -> None:
    """Raise ``RefusalError`` for what this model cannot sample."""
    if request.prompt.size == 0:
        raise RefusalError("The prompt has no tokens.")
    if int(request.prompt.min()) < 0 or int(request.prompt.max()) >= base.vocabulary:
        raise RefusalError(f"The prompt holds a token id outside 0 … {base.vocabulary - 1}.")
    if request.prompt.size + request.max_tokens > base.context + (1 if request.max_tokens == 1 else 0):
        raise RefusalError(
            f"The prompt of {request.prompt.size} tokens and {request.max_tokens} new ones"
            f" do not fit the context of {base.context}.",
            next_step="Shorten the prompt or lower max_tokens.",
        )
    if not 1 <= request.samples <= 4096:
        raise RefusalError(f"{request.samples} samples per request are not between 1 and 4096.")
    if not 0 <= request.topk_prompt <= min(1000, base.vocabulary) or not 0 <= request.topk_sample <= min(1000, base.vocabulary):
        raise RefusalError("The number of top tokens to report is not between 0 and 1000.")
    if request.prompt_last is not None and not 1 <= request.prompt_last <= max(1, request.prompt.size - 1):
        raise RefusalError("prompt_logprobs_last_n is not between 1 and the length of the prompt less one.")


def _whose(ticket: Ticket) -> str:
    """The key of a request's adapter; empty for the base alone."""
    return "" if ticket.adapter is None else ticket.adapter.key


def _stream(seed: int | None, index: int) -> np.random.Generator:
    return np.random.default_rng(None if seed is None else [seed % 2**64, index])


def _pad_left(prompts: Sequence[Ints], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(prompt.size for prompt in prompts)
    ids = np.zeros((len(prompts), width), dtype=np.int64)
    mask = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - prompt.size :] = prompt
        mask[row, width - prompt.size :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
