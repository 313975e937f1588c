"""Prompts for learning by trying: with a reward, with an answer that can be checked, with tests, or with the name of a reward.

Guarantees: a question and an answer stay supervised unless the answers look checkable (a marked final answer, or one number);
then the shape says so, and that supervised training is possible as well.
"""

from __future__ import annotations

from studio.data.shapes.forms import method_why, training
from studio.data.shapes.names import OWN, normal, ranked
from studio.data.shapes.view import View
from studio.data.types import Kind, Shape

# Names that a quiz uses as well, whose answers may be meant to be learned by heart.
_EITHER = ("correct answer", "gold", "reference")
#: Names of columns with questions.
ASKS = ("prompt", "question", "instruction", "problem", "query", "messages")
_ALSO_SUPERVISED = "Supervised training on the written answers is possible as well."


def exactly(view: View) -> Shape | None:
    """Rewards and references under the known names."""
    return _with_reward(view) or _with_reference(view) or _with_marked_answer(view)


def resembling(view: View) -> Shape | None:
    """Prompts with a score and nothing else, and questions whose answers are numbers."""
    return _with_score(view) or _with_number(view)


def questions(view: View) -> Shape | None:
    """Questions and nothing to learn from beside them. Sure only where no other column could hold the answers."""
    prompt = view.own(ASKS)
    system = view.own(OWN["rl_answer"]["system"])
    kind = "asks" if prompt and normal(prompt) == "messages" else "text"
    if prompt is None or not view.mostly(prompt, kind):
        return None
    exact = set(view.columns) <= {prompt, system}
    why = f'"{prompt}" holds the questions, and no column holds answers.'
    return _shape(view, "prompts", {"prompt": prompt, "system": system}, exact=exact, why=why)


def _with_reward(view: View) -> Shape | None:
    own = OWN["rl_reward"]
    reward, name = view.own(own["reward"]), view.own(own["reward_name"])
    prompt, exact = _prompt(view, {reward, name})
    completion = view.own(own["completion"])
    compared = completion or _reference(view) or view.own(("answer",))
    if not prompt or not (reward or (name and not compared)):
        return None
    found = {
        "prompt": prompt,
        "reward": reward,
        "reward_name": name,
        "completion": completion,
        "system": view.own(own["system"]),
    }
    why = f'"{reward}" says how good each row is.' if reward else f'"{name}" names the reward of each prompt.'
    return _shape(view, "rl_reward", {**found, "system": view.own(own["system"])}, exact=exact, why=why)


def _with_reference(view: View) -> Shape | None:
    """An answer to compare with, or tests to pass, beside a prompt and no answer to copy."""
    own = OWN["rl_answer"]
    test, name = view.own(own["test"]), view.own(own["reward_name"])
    # An answer beside the name of a reward is what that reward compares with.
    reference = _reference(view) or (view.own(("answer",)) if name else None)
    prompt, exact = _prompt(view, {reference, test, name})
    if not prompt or not (reference or test) or view.own(OWN["prompt_completion"]["completion"]):
        return None
    found = {"prompt": prompt, "answer": reference, "test": test, "reward_name": name}
    why = f'"{reference or test}" is what an attempt is checked against.'
    doubt = _ALSO_SUPERVISED if reference and normal(reference) in _EITHER else ""
    return _shape(
        view, "rl_answer", {**found, "system": view.own(own["system"])}, exact=exact and not doubt, why=why, doubt=doubt
    )


def _with_marked_answer(view: View) -> Shape | None:
    """Worked solutions that end in a marked answer, as in GSM8K; and prompts whose last turn waits for a checked answer."""
    prompt, exact = _prompt(view, {view.own(("answer",))})
    answer = view.own(("answer",))
    if not prompt or not answer or view.own(OWN["prompt_completion"]["completion"]):
        return None
    if view.mostly(answer, "solution"):
        why = f'The texts in "{answer}" end with a marked final answer, which can be checked.'
        return _shape(view, "rl_answer", {"prompt": prompt, "answer": answer}, exact=exact, why=why, doubt=_ALSO_SUPERVISED)
    if view.mostly(prompt, "asks"):
        why = f'The conversations in "{prompt}" end with a question, and "{answer}" is what an attempt is checked against.'
        return _shape(view, "rl_answer", {"prompt": prompt, "answer": answer}, exact=exact, why=why)
    return None


def _with_score(view: View) -> Shape | None:
    score = next((column for column in view.columns if column.strip().lower() in ("score", "rating", "points", "grade")), None)
    prompt, _ = _prompt(view, {score})
    answers = [column for _, column in ranked("completion", view.columns) if column not in (score, prompt)]
    if not score or not prompt or answers or not view.mostly(score, "number"):
        return None
    return _shape(view, "rl_reward", {"prompt": prompt, "reward": score}, exact=False, why=f'"{score}" sounds like a reward.')


def _with_number(view: View) -> Shape | None:
    names = {"answer": view.own(("answer", "final answer", "solution"))}
    prompt = view.own(("problem", "question", "prompt", "query"))
    answer = names["answer"]
    if not prompt or not answer or view.own(OWN["prompt_completion"]["completion"]):
        return None
    found = view.look(answer)
    if found is None or not view.mostly(answer, "number") or found.distinct < 3:
        return None
    why = f'The answers in "{answer}" are numbers, which can be checked.'
    return _shape(view, "rl_answer", {"prompt": prompt, "answer": answer}, exact=False, why=why, doubt=_ALSO_SUPERVISED)


def _reference(view: View) -> str | None:
    """The column with the answer to compare with, under a name that says so ("answer" alone does not)."""
    for name in OWN["rl_answer"]["answer"][:-1]:
        column = view.own((name,))
        if column and (name != "reward model" or view.mostly(column, "ground_truth", unknown=True)):
            return column
    return None


def _prompt(view: View, taken: set[str | None]) -> tuple[str | None, bool]:
    """The column with the prompts, and whether it has a name of the form's own."""
    for name in OWN["rl_answer"]["prompt"]:
        column = view.own((name,))
        if column and column not in taken and (name != "messages" or view.mostly(column, "asks")):
            return column, True
    rest = [column for _, column in ranked("prompt", view.columns) if column not in taken]
    return (rest[0] if rest else None), False


def _shape(view: View, kind: Kind, found: dict[str, str | None], *, exact: bool, why: str, doubt: str = "") -> Shape:
    found = {**found, "messages": view.longer_prompts(found["prompt"])}
    columns = tuple((part, column) for part, column in found.items() if column)
    return Shape(kind, columns, exact, why, training(kind), method_why(kind, sure=exact and not doubt, doubt=doubt))
