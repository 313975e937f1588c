"""Counting the tokens of a data set: exactly for every row where that is feasible, in a sample of a very large one.

Guarantees: what was counted once is not counted again, also for another maximum length; a number that was not counted for every
row says so; without a tokenizer there is an estimate and no error; a stop leaves nothing half-done behind.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Final

from studio.data import Dataset, Inspection, Watch
from studio.data.conversations import Conversation, conversations, letters, usable_ids
from studio.data.staging.stage import LEFT_OUT, STAGE
from studio.data.types import Message
from studio.errors import DataError
from studio.models import Model
from studio.models.rendering import CannotRender, NoTokenizer
from studio.tokens.counting import Counter, OutlineDoubtedError
from studio.tokens.counts import Counts, Refused, Tally, identity_of, keep, kept, kept_at
from studio.tokens.statistics import profile_of
from studio.tokens.values import Measured, TokenProfile

#: Characters that are counted row by row: half a minute or so on one core. Above that a sample of so many.
MOST_CHARACTERS: Final = 150_000_000
SAMPLE_CHARACTERS: Final = 30_000_000
#: Tokens of the marks around the turns, for estimates.
_MARKS: Final = 10
_PHASE: Final = "counting tokens"
ALL_ANSWERS: Final = "all_assistant_messages"
_MOST_RECENT: Final = 32
_recent: dict[tuple[object, ...], TokenProfile] = {}
_lock: Final = threading.Lock()


def known(
    source: Inspection | Dataset,
    model: Model,
    train_on: str = ALL_ANSWERS,
    max_length: int | None = None,
    *,
    renderer: str = "",
) -> TokenProfile | None:
    """What was counted before for these rows, at once; ``None`` when it has to be counted first."""
    inspection = _inspection(source)
    if not inspection.ready:
        return None
    form, aim, share = renderer or model.renderer, _aim(inspection, train_on), _share(inspection)
    path, identity = kept_at(inspection, model, aim or "prompt"), identity_of(inspection, model, form, aim, share)
    # A page asks several times in a second, and nothing has changed while these files are the same.
    files = tuple(_stamp(one) for one in (path, path.with_name(STAGE), path.with_name(LEFT_OUT)))
    key = (path, files, identity, max_length)
    found = _recent.get(key)
    if found is None and files[0] is not None:
        counts = kept(path, identity)
        if counts is not None:
            counts = counts.of_rows(usable_ids(inspection, 1.0 if counts.estimated else share))
        if counts is not None:
            found = _profile(inspection, counts, model, form, aim, max_length)
    if found is not None and found.measured != "estimate":
        with _lock:
            _recent[key] = found
            while len(_recent) > _MOST_RECENT:
                del _recent[next(iter(_recent))]
    return found


def profile(
    source: Inspection | Dataset,
    model: Model,
    train_on: str = ALL_ANSWERS,
    max_length: int | None = None,
    *,
    renderer: str = "",
    watch: Watch | None = None,
) -> TokenProfile:
    """Count the tokens of the usable rows, and keep the counts beside the stage.

    Loads the cookbook, so it belongs into a process of its own. ``max_length`` is the model's context unless given. Raises
    ``DataError`` when there are no usable rows, and what ``watch`` raises.
    """
    inspection = _inspection(source)
    if not inspection.ready:
        raise DataError("There are no usable rows whose tokens could be counted.", where=inspection.file_name)
    before = known(inspection, model, train_on, max_length, renderer=renderer)
    if before is not None and before.measured != "estimate":
        return before
    form, aim, share = renderer or model.renderer, _aim(inspection, train_on), _share(inspection)
    try:
        counts = _counted(inspection, model, form, aim, share, watch)
    except NoTokenizer:
        counts = _estimated(inspection, model)
    keep(kept_at(inspection, model, aim or "prompt"), counts, identity_of(inspection, model, form, aim, share))
    return _profile(inspection, counts, model, form, aim, max_length)


def counted(source: Inspection | Dataset, model: Model, train_on: str = ALL_ANSWERS, *, renderer: str = "") -> Counts | None:
    """The counts of single examples behind ``known``, ``None`` where there are none."""
    inspection = _inspection(source)
    form, aim, share = renderer or model.renderer, _aim(inspection, train_on), _share(inspection)
    return kept(kept_at(inspection, model, aim or "prompt"), identity_of(inspection, model, form, aim, share))


def examples_of(row: Conversation, training: str) -> tuple[tuple[Message, ...], ...]:
    """What training reads of one row, each at once: the conversation, both sides of a pair, or the prompt of a task."""
    if training != "DPO":
        return (row.messages,)
    return tuple((*row.messages, Message("assistant", answer)) for answer in (row.completion, row.rejected))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes when a file does; ``None`` for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _inspection(source: Inspection | Dataset) -> Inspection:
    return source if isinstance(source, Inspection) else source.inspection


def _training(inspection: Inspection) -> str:
    return inspection.shape.training if inspection.shape else "SL"


def _aim(inspection: Inspection, train_on: str) -> str:
    """What is trained on: a choice for supervised data, the answers of a pair, nothing in the prompt of a task."""
    return {"DPO": "last_assistant_message", "RL": ""}.get(_training(inspection), train_on)


def _share(inspection: Inspection) -> float:
    """Which part of the rows is counted: all of them, unless that would take too long."""
    characters = inspection.lengths.prompt.total + inspection.lengths.completion.total
    return 1.0 if characters <= MOST_CHARACTERS else SAMPLE_CHARACTERS / characters


def _counted(inspection: Inspection, model: Model, renderer: str, aim: str, share: float, watch: Watch | None) -> Counts:
    """Render and count every row of the share."""
    try:
        return _pass(inspection, Counter(model, renderer, aim), share, watch)
    except OutlineDoubtedError:
        return _pass(inspection, Counter(model, renderer, aim, outlines=False), share, watch)


def _pass(inspection: Inspection, counter: Counter, share: float, watch: Watch | None) -> Counts:
    tally, done, expected = Tally(), 0, math.ceil(inspection.rows_usable * share)
    training = _training(inspection)
    for batch in conversations(inspection, share):
        if watch is not None:
            watch.at(_PHASE, done, max(done, expected), "rows")
        examples = [(row, turns) for row in batch for turns in examples_of(row, training)]
        for (row, _), found in zip(examples, counter.count([turns for _, turns in examples]), strict=True):
            if isinstance(found, CannotRender):
                tally.refuse(Refused(row.row_id, row.line, found.code, found.what, found.next_step))
            else:
                tally.add(row.row_id, row.line, *found)
        done += len(batch)
    if watch is not None:
        watch.at(_PHASE, done, done, "rows")
    return tally.counts(share)


def _estimated(inspection: Inspection, model: Model) -> Counts:
    """Lengths from the number of characters, and the answers trained."""
    tally = Tally()
    for batch in letters(inspection):
        for row in batch:
            prompt = round(row.prompt / model.chars_per_token) + _MARKS
            for answer in row.answers:
                whole = prompt + round(answer / model.chars_per_token)
                tally.add(row.row_id, row.line, whole, (prompt, whole) if whole > prompt else ())
            if not row.answers:
                tally.add(row.row_id, row.line, prompt, ())
    return tally.counts(estimated=True)


def _profile(
    inspection: Inspection,
    counts: Counts,
    model: Model,
    renderer: str,
    aim: str,
    max_length: int | None,
) -> TokenProfile:
    how: Measured = "estimate" if counts.estimated else "every row" if counts.share >= 1 else "sample"
    limit = model.context if max_length is None else max_length
    return profile_of(counts, model, renderer, aim, limit, rows_all=inspection.rows_usable, measured=how)
