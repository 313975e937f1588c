r"""By what two rows, or two prompts, count as the same.

Guarantees: the key of a prompt depends on its text alone, not on the machine, the version of the database or the order of the
rows; equal texts have equal keys. Prompts are equal up to case, white space, invisible characters and Unicode form.
"""

from __future__ import annotations

from typing import Final

from studio.data.db import literal

#: Changes when the prompt keys change; it is part of them, so that old and new splits are never mixed up.
KEY_VERSION: Final = "tuning-fork/1"

_SPACES: Final = r"[\s\p{Z}\p{C}]+"
# Characters that neither Unicode normalisation nor the rule for white space ever changes, whatever stands beside them: the
# letters and signs of most languages, without the marks that join with the letter before.
_INERT: Final = (
    r"!-~\x{a1}-\x{ac}\x{ae}-\x{2ff}\x{391}-\x{3a1}\x{3a3}-\x{482}\x{48a}-\x{52f}\x{5d0}-\x{5ea}\x{620}-\x{64a}\x{904}-\x{939}"
    r"\x{e01}-\x{e30}\x{1e00}-\x{1eff}\x{2010}-\x{2027}\x{2030}-\x{205e}\x{20a0}-\x{20c0}\x{2190}-\x{21ff}\x{3001}-\x{3029}"
    r"\x{3041}-\x{3096}\x{30a1}-\x{30ff}\x{4e00}-\x{9fff}\x{ac00}-\x{d7a3}\x{ff01}-\x{ff5e}\x{1f300}-\x{1f64f}"
    r"\x{1f900}-\x{1f9ff}"
)
# Four bytes, half of what the hash of the database takes in at a time.
_MOVED: Final = "four"
#: Matches every text that normalising would change, but for its case.
NOT_YET_NORMAL: Final = rf"[^ {_INERT}]|  |\A | \z"


def normalised(text: str, calm: str = "false") -> str:
    """SQL for the text by which prompts count as equal: NFC, lower case, white space and invisible characters as one space.

    Most texts are that already but for their case, and only the others pay for being normalised. ``calm`` is SQL that is true
    only for texts of which it is known already.
    """
    spaced = f"regexp_replace({text}, {literal(_SPACES)}, ' ', 'g')"
    odd = f"regexp_matches({text}, {literal(NOT_YET_NORMAL)})"
    known = "" if calm == "false" else f"WHEN {calm} THEN lower({text}) "
    return f"CASE {known}WHEN {odd} THEN trim(lower(nfc_normalize({spaced}))) ELSE lower({text}) END"


def prompt_key(text: str, calm: str = "false") -> str:
    """SQL for the key of a prompt; ``calm`` as in ``normalised``."""
    # The same as the macro ``md5_number_lower``, which goes through text for it and takes twice as long.
    return f"(md5_number({literal(KEY_VERSION)} || chr(31) || {normalised(text, calm)}) >> 64)::UBIGINT"


def row_key() -> str:
    """SQL for the key of a canonical row: equal when all its texts and turns are equal.

    It compares rows of one stage and is part of the names of rows; unlike the key of a prompt it may change with the version
    of the database, so nothing that is kept for long may depend on it alone.
    """
    prompt = "CASE WHEN messages IS NULL THEN prompt END"
    values = f"system, {prompt}, messages, completion, rejected, reference, reward, reward_name"
    # The database takes in eight bytes at a time and never mixes the last of them downwards, so texts that differ in two such
    # places may well have one hash ("say the number 2 as a word and explain 2." and 5). Moved by four bytes they do not.
    moved = ", ".join(f"{literal(_MOVED)} || ({text})" for text in ("system", prompt, "completion", "rejected", "reference"))
    turn = f"{{'content': {literal(_MOVED)} || m.content, 'more': {literal(_MOVED)} || m.more}}"
    return f"hash({values}, {moved}, list_transform(messages, lambda m: {turn}))"
