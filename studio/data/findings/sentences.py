"""The words of findings about rows: what is wrong, in a sentence that a teacher understands, and what to do next.

Guarantees: every reason for which a row is set aside has words, and so has every doubt about a usable row; a sentence counts
rows and agrees with their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from studio.data.types import Severity


@dataclass(frozen=True, slots=True)
class Words:
    """What "{rows}" do (for one, for several), what follows, and what a person can do about it.

    ``{detail}`` stands for what the judge added, such as the name of a column.
    """

    one: str
    several: str
    what: str
    next_step: str = ""
    severity: Severity = "warning"

    def sentence(self, count: int, end: str = ".", **values: str) -> str:
        """The whole sentence about so many rows."""
        return f"{rows(count, self.one, self.several)} {self.what.format(**values)}{end}"


#: Why rows are set aside, by reason.
REASONS: Final[dict[str, Words]] = {
    "broken_json": Words("is", "are", "not valid JSON", "Repair these lines, or go on without them.", "error"),
    "not_an_object": Words(
        "is a bare value", "are bare values", "instead of an object with names", "Write one object per row.", "error"
    ),
    "missing_field": Words("has", "have", "no {detail}", "Add what is missing, or go on without these rows.", "error"),
    "empty_value": Words("has", "have", "nothing in {detail}", "Fill the empty cells, or go on without these rows.", "error"),
    "wrong_type": Words(
        "has",
        "have",
        "something else than plain text in {detail}",
        "Write the text itself, not a list or an object.",
        "error",
    ),
    "wrong_column_count": Words(
        "has",
        "have",
        "more or fewer cells than there are columns",
        "Put quotation marks around cells that contain the separator.",
        "error",
    ),
    "bad_quotes": Words(
        "has", "have", "a quotation mark in the wrong place", "Double the quotation marks inside quoted cells.", "error"
    ),
    "bad_encoding": Words("has", "have", "bytes that are no text", "Save the file again as UTF-8.", "error"),
    "repeated_header": Words(
        "repeats",
        "repeat",
        "the column names",
        "Nothing to do, unless files were pasted together by mistake.",
        "error",
    ),
    "bad_conversation": Words(
        "is", "are", "no conversation to learn from ({detail})", "Repair these, or go on without them.", "error"
    ),
    "images_not_supported": Words(
        "holds", "hold", "images, sound or files, and only text can be trained on", "Go on without these rows.", "error"
    ),
    "unsupported_tools": Words(
        "holds", "hold", "calls of tools in a form that cannot be trained on", "Go on without these rows.", "error"
    ),
    "identical_pair": Words(
        "has",
        "have",
        "the same text as the better and the worse answer",
        "There is nothing to prefer; go on without these rows.",
        "error",
    ),
    "bad_reward": Words(
        "has", "have", "no number as the reward", "Write a number such as 0.5, or go on without these.", "error"
    ),
    "thumbs_down": Words("is", "are", "marked as bad", "Nothing to do: only what was found good is learned from."),
    "file_cut_off": Words(
        "is", "are", "cut off in the middle; the file may be incomplete", "Export or upload the file again.", "error"
    ),
    "too_big_row": Words(
        "is",
        "are",
        "longer than 32 MB",
        "Check that the file has one example per row, and no quotation mark left open.",
        "error",
    ),
    "left_out": Words("was", "were", "left out because you chose so ({detail})", "Undo the fix to have them back.", "info"),
}
#: For a reason that this version has no words for.
OTHER_REASON: Final = Words("cannot", "cannot", "be used ({detail})", "Repair these rows, or go on without them.", "error")

#: What to tell about usable rows, by code, in the order in which it is told.
DOUBTS: Final[dict[str, Words]] = {
    "secrets": Words(
        "holds",
        "hold",
        "what looks like a key or a password of a program. A model can repeat it to anybody",
        "Mask the keys, and make new ones where these are real.",
    ),
    "personal_data": Words(
        "holds",
        "hold",
        "what looks like personal data: {kinds}. A model can repeat it to anybody",
        "Mask it, unless it is made up or everybody may know it.",
    ),
    "mojibake": Words(
        "has", "have", 'damaged letters, such as "Ã©" for "é"', "Repair the letters, or save the original as UTF-8."
    ),
    "lost_characters": Words(
        "has",
        "have",
        "the sign \ufffd, which stands for characters that were lost before",
        "Export these rows again from where they come from.",
    ),
    "control_characters": Words("has", "have", "invisible control characters, mostly left by a damaged export", "Remove them."),
    "unusual_characters": Words(
        "has", "have", "characters that nobody sees, such as spaces without width, or signs of a private font", "Remove them."
    ),
    "special_tokens": Words("has", "have", "chat markers such as <|im_end|>, which can confuse a model", "Remove the markers."),
    "null_like_text": Words(
        "says",
        "say",
        'only "null", "None", "N/A" or the like, probably for a missing text',
        "Leave these rows out, or fill them.",
    ),
    "excel_error": Words(
        "holds", "hold", "nothing but an error of a spreadsheet, such as #N/A", "Repair the formulas and export the file again."
    ),
    "truncated_cell": Words(
        "has",
        "have",
        "a text of exactly 32,767 characters, Excel's limit, so it was probably cut",
        "Check these cells in the original.",
    ),
    "completion_equals_prompt": Words("has", "have", "an answer that only repeats the prompt", "Check these rows."),
    "odd_turn_order": Words(
        "has",
        "have",
        "an unusual order of speakers, such as two user messages in a row",
        "See if that is meant.",
    ),
    "non_text_value": Words("has", "have", "a number or a yes/no value, which was turned into text"),
    "decimal_comma": Words(
        "has", "have", 'a reward with a comma, such as "0,5", which was read as 0.5', "Check that none of them means thousands."
    ),
    "outer_space": Words(
        "has", "have", "white space before or after a text", "Remove it, unless the model should write it.", "info"
    ),
}
#: Kinds of personal data in words, in the order in which they are told.
PERSONAL_KINDS: Final[dict[str, str]] = {
    "email": "e-mail addresses",
    "phone": "phone numbers",
    "card": "card numbers",
    "iban": "bank accounts",
    "ssn": "social security numbers",
    "ip": "IP addresses",
}


def counted(count: int, thing: str) -> str:
    """A number with what it counts: "1 row", "1,204 rows"."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def rows(count: int, one: str, several: str) -> str:
    """So many rows and what they do."""
    return f"{counted(count, 'row')} {one if count == 1 else several}"


def share(part: int, whole: int) -> str:
    """A share in per cent that never says none or all when it is not."""
    per_cent = 100 * part / whole
    if 0 < per_cent < 1:
        return "less than 1 %"
    return f"{min(99, round(per_cent)) if part < whole else 100} %"
