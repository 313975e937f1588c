"""Pairs of a better and a worse answer: in two columns, in two whole conversations, or as two answers and a winner.

Guarantees: columns of numbers (scores of the answers) are never taken for answers; a pair without a prompt column counts only
if the prompt stands inside both answers.
"""

from __future__ import annotations

from studio.data.shapes.contents import MOST, shared_start
from studio.data.shapes.forms import method_why, training
from studio.data.shapes.names import OWN, PAIRS, WINNERS, last_word, opposites, ranked, rivals
from studio.data.shapes.view import View
from studio.data.types import Kind, Shape

Pair = tuple[str, str]


def exactly(view: View) -> Shape | None:
    """Pairs under the known names."""
    for good, bad in PAIRS:
        one, other = view.own((good,)), view.own((bad,))
        shape = _shape(view, (one, other), exact=True) if one and other else None
        if shape:
            return shape
    return None


def resembling(view: View) -> Shape | None:
    """Pairs under names that only say better and worse, and pairs with a column that names the winner."""
    pairs = [pair for pair in opposites(view.columns) if _answers(view, pair[0]) and _answers(view, pair[1])]
    if pairs:
        shape = _shape(view, pairs[0], exact=False)
        return shape if shape is None or len(pairs) == 1 else _doubted(shape)
    for pair in rivals(view.columns):
        winner = view.own(WINNERS)
        if winner and _answers(view, pair[0]) and _answers(view, pair[1]) and _names_winner(view, winner, pair):
            return _shape(view, pair, exact=False, winner=winner)
    return None


def pair_without_prompt(view: View) -> Pair | None:
    """A pair whose prompt is nowhere."""
    for good, bad in PAIRS:
        one, other = view.own((good,)), view.own((bad,))
        if one and other:
            return one, other
    return next(iter(opposites(view.columns)), None)


def _shape(view: View, pair: Pair, *, exact: bool, winner: str = "") -> Shape | None:
    columns = [("chosen", pair[0]), ("rejected", pair[1])]
    taken = {*pair, winner}
    prompt, own = _prompt(view, taken)
    system = view.own(OWN["preference"]["system"])
    chats = view.mostly(pair[0], "chat")
    if prompt:
        columns.insert(0, ("prompt", prompt))
        longer = view.longer_prompts(prompt)
        if longer:
            columns.append(("messages", longer))
        beside = view.own(("input", "context"))
        if beside and beside not in {prompt, *taken} and "instruction" in prompt.lower():
            columns.insert(1, ("input", beside))
    elif not chats and not _prompt_inside(view, pair):
        return None
    if system and system not in {prompt, *taken}:
        columns.append(("system", system))
    if winner:
        columns.append(("label", winner))
    # OpenAI's preference form keeps lists too, but under names of its own, so it needs no telling apart.
    openai = pair == (view.own(("preferred output",)), view.own(("non preferred output",)))
    kind: Kind = (
        "preference_hh" if not prompt and not chats else "preference_messages" if chats and not openai else "preference"
    )
    exact = exact and (own or not prompt)
    return Shape(kind, tuple(columns), exact, _why(pair, prompt, winner), training(kind), method_why(kind, sure=exact))


def _doubted(shape: Shape) -> Shape:
    return Shape(
        shape.kind, shape.columns, False, shape.why + " Other columns would fit as well.", shape.training, shape.method_why
    )


def _answers(view: View, column: str) -> bool:
    """Texts or conversations; unknown contents count as such."""
    found = view.look(column)
    return found is None or (found.number < MOST and found.flag < MOST)


def _prompt(view: View, taken: set[str]) -> tuple[str | None, bool]:
    """The column with the prompts, and whether it has the form's own name."""
    rest = [column for column in view.columns if column not in taken and _answers(view, column)]
    for name in OWN["preference"]["prompt"]:
        column = view.own((name,))
        if column and column not in taken and (name != "messages" or view.mostly(column, "asks")):
            return column, True
    chats = [column for _, column in ranked("messages", rest) if view.mostly(column, "asks")]
    named = [column for _, column in ranked("prompt", rest)]
    return (named or chats or [None])[0], False


def _prompt_inside(view: View, pair: Pair) -> bool:
    """Whether both texts begin with the same conversation or the same words. Nobody knows without rows: then they may."""
    if not view.rows:
        return True
    if view.mostly(pair[0], "transcript") and view.mostly(pair[1], "transcript"):
        return True
    return shared_start([(row.get(pair[0]), row.get(pair[1])) for row in view.rows]) >= MOST


def _names_winner(view: View, column: str, pair: Pair) -> bool:
    if column in pair:
        return False
    ends = {last_word(one) for one in pair}
    values = [str(row.get(column)).strip().lower() for row in view.rows if row.get(column) is not None]
    fits = [value for value in values if "tie" in value or any(value.endswith(end) for end in ends)]
    return not values or len(fits) >= MOST * len(values)


def _why(pair: Pair, prompt: str | None, winner: str) -> str:
    if winner:
        return f'"{pair[0]}" and "{pair[1]}" are two answers to "{prompt}", and "{winner}" says which is the better.'
    both = f'"{pair[0]}" holds the better and "{pair[1]}" the worse answer'
    if prompt:
        return f'{both} to "{prompt}".'
    return f"{both}; the prompt is what both have in common at their start."
