"""Counts the tokens of many conversations as the model's renderer writes them, several times faster than one by one.

Guarantees: every number is the one that ``Template.example`` gives. A renderer writes most conversations with the same turns
the same way, so it is watched twice at work on such turns, what it does around the texts is remembered (an outline), and the
texts are encoded in batches. What an outline cannot vouch for is rendered one by one, and outlines are checked on real rows on
the way: if one is ever wrong, all rows are rendered one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from studio.data.types import Message
from studio.models import Model
from studio.models.rendering import CannotRender, Template, tokenizer_of

#: One in so many rows that were counted by an outline is rendered as well.
_CHECK_EVERY: Final = 256
#: More turns, or more kinds of conversation, are not worth an outline.
_MOST_TURNS: Final = 64
_MOST_OUTLINES: Final = 512
#: Tokens that a format may put behind an encoded text.
_MOST_TAIL: Final = 2
#: Texts of the format itself (role headers, end marks) come again in every row.
_SHORT: Final = 40
_MOST_SHORT: Final = 4_096

#: Length, and pairs of positions between which the loss counts.
Counted = tuple[int, tuple[int, ...]]
_Turns = Sequence[Message]


class OutlineDoubtedError(Exception):
    """An outline and the renderer disagree on a row."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of tokens: the text of turn ``turn`` between ``before`` and ``after``, and ``length`` tokens always the same.

    Only the latter where ``turn`` is negative. Trained from token ``lead`` on; ``lead`` is ``None`` where nothing is trained.
    """

    turn: int
    before: str
    after: str
    split: bool
    length: int
    lead: int | None


class QuickTokenizer:
    """The same tokenizer without the cost of asking: the Rust part directly, and a memory for short texts."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - see ``rendering.tokenizer_of``
        from tokenizers import Tokenizer

        self._whole = tokenizer
        # A copy, because encoding sets a switch in it that the original's users set too.
        self.rust = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self.rust.no_truncation()
        self.rust.no_padding()
        self._split_by_default = bool(tokenizer.split_special_tokens)
        self._short: dict[tuple[str, bool, bool], list[int]] = {}
        self.heard: dict[tuple[int, ...], tuple[str, bool]] | None = None

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - everything else is the tokenizer's own
        return getattr(self._whole, name)

    def encode(self, text: str, add_special_tokens: bool = True, split_special_tokens: bool | None = None) -> list[int]:
        """The ids of a text."""
        split = self._split_by_default if split_special_tokens is None else split_special_tokens
        key = (text, add_special_tokens, split)
        if (known := self._short.get(key)) is not None:
            ids = list(known)
        else:
            self.rust.encode_special_tokens = split
            ids = self.rust.encode(text, add_special_tokens=add_special_tokens).ids
            if len(text) <= _SHORT and len(self._short) < _MOST_SHORT:
                self._short[key] = list(ids)
        if self.heard is not None and not add_special_tokens:
            self.heard[tuple(ids)] = (text, split)
        return ids

    def lengths(self, texts: Sequence[str], *, split: bool) -> list[int]:
        """How many tokens each text has, special ones that a tokenizer adds by itself left out."""
        self.rust.encode_special_tokens = split
        return [len(one) for one in self.rust.encode_batch_fast(list(texts), add_special_tokens=False)]


class Counter:
    """Counts for one model, format and choice. ``train_on`` empty: prompts up to the answer, of which nothing is trained."""

    def __init__(self, model: Model, renderer: str, train_on: str, *, outlines: bool = True) -> None:
        tokenizer = tokenizer_of(model)
        quick = QuickTokenizer(tokenizer) if getattr(tokenizer, "is_fast", False) else None
        self._quick = quick if outlines else None
        self._template = Template(model, renderer, quick or tokenizer)
        self._train_on = train_on
        self._outlines: dict[tuple[str, ...], tuple[_Piece, ...] | None] = {}
        self._since_check = 0

    def count(self, conversations: Sequence[_Turns]) -> list[Counted | CannotRender]:
        """One answer for each conversation, in their order. Raises ``OutlineDoubtedError``: count everything again without."""
        found: list[Counted | CannotRender | None] = [None] * len(conversations)
        quick = self._quick
        if quick is not None:
            outlined = [(place, turns, pieces) for place, turns in enumerate(conversations) if (pieces := self._outline(turns))]
            for (place, turns, _), counted in zip(outlined, _by_outline(quick, outlined), strict=True):
                found[place] = counted
                self._check(turns, counted)
        return [one if one is not None else self._exactly(turns) for one, turns in zip(found, conversations, strict=True)]

    def _exactly(self, turns: _Turns) -> Counted | CannotRender:
        try:
            if not self._train_on:
                return self._template.prompt(turns).length, ()
            whole, trained = self._template.example(turns, self._train_on)
        except CannotRender as refusal:
            return refusal
        return whole.length, _spans(trained)

    def _check(self, turns: _Turns, counted: Counted) -> None:
        self._since_check += 1
        due = self._since_check == 1 or self._since_check % _CHECK_EVERY == 0
        if due and self._exactly(turns) != counted:
            raise OutlineDoubtedError

    def _outline(self, turns: _Turns) -> tuple[_Piece, ...] | None:
        """How these turns are written, or ``None`` when these very texts have to be looked at."""
        if not self._train_on or not all(map(_plain, turns)):
            return None
        roles = tuple(turn.role for turn in turns)
        if roles not in self._outlines and len(self._outlines) < _MOST_OUTLINES and 0 < len(roles) <= _MOST_TURNS:
            self._outlines[roles] = self._watch(roles)
        return self._outlines.get(roles)

    def _watch(self, roles: Sequence[str]) -> tuple[_Piece, ...] | None:
        """What the renderer does with two made-up conversations; ``None`` when that does not tell what it does with others."""
        texts = [[f"Qz{place:03d}x" for place in range(len(roles))], [f"V {place:03d} jy" for place in range(len(roles))]]
        first, second = (self._listen(roles, one) for one in texts)
        if first is None or second is None or len(first) != len(second):
            return None
        pieces = [_piece(one, other, texts) for one, other in zip(first, second, strict=True)]
        return tuple(piece for piece in pieces if piece is not None) if None not in pieces else None

    def _listen(self, roles: Sequence[str], texts: Sequence[str]) -> list[_Chunk] | None:
        """The chunks of one rendering."""
        quick = self._quick
        if quick is None:
            return None
        quick.heard = {}
        try:
            turns = [Message(role, text) for role, text in zip(roles, texts, strict=True)]
            whole, trained = self._template.example(turns, self._train_on)
            heard = quick.heard
        except CannotRender:
            return None
        finally:
            quick.heard = None
        chunks: list[_Chunk] = []
        at = 0
        for chunk in whole.chunks:
            ids = tuple(int(one) for one in getattr(chunk, "tokens", ()))
            here = trained[at : at + len(ids)]
            at += len(ids)
            lead = here.index(True) if True in here else None
            if lead is not None and not all(here[lead:]):
                return None
            # Some formats put their end mark into the same chunk, after the text was encoded.
            ends = (end for end in range(len(ids), max(0, len(ids) - _MOST_TAIL) - 1, -1) if ids[:end] in heard)
            end = next(ends, None)
            chunks.append(_Chunk(ids, lead, heard[ids[:end]] if end else None, ids[end:] if end else ()))
        return chunks


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Tokens of one rendering, from where on they are trained, the text encoded for them, and the tokens put behind it."""

    ids: tuple[int, ...]
    lead: int | None
    source: tuple[str, bool] | None
    tail: tuple[int, ...]


def _plain(turn: Message) -> bool:
    """Whether a renderer has no reason to treat this text differently from any other.

    Renderers look for marks (``<think>``, ``<tool_call>``) and trim white space; a text that starts with a letter or digit
    cannot melt into one token with what stands before it.
    """
    text = turn.content
    return bool(text) and not turn.more and "<" not in text and text[0].isalnum() and not text[-1].isspace()


def _piece(one: _Chunk, other: _Chunk, texts: Sequence[Sequence[str]]) -> _Piece | None:
    """What the same chunk of two renderings has in common; ``None`` when that does not tell what others will be."""
    if one.lead != other.lead:
        return None
    if one.ids == other.ids:
        return _Piece(-1, "", "", split=False, length=len(one.ids), lead=one.lead)
    found = _around(one, texts[0])
    return found if one.tail == other.tail and found == _around(other, texts[1]) else None


def _around(chunk: _Chunk, texts: Sequence[str]) -> _Piece | None:
    """The piece that this chunk makes: one turn's text with constant text around it."""
    if chunk.source is None:
        return None
    whole, split = chunk.source
    inside = [(place, text) for place, text in enumerate(texts) if text in whole]
    if len(inside) != 1 or whole.count(inside[0][1]) != 1:
        return None
    place, text = inside[0]
    before, _, after = whole.partition(text)
    return _Piece(place, before, after, split, len(chunk.tail), chunk.lead)


def _by_outline(quick: QuickTokenizer, outlined: Sequence[tuple[int, _Turns, tuple[_Piece, ...]]]) -> Iterator[Counted]:
    """The counts of conversations whose outline is known, all their texts encoded together."""
    lengths: dict[bool, Iterator[int]] = {}
    for split in (False, True):
        texts = [
            f"{piece.before}{turns[piece.turn].content}{piece.after}"
            for _, turns, pieces in outlined
            for piece in pieces
            if piece.turn >= 0 and piece.split is split
        ]
        lengths[split] = iter(quick.lengths(texts, split=split)) if texts else iter(())
    for _, _, pieces in outlined:
        at = 0
        spans: list[int] = []
        for piece in pieces:
            length = piece.length + (next(lengths[piece.split]) if piece.turn >= 0 else 0)
            if piece.lead is not None:
                _extend(spans, at + piece.lead, at + length)
            at += length
        yield at, tuple(spans)


def _extend(spans: list[int], start: int, end: int) -> None:
    """Add a stretch that is trained."""
    if start >= end:
        return
    if spans and spans[-1] == start:
        spans[-1] = end
    else:
        spans += (start, end)


def _spans(trained: Sequence[bool]) -> tuple[int, ...]:
    spans: list[int] = []
    for place, mark in enumerate(trained):
        if mark:
            _extend(spans, place, place + 1)
    return tuple(spans)
