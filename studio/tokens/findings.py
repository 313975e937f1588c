"""What the token counts say against some rows, in the words and with the repairs of every other finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studio import models
from studio.data import Finding, Fix, FixOffer
from studio.data.staging.fixes import rows_value
from studio.tokens.statistics import MOST_ROWS
from studio.tokens.values import Refusal, TokenProfile


def findings(profile: TokenProfile) -> tuple[Finding, ...]:
    """The findings of this profile; an estimate has none, because it cannot name a row."""
    return () if profile.measured == "estimate" else tuple(_found(profile))


def _found(profile: TokenProfile) -> Iterator[Finding]:
    label = models.get(profile.model).label
    for refusal in profile.refusals:
        yield _refused(refusal)
    if profile.too_long:
        about = "about " if profile.measured == "sample" else ""
        rows = f"{about.capitalize()}{profile.too_long:,} {'row is' if profile.too_long == 1 else 'rows are'}"
        lost = f", {about}{profile.cut_trained:,} of them to be learned" if profile.cut_trained else ""
        yield Finding(
            "too_long",
            "warning",
            profile.too_long,
            profile.long_lines,
            f"{rows} longer than {profile.max_length:,} tokens and would be cut: {about}{profile.cut_tokens:,} tokens are "
            f"lost{lost}. "
            f"(p50 {profile.p50:,}, p95 {profile.p95:,}, longest {profile.max:,} tokens for {label}.)",
            "Leave these rows out, shorten them, or raise the maximum length in the settings.",
            fixes=_leave_out("too_long", profile.long_row_ids, "Leave out the rows that are too long", profile),
        )
    if profile.nothing_left:
        one = profile.nothing_left == 1
        yield Finding(
            "nothing_trained",
            "warning",
            profile.nothing_left,
            profile.bare_lines,
            f"{profile.nothing_left:,} {'row leaves' if one else 'rows leave'} nothing to learn: the answer is cut off, "
            "or the row says that it should not be learned.",
            "Leave these rows out, raise the maximum length, or choose another training target.",
            fixes=_leave_out("nothing_trained", profile.bare_row_ids, "Leave out the rows without anything to learn", profile),
        )


def _refused(refusal: Refusal) -> Finding:
    one = refusal.count == 1
    return Finding(
        refusal.code,
        "error",
        refusal.count,
        refusal.lines,
        f"{refusal.count:,} {'row' if one else 'rows'} cannot be used with this model. {refusal.what}",
        refusal.next_step or "Leave these rows out.",
        fixes=_offer(refusal.code, refusal.row_ids, "Leave out these rows"),
    )


def _leave_out(code: str, row_ids: Sequence[int], label: str, profile: TokenProfile) -> tuple[FixOffer, ...]:
    """Only where all the rows are known: not in a sample."""
    return _offer(code, row_ids, label) if profile.measured == "every row" else ()


def _offer(code: str, row_ids: Sequence[int], label: str) -> tuple[FixOffer, ...]:
    if not 0 < len(row_ids) < MOST_ROWS:
        return ()
    return (FixOffer(Fix("leave_out_rows", rows_value(code, row_ids)), label, len(row_ids)),)
