"""How messages become tokens and a loss mask, and tokens text again: one way for training, comparing, counting and showing.

Guarantees: tokens and weights are those of the cookbook's own renderer and data pipeline, unchanged; a conversation that the
renderer cannot write is refused in words (``CannotRender``) and never written wrongly; the pieces of a ``Rendering`` join to
the text exactly, also where a character spans several tokens. Importing this module is light: the cookbook (and torch below
it) is imported when the first ``Template`` is made.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
import socket
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from studio.errors import DataError
from studio.models.cookbook import register_with_cookbook
from studio.models.lineup import Model

if TYPE_CHECKING:
    import tinker

    from studio.data.types import Message

#: Renderers without a way to write tool calls down; the cookbook's own classes say so (held by a test).
WITHOUT_TOOLS: Final = frozenset({"role_colon", "llama3"})
#: In texts that think aloud, which a format without thinking refuses.
_THINKING: Final = "think>"
#: Seconds that the hub may take to answer at all.
_PATIENCE: Final = 3.0
#: Formats with a place for thinking aloud. The others get the answer alone, as they are asked for it in use.
WITH_THINKING: Final = frozenset(
    {"qwen3", "qwen3_5", "deepseekv3_thinking", "kimi_k2", "gpt_oss_no_sysprompt", "gpt_oss_medium_reasoning"}
)
#: Formats that write an answer differently once it is history: the cookbook's "extension property" does not hold for them.
_REWRITING: Final = frozenset({*WITH_THINKING, "qwen3_disable_thinking", "qwen3_5_disable_thinking"})
_TOOL_KEYS: Final = frozenset({"tools", "functions", "tool_calls", "function_call", "tool_call_id"})


class CannotRender(DataError):  # noqa: N818 - it names the row, the base class says that it is an error
    """This conversation cannot be written for this model; ``code`` is the stable code of the reason."""

    def __init__(self, code: str, what: str, *, next_step: str = "") -> None:
        super().__init__(what, where="messages", next_step=next_step)
        self.code = code


class NoTokenizer(DataError):  # noqa: N818 - it names what is missing, the base class says that it is an error
    """The tokenizer of a hosted model is neither on this computer nor to be had."""

    def __init__(self, model: Model) -> None:
        super().__init__(
            f"The tokenizer of {model.label} is not on this computer and could not be fetched.",
            where=model.wire_name,
            next_step="Connect to the internet and try again; it is kept afterwards.",
        )


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the model meets it.

    ``text`` is empty where the token holds only the beginning of a character; the token that completes it has the text.
    ``trained``: the loss counts it. ``cut``: it lies beyond the longest example, so the model never sees it. ``special``: a
    mark of the chat format, not text.
    """

    text: str
    id: int
    trained: bool
    cut: bool = False
    special: bool = False


@dataclass(frozen=True, slots=True)
class Rendering:
    """One example, token by token. ``max_length`` is where it is cut, ``None`` for nowhere."""

    tokens: tuple[Token, ...]
    max_length: int | None = None

    @property
    def text(self) -> str:
        """Everything, marks included."""
        return "".join(token.text for token in self.tokens)

    @property
    def trained(self) -> int:
        """Tokens that the loss counts."""
        return sum(token.trained for token in self.tokens)

    @property
    def cut(self) -> int:
        """Tokens that are cut off at the end."""
        return sum(token.cut for token in self.tokens)


def rendered(
    model: Model, messages: Sequence[Message], train_on: str, *, renderer: str = "", max_length: int | None = None
) -> Rendering:
    """The conversation as training will use it. Raises ``CannotRender``; loads the cookbook the first time (seconds).

    ``renderer`` is the recommended one unless named. Nothing is cut beyond ``max_length``, only marked.
    """
    return template(model, renderer).rendering(messages, train_on, max_length)


def template(model: Model, renderer: str = "") -> Template:
    """The template of a model, made once. Raises ``DataError`` when its tokenizer is not at hand."""
    return _template(model, renderer or model.renderer)


@cache
def _template(model: Model, renderer: str) -> Template:
    return Template(model, renderer)


def supports_tools(renderer: str) -> bool:
    """Whether conversations with tool calls can be written by this renderer."""
    return renderer not in WITHOUT_TOOLS


def tokenizer_of(model: Model) -> Any:  # noqa: ANN401 - transformers and the cookbook share no type for it
    """The model's tokenizer, from this computer or from the hub. Raises ``NoTokenizer``, without a long wait."""
    from tinker_cookbook import tokenizer_utils

    register_with_cookbook()
    if model.local:
        return tokenizer_utils.get_tokenizer(model.wire_name)
    try:
        with _hub_as_it_is():
            return tokenizer_utils.get_tokenizer(model.wire_name)
    # Whatever a hub, a proxy or a foreign tokenizer class raises: without a tokenizer nothing here can go on.
    except Exception as error:
        raise NoTokenizer(model) from error


_ONE_AT_A_TIME: Final = threading.RLock()


@contextmanager
def _hub_as_it_is() -> Generator[None]:
    """Ask nobody when the hub cannot be reached: its client would try again for a minute and a half."""
    from huggingface_hub import constants

    # The switch belongs to the whole process: two at once would each put back what the other had set, for good.
    with _ONE_AT_A_TIME:
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


def _reachable(address: str) -> bool:
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=_PATIENCE):
            return True
    except OSError:
        return False


def rewrites_history(renderer: str) -> bool:
    """Whether an answer is written differently once others follow it, so that only the last one has the form in use."""
    return renderer in _REWRITING


class Template:
    """Turns messages into tokens and back with the model's own renderer, and its own tokenizer unless another is given."""

    def __init__(self, model: Model, renderer: str, tokenizer: Any = None) -> None:  # noqa: ANN401 - see ``tokenizer_of``
        from tinker_cookbook import renderers

        # For formats that rewrite history the cookbook warns about every single conversation; the recipe says it once.
        logging.getLogger("tinker_cookbook.renderers").setLevel(logging.ERROR)
        self.model = model
        self.renderer_name = renderer
        self.tokenizer: Any = tokenizer_of(model) if tokenizer is None else tokenizer
        self.renderer: Any = renderers.get_renderer(renderer, self.tokenizer)
        self.stop: list[str] | list[int] = self.renderer.get_stop_sequences()

    def prompt(self, messages: Sequence[Message]) -> tinker.ModelInput:
        """The tokens up to the point where the answer begins. Raises ``CannotRender``."""
        with _in_words():
            front, rest = self._conversation(messages)
            return self.renderer.build_generation_prompt([*front, *rest])

    def example(self, messages: Sequence[Message], train_on: str) -> tuple[tinker.ModelInput, list[bool]]:
        """All tokens of a conversation, and for each whether the loss counts it. Raises ``CannotRender``.

        The loss of a token is counted where the model predicts it, one position earlier in the datum; the first token of all is
        predicted by nothing, so it is never trained.
        """
        conversation, what = self._to_train(messages, train_on)
        with _in_words():
            whole, weights = self.renderer.build_supervised_example(conversation, train_on_what=what)
        return whole, [place > 0 and weight > 0 for place, weight in enumerate(weights.tolist())]

    def datum(self, messages: Sequence[Message], train_on: str, max_length: int | None) -> tinker.Datum:
        """What the training loop is given, by the cookbook's own data pipeline. Raises ``CannotRender``."""
        from tinker_cookbook.supervised.data import conversation_to_datum

        conversation, what = self._to_train(messages, train_on)
        with _in_words():
            return conversation_to_datum(conversation, self.renderer, max_length, what)

    def rendering(self, messages: Sequence[Message], train_on: str, max_length: int | None = None) -> Rendering:
        """The conversation token by token. Raises ``CannotRender``."""
        whole, trained = self.example(messages, train_on)
        return Rendering(self._tokens(whole.to_ints(), trained, max_length), max_length)

    def prompt_rendering(self, messages: Sequence[Message], max_length: int | None = None) -> Rendering:
        """The prompt that an answer is sampled from, token by token; nothing in it is trained. Raises ``CannotRender``."""
        ids = self.prompt(messages).to_ints()
        return Rendering(self._tokens(ids, [False] * len(ids), max_length), max_length)

    def text(self, tokens: Sequence[int]) -> str:
        """The answer as text, up to where it ends and without special tokens."""
        ends = {stop for stop in self.stop if isinstance(stop, int)}
        kept = list(tokens)
        for i, token in enumerate(kept):
            if token in ends:
                kept = kept[:i]
                break
        text = str(self.tokenizer.decode(kept, skip_special_tokens=True))
        for stop in self.stop:
            if isinstance(stop, str):
                text = text.partition(stop)[0]
        return text

    def _tokens(self, ids: Sequence[int], trained: Sequence[bool], max_length: int | None) -> tuple[Token, ...]:
        special = set(self.tokenizer.all_special_ids)
        limit = len(ids) if max_length is None else max_length
        pieces = self._pieces(ids)
        return tuple(
            Token(piece, ident, mark and place < limit, place >= limit, ident in special)
            for place, (piece, ident, mark) in enumerate(zip(pieces, ids, trained, strict=True))
        )

    def _pieces(self, ids: Sequence[int]) -> list[str]:
        """The text that each token adds, characters completed by the token that holds their last byte."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        pieces = [decoder.decode(self._bytes(ident)) for ident in ids]
        if pieces:
            pieces[-1] += decoder.decode(b"", final=True)
        return pieces

    def _bytes(self, ident: int) -> bytes:
        """The bytes of one token. Byte-level vocabularies, which all our models have, write each byte as one letter."""
        token = str(self.tokenizer.convert_ids_to_tokens(ident))
        alphabet = _byte_letters()
        added = ident in self.tokenizer.added_tokens_decoder
        if not added and all(letter in alphabet for letter in token):
            return bytes(alphabet[letter] for letter in token)
        return str(self.tokenizer.decode([ident], skip_special_tokens=False)).encode()

    def _to_train(self, messages: Sequence[Message], train_on: str) -> tuple[list[Any], Any]:
        """The conversation for the cookbook, and what to train on in its words."""
        from tinker_cookbook.renderers import TrainOnWhat

        front, rest = self._conversation(messages)
        chosen = _trained_turns(messages, train_on)
        kept = [mark and _weight(turn) != 0 for mark, turn in zip(chosen, messages, strict=True)]
        if kept == chosen:
            return [*front, *rest], TrainOnWhat(train_on)
        # A weight of 0 in the file takes a turn out, whatever else was chosen.
        marks = [*([kept[0] and len(messages) > len(rest)] * len(front)), *kept[len(messages) - len(rest) :]]
        marked = [{**turn, "trainable": mark} for turn, mark in zip([*front, *rest], marks, strict=True)]
        return marked, TrainOnWhat.CUSTOMIZED

    def _conversation(self, messages: Sequence[Message]) -> tuple[list[Any], list[Any]]:
        """The messages as the cookbook takes them: what comes in front for tool definitions, and the turns after it."""
        if not messages:
            raise CannotRender("bad_conversation", "There is no message in it.")
        if not supports_tools(self.renderer_name) and uses_tools(messages):
            raise CannotRender(
                "unsupported_tools",
                f"{self.model.label} has no way to write tool calls down.",
                next_step="Leave these rows out, or choose a model that can call tools, such as one of the Qwen3 family.",
            )
        tools = next((found for found in map(_tools, messages) if found), [])
        turns = _turns(messages, thinking=self.renderer_name in WITH_THINKING)
        if not tools:
            return [], turns
        with _in_words():
            has_system = turns[0]["role"] == "system"
            front = self.renderer.create_conversation_prefix_with_tools(tools, turns[0]["content"] if has_system else "")
            return front, turns[1:] if has_system else turns


def uses_tools(messages: Sequence[Message]) -> bool:
    """Whether a tool is offered, called or answering anywhere in the conversation."""
    return any(turn.role == "tool" or (turn.more and not _TOOL_KEYS.isdisjoint(extras(turn))) for turn in messages)


def spoken(message: Message) -> str:
    """What a turn says, for people: its text, and the tools that it calls with what they are given."""
    try:
        calls = [f"{call['function']['name']}({call['function']['arguments']})" for call in _calls(extras(message))]
    except CannotRender:
        calls = []
    return "\n".join(part for part in (message.content, *calls) if part)


def risky(messages: Sequence[Message]) -> bool:
    """Whether some format might refuse the conversation: for tools, for thinking aloud, for having no question."""
    return any(turn.more or _THINKING in turn.content for turn in messages) or all(turn.role != "user" for turn in messages)


def extras(message: Message) -> Mapping[str, Any]:
    """What else the turn carries, by key. Raises ``CannotRender`` when it is no JSON object."""
    if not message.more:
        return {}
    try:
        found = json.loads(message.more)
    except ValueError as error:
        raise CannotRender("bad_conversation", f"What a turn carries beside its text is not JSON: {error}.") from error
    if not isinstance(found, dict):
        raise CannotRender("bad_conversation", "What a turn carries beside its text is not a JSON object.")
    return {key: value for key, value in cast("dict[str, Any]", found).items() if value is not None}


def _trained_turns(messages: Sequence[Message], train_on: str) -> list[bool]:
    """Which turns the choice alone would train, as the cookbook's renderers decide it."""
    answers = [turn.role == "assistant" for turn in messages]
    match train_on:
        case "last_assistant_message":
            return [*([False] * (len(messages) - 1)), answers[-1]]
        case "last_assistant_turn":
            after = max((place for place, turn in enumerate(messages[:-1]) if turn.role == "user"), default=-1)
            return [answer and place > after for place, answer in enumerate(answers)]
        case "all_assistant_messages":
            return answers
        case _:
            return [True] * len(messages)


def _weight(message: Message) -> int:
    """OpenAI's weight of a turn: 0 keeps it out of the loss."""
    weight = extras(message).get("weight", 1)
    return 0 if weight in (0, "0", False) else 1


def _turns(messages: Sequence[Message], *, thinking: bool) -> list[dict[str, Any]]:
    from tinker_cookbook.renderers import ToolCall

    names: dict[str, str] = {}
    turns: list[dict[str, Any]] = []
    for message in messages:
        more = extras(message)
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        thought = more.get("reasoning_content") or more.get("thinking")
        if thinking and message.role == "assistant" and isinstance(thought, str):
            turn["content"] = [{"type": "thinking", "thinking": thought}, {"type": "text", "text": message.content}]
        if calls := _calls(more):
            turn["tool_calls"] = [ToolCall.model_validate(call) for call in calls]
            names.update({call["id"]: call["function"]["name"] for call in calls if call["id"]})
        if message.role == "tool":
            ident = more.get("tool_call_id")
            # Some formats write the name of the function beside its answer, and OpenAI's files give only the id of the call.
            name = more.get("name") or names.get(str(ident))
            turn |= {key: value for key, value in (("tool_call_id", ident), ("name", name)) if isinstance(value, str)}
        turns.append(turn)
    return turns


def _calls(more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tool calls of one turn in OpenAI's form, the older single ``function_call`` included."""
    given = more.get("tool_calls") or ([{"function": more["function_call"]}] if more.get("function_call") else [])
    if not isinstance(given, list):
        raise CannotRender("bad_conversation", "The tool calls of a turn are not a list.")
    return [_call(call) for call in cast("list[object]", given)]


def _object(given: object) -> dict[str, Any]:
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def _call(given: object) -> dict[str, Any]:
    call = _object(given)
    function = _object(call.get("function"))
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name:
        raise CannotRender("bad_conversation", "A tool call does not name its function.")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    try:
        json.loads(text or "{}")
    except ValueError as error:
        raise CannotRender("bad_conversation", f"The arguments of a call to {name} are not JSON: {error}.") from error
    ident = call.get("id")
    return {"id": ident if isinstance(ident, str) else None, "function": {"name": name, "arguments": text or "{}"}}


def _tools(message: Message) -> list[Any]:
    """The tool definitions that a turn carries, each as the bare function that the cookbook wants."""
    more = extras(message)
    given = more.get("tools") or more.get("functions") or []
    if not isinstance(given, list):
        raise CannotRender("bad_conversation", "The tool definitions are not a list.")
    found = [_object(tool.get("function", tool)) for tool in map(_object, cast("list[object]", given))]
    if not all(isinstance(tool.get("name"), str) for tool in found):
        raise CannotRender("bad_conversation", "A tool definition does not name its function.")
    return found


@contextmanager
def _in_words() -> Generator[None]:
    """The cookbook's refusals as ours."""
    try:
        yield
    except CannotRender:
        raise
    except (ValueError, KeyError, NotImplementedError) as error:
        raise CannotRender(
            "cannot_render",
            f"The model's format cannot hold this conversation: {error}",
            next_step="Leave these rows out, or choose another training target or another model.",
        ) from error
    except AssertionError as error:
        # Some formats put turns of their own in front, and the cookbook then finds no mark on them.
        raise CannotRender(
            "cannot_render",
            "This model's format cannot leave out single answers (weight 0) here.",
            next_step="Begin these conversations with a system message, or choose another model.",
        ) from error


@cache
def _byte_letters() -> Mapping[str, int]:
    """Which byte each letter of a byte-level vocabulary stands for: GPT-2's table, printable ones as they are, others moved."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = [byte for byte in range(256) if byte not in set(plain)]
    return {**{chr(byte): byte for byte in plain}, **{chr(256 + place): byte for place, byte in enumerate(moved)}}
