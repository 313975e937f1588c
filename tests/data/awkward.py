"""Small files in every form that people have, with what is right for each of them: the table that ``test_judges`` goes through.

A file is ten good rows of its form, so that nothing is told about their number, and then the rows in question.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Row = Mapping[str, object] | Sequence[object] | str | int | None


@dataclass(frozen=True)
class Case:
    """One file. ``rows`` come behind the good ones; ``reasons`` are those of the rows set aside, ``line`` is the first of them.

    ``first`` and ``last`` are the canonical texts of the first and the last usable row.
    """

    name: str
    good: Callable[[int], Row]
    rows: Sequence[Row] = ()
    kind: str = "prompt_completion"
    training: str = "SL"
    outcome: str = "accepted_with_warnings"
    reasons: Mapping[str, int] = field(default_factory=dict)
    line: int | None = None
    first: Mapping[str, object] | None = None
    last: Mapping[str, object] | None = None
    exact: bool = True
    cells: bool = False
    mapping: Mapping[str, str] | None = None
    warnings: frozenset[str] = frozenset()

    @property
    def file_name(self) -> str:
        return "file.csv" if self.cells else "file.jsonl"

    @property
    def all_rows(self) -> list[Row]:
        return [*(self.good(number) for number in range(10)), *self.rows]

    def content(self) -> str:
        return table(self.all_rows) if self.cells else "".join(json.dumps(row) + "\n" for row in self.all_rows)


def table(rows: Sequence[Row]) -> str:
    """The rows as CSV; a value that is no text stands as JSON in its cell."""
    dicts = [row for row in rows if isinstance(row, Mapping)]
    names = list(dict.fromkeys(name for row in dicts for name in row))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for row in dicts:
        writer.writerow([_cell(row.get(name, "")) for name in names])
    return file.getvalue()


def _cell(value: object) -> object:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)


def user(content: object, **more: object) -> dict[str, object]:
    return {"role": "user", "content": content, **more}


def bot(content: object, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, **more}


def system(content: object) -> dict[str, object]:
    return {"role": "system", "content": content}


def chat(*turns: object) -> dict[str, object]:
    return {"messages": list(turns)}


def pair(number: int) -> dict[str, object]:
    return {"prompt": f"Question {number}?", "completion": f"Answer {number}."}


def good_chat(number: int) -> dict[str, object]:
    return chat(user(f"Question {number}?"), bot(f"Answer {number}."))


def choice(number: int) -> dict[str, object]:
    return {"prompt": f"Question {number}?", "chosen": f"Better {number}.", "rejected": f"Worse {number}."}


def told(number: int, *names: str) -> dict[str, object]:
    """The same row under two other names."""
    return dict(zip(names, (f"Question {number}?", f"Answer {number}."), strict=True))


FIRST_PAIR = {"prompt": "Question 0?", "completion": "Answer 0."}
FIRST_CHAT = {"messages": [user("Question 0?"), bot("Answer 0.")]}
FIRST_CHOICE = {"prompt": "Question 0?", "chosen": "Better 0.", "rejected": "Worse 0."}
CALL = [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Basel"}'}}]
WEATHER = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]

PAIRS = (
    Case("prompt_completion", pair, outcome="accepted", first=FIRST_PAIR),
    Case("prompt_response", lambda n: told(n, "prompt", "response"), outcome="accepted", first=FIRST_PAIR),
    Case(
        "columns_in_another_order",
        lambda n: {"completion": f"Answer {n}.", "id": n, "prompt": f"Question {n}?"},
        first=FIRST_PAIR,
        outcome="accepted",
    ),
    Case("header_in_capitals", lambda n: told(n, "PROMPT", " Completion "), first=FIRST_PAIR, cells=True),
    Case(
        "question_answer",
        lambda n: told(n, "question", "answer"),
        first=FIRST_PAIR,
        exact=False,
        warnings=frozenset({"columns_mapped"}),
    ),
    Case("camel_case", lambda n: told(n, "userQuestion", "botReply"), first=FIRST_PAIR, exact=False),
    Case("input_output", lambda n: told(n, "input", "output"), first=FIRST_PAIR, exact=False),
    Case(
        "query_and_reply_beside_ids",
        lambda n: {"query_id": n, **told(n, "customer query", "agent reply")},
        first=FIRST_PAIR,
        exact=False,
    ),
    Case(
        "text_and_label",
        lambda n: {"text": f"It was film {n}", "label": ("good", "bad", "so so")[n % 3]},
        first={"prompt": "It was film 0", "completion": "good"},
        exact=False,
        cells=True,
    ),
    Case(
        "system_column",
        lambda n: {"system": "Be brief.", **pair(n)},
        outcome="accepted",
        first={"system": "Be brief.", **FIRST_PAIR},
    ),
    Case(
        "what_may_be_wrong_with_a_pair",
        pair,
        [
            {"prompt": "only a prompt"},
            {"prompt": None, "completion": "x"},
            {"prompt": " \u200b\t", "completion": "x"},
            {"prompt": "x", "completion": ["a", "list"]},
            {"prompt": {"a": 1}, "completion": "x"},
            7,
            "text",
            None,
            ["prompt", "completion"],
        ],
        reasons={"missing_field": 1, "empty_value": 2, "wrong_type": 2, "not_an_object": 4},
        line=11,
    ),
    Case(
        "numbers_and_flags",
        pair,
        [{"prompt": 17, "completion": True}],
        last={"prompt": "17", "completion": "true"},
        warnings=frozenset({"non_text_value"}),
    ),
    Case(
        "texts_to_the_letter",
        pair,
        [{"prompt": "  \ttwo lines\r\nand more \n", "completion": " \u00a0<b>&amp;\"'\\n</b>\ufeff "}],
        last={"prompt": "  \ttwo lines\r\nand more \n", "completion": " \u00a0<b>&amp;\"'\\n</b>\ufeff "},
    ),
    Case(
        "words_that_look_like_nothing",
        pair,
        [{"prompt": "NULL", "completion": "nan"}, {"prompt": "None", "completion": "NA"}],
        last={"prompt": "None", "completion": "NA"},
        cells=True,
    ),
    Case(
        "thumbs",
        lambda n: {**pair(n), "label": True},
        [{**pair(20), "label": False}],
        reasons={"thumbs_down": 1},
        line=11,
        first=FIRST_PAIR,
        warnings=frozenset({"label_column"}),
    ),
    Case(
        "thumbs_in_words",
        lambda n: {**pair(n), "feedback": "thumbs_up"},
        [{**pair(20), "feedback": "thumbs_down"}],
        reasons={"thumbs_down": 1},
        line=12,
        cells=True,
    ),
    Case(
        "thumbs_in_numbers",
        lambda n: {**pair(n), "label": 1},
        [{**pair(20), "label": 0}],
        reasons={"thumbs_down": 1},
        line=12,
        cells=True,
        exact=False,
    ),
    Case(
        "conversational_pair",
        lambda n: {"prompt": [user(f"Question {n}?")], "completion": [bot(f"Answer {n}.")]},
        outcome="accepted",
        first=FIRST_CHAT,
    ),
    Case(
        "alpaca",
        lambda n: {"instruction": f"Question {n}?", "input": "", "output": f"Answer {n}."},
        [{"instruction": "Sum up", "input": "A long text", "output": "Short"}],
        kind="alpaca",
        outcome="accepted",
        first=FIRST_PAIR,
        last={"prompt": "Sum up\n\nA long text", "completion": "Short"},
    ),
    Case(
        "alpaca_without_input", lambda n: told(n, "instruction", "output"), kind="alpaca", outcome="accepted", first=FIRST_PAIR
    ),
    Case(
        "dolly",
        lambda n: {"instruction": f"Question {n}?", "context": "", "response": f"Answer {n}.", "category": "qa"},
        kind="alpaca",
        outcome="accepted",
        first=FIRST_PAIR,
    ),
    Case(
        "question_with_context",
        lambda n: {"context": f"Text {n}", "question": f"Question {n}?", "answer": f"Answer {n}."},
        kind="alpaca",
        exact=False,
        first={"prompt": "Question 0?\n\nText 0", "completion": "Answer 0."},
    ),
    Case(
        "alpaca_with_history",
        lambda n: {"instruction": f"Question {n}?", "input": "", "output": f"Answer {n}.", "history": [["Hi", "Hello"]]},
        kind="alpaca",
        outcome="accepted",
        first=chat(user("Hi"), bot("Hello"), user("Question 0?"), bot("Answer 0.")),
    ),
    Case(
        "names_that_are_sql",
        lambda n: told(n, "prompt' ORDER BY 1 --", 'GROUP "answer" JOIN'),
        [{"prompt' ORDER BY 1 --": "no answer"}],
        reasons={"missing_field": 1},
        line=11,
        exact=False,
        first=FIRST_PAIR,
    ),
    Case(
        "better_answers_alone",
        choice,
        mapping={"prompt": "prompt", "completion": "chosen"},
        outcome="accepted",
        first={"prompt": "Question 0?", "completion": "Better 0."},
    ),
)

CHATS = (
    Case("messages", good_chat, kind="messages", outcome="accepted", first=FIRST_CHAT),
    Case(
        "messages_beside_a_prompt",
        lambda n: {"prompt": f"Question {n}?", "prompt_id": n, **good_chat(n)},
        kind="messages",
        outcome="accepted",
        first=FIRST_CHAT,
    ),
    Case("bare_lists", lambda n: good_chat(n)["messages"], kind="messages", first=FIRST_CHAT, outcome="accepted"),
    Case("json_in_cells", good_chat, kind="messages", first=FIRST_CHAT, cells=True, outcome="accepted"),
    Case(
        "json_in_cells_broken",
        good_chat,
        [{"messages": "[{'role': 'user'"}, {"messages": "just text"}],
        kind="messages",
        reasons={"bad_conversation": 2},
        line=12,
        cells=True,
    ),
    Case("another_name", lambda n: {"dialogue": good_chat(n)["messages"]}, kind="messages", first=FIRST_CHAT, exact=False),
    Case(
        "a_name_without_meaning",
        lambda n: {"id": n, "data": good_chat(n)["messages"]},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case(
        "ten_kinds_of_bad",
        good_chat,
        [
            {"messages": "no list"},
            chat(),
            chat("a text"),
            chat({"content": "no role"}, bot("x")),
            chat({"role": "boss", "content": "x"}, bot("x")),
            chat(user("x"), {"role": "assistant"}),
            chat(user("x"), bot(" \u200b")),
            chat(user("x"), user("y")),
            chat(user("x"), bot("y"), user("z")),
            {"messages": None},
            {"other": 1},
            chat(bot("nobody asked")),
            chat(user("x"), bot({"an": "object"})),
        ],
        kind="messages",
        reasons={"bad_conversation": 10, "empty_value": 1, "missing_field": 1, "wrong_type": 1},
        line=11,
        first=FIRST_CHAT,
    ),
    Case(
        "pictures",
        good_chat,
        [chat(user([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "x"}}]), bot("A cat"))],
        kind="messages",
        reasons={"images_not_supported": 1},
        line=11,
    ),
    Case(
        "only_pictures",
        lambda n: chat(user([{"type": "image_url", "image_url": {}}]), bot(f"cat {n}")),
        kind="messages",
        outcome="rejected",
        reasons={"images_not_supported": 10},
        line=1,
    ),
    Case(
        "parts_of_text",
        good_chat,
        [
            chat(
                user([{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]),
                bot([{"type": "text", "text": "Three"}]),
            )
        ],
        kind="messages",
        outcome="accepted",
        last=chat(user("One\ntwo"), bot("Three")),
    ),
    Case(
        "developer",
        good_chat,
        [chat({"role": "developer", "content": "Be kind"}, user("x"), bot("y"))],
        kind="messages",
        outcome="accepted",
        last=chat(system("Be kind"), user("x"), bot("y")),
    ),
    Case(
        "capital_roles",
        good_chat,
        [chat({"role": "User", "content": "x"}, {"role": "ASSISTANT", "content": "y"})],
        kind="messages",
        last=chat(user("x"), bot("y")),
        warnings=frozenset({"odd_turn_order"}),
    ),
    Case(
        "capital_keys",
        good_chat,
        [chat({"Role": "user", "Content": "x"}, {"Role": "assistant", "Content": "y"})],
        kind="messages",
        outcome="accepted",
        last=chat(user("x"), bot("y")),
    ),
    Case(
        "odd_order",
        good_chat,
        [chat(user("a"), user("b"), bot("c")), chat(bot("a"), user("b"), bot("c")), chat(user("a"), system("b"), bot("c"))],
        kind="messages",
        warnings=frozenset({"odd_turn_order"}),
    ),
    Case(
        "numbers_as_content",
        good_chat,
        [chat(user(17), bot(True))],
        kind="messages",
        last=chat(user("17"), bot("true")),
        warnings=frozenset({"non_text_value"}),
    ),
    Case(
        "text_like_json",
        good_chat,
        [chat(user('{"a": 1}'), bot("[1, 2]")), chat(user("17"), bot("-1"))],
        kind="messages",
        outcome="accepted",
        last=chat(user("17"), bot("-1")),
    ),
    Case(
        "silent_system",
        good_chat,
        [chat(system(""), user("x"), bot("y"))],
        kind="messages",
        outcome="accepted",
        last=chat(user("x"), bot("y")),
    ),
    Case(
        "tool_calls",
        good_chat,
        [
            chat(
                user("Weather?"),
                bot(None, tool_calls=CALL),
                {"role": "tool", "content": "Sunny", "tool_call_id": "c1"},
                bot("It is sunny."),
            )
        ],
        kind="messages",
        outcome="accepted",
        last=chat(
            user("Weather?"),
            bot("", tool_calls=CALL),
            {"role": "tool", "content": "Sunny", "tool_call_id": "c1"},
            bot("It is sunny."),
        ),
    ),
    Case(
        "ends_with_a_call",
        good_chat,
        [chat(user("Weather?"), bot("", tool_calls=CALL))],
        kind="messages",
        outcome="accepted",
        last=chat(user("Weather?"), bot("", tool_calls=CALL)),
    ),
    Case(
        "ends_with_a_tool",
        good_chat,
        [chat(user("Weather?"), bot("", tool_calls=CALL), {"role": "tool", "content": "Sunny"})],
        kind="messages",
        reasons={"bad_conversation": 1},
        line=11,
    ),
    Case(
        "tools_and_weights",
        lambda n: {**good_chat(n), "tools": WEATHER, "parallel_tool_calls": False},
        [{**chat(user("a"), bot("b", weight=0), user("c"), bot("d", weight=1)), "tools": WEATHER}],
        kind="messages",
        outcome="accepted",
        first={**FIRST_CHAT, "tools": WEATHER},
        last={**chat(user("a"), bot("b", weight=0), user("c"), bot("d", weight=1)), "tools": WEATHER},
    ),
    Case(
        "weight_nothing",
        good_chat,
        [chat(user("a"), bot("b", weight=0))],
        kind="messages",
        reasons={"bad_conversation": 1},
        line=11,
    ),
    Case(
        "names",
        good_chat,
        [chat(user("a", name="Ana"), bot("b"))],
        kind="messages",
        outcome="accepted",
        last=chat(user("a", name="Ana"), bot("b")),
    ),
    Case(
        "nulls_beside_the_content",
        good_chat,
        [chat(user("a", name=None), bot("b", tool_calls=None))],
        kind="messages",
        outcome="accepted",
        last=chat(user("a"), bot("b")),
    ),
    Case(
        "sharegpt",
        lambda n: {"conversations": [{"from": "human", "value": f"Question {n}?"}, {"from": "gpt", "value": f"Answer {n}."}]},
        kind="sharegpt",
        outcome="accepted",
        first=FIRST_CHAT,
    ),
    Case(
        "sharegpt_with_system_and_tools",
        lambda n: {
            "conversations": [{"from": "human", "value": f"Question {n}?"}, {"from": "gpt", "value": f"Answer {n}."}],
            "system": "Be brief.",
        },
        [
            {
                "conversations": [
                    {"from": "human", "value": "w"},
                    {"from": "function_call", "value": "f()"},
                    {"from": "observation", "value": "7"},
                    {"from": "gpt", "value": "seven"},
                ]
            }
        ],
        kind="sharegpt",
        outcome="accepted",
        first=chat(system("Be brief."), user("Question 0?"), bot("Answer 0.")),
        last=chat(user("w"), bot("f()"), {"role": "tool", "content": "7"}, bot("seven")),
    ),
    Case(
        "sharegpt_under_messages",
        lambda n: {"messages": [{"from": "human", "value": f"Question {n}?"}, {"from": "gpt", "value": f"Answer {n}."}]},
        kind="sharegpt",
        outcome="accepted",
        first=FIRST_CHAT,
    ),
    Case(
        "thumbs_on_chats",
        lambda n: {**good_chat(n), "kto_tag": True},
        [{**good_chat(20), "kto_tag": False}],
        kind="messages",
        reasons={"thumbs_down": 1},
        line=11,
    ),
    Case(
        "transcripts",
        lambda n: {"text": f"Human: Question {n}?\n\nAssistant: Answer {n}."},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case(
        "mixed",
        pair,
        [good_chat(30), {"neither": 1}],
        kind="mixed",
        reasons={"missing_field": 1},
        line=12,
        first=FIRST_PAIR,
        last=chat(user("Question 30?"), bot("Answer 30.")),
        warnings=frozenset({"mixed_formats"}),
    ),
    Case(
        "mixed_of_three",
        good_chat,
        [pair(30), {"instruction": "i", "input": "z", "output": "o"}],
        kind="mixed",
        first=FIRST_CHAT,
        last={"prompt": "i\n\nz", "completion": "o"},
    ),
    Case(
        "mixed_with_sharegpt",
        good_chat,
        [{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "r"}]}, chat(user("x"))],
        kind="mixed",
        reasons={"bad_conversation": 1},
        line=12,
        last=chat(user("q"), bot("r")),
    ),
    Case(
        "mixed_names",
        lambda n: told(n, "prompt", *(("completion",) if n % 2 else ("response",))),
        kind="mixed",
        first=FIRST_PAIR,
    ),
    Case(
        "mixed_guesses",
        lambda n: told(n, "prompt", "completion") if n % 2 else told(n, "question", "answer"),
        kind="mixed",
        first=FIRST_PAIR,
        exact=False,
    ),
    Case(
        "a_few_strays",
        pair,
        [choice(20), {"prompt": "x", "reward": 1}],
        reasons={"missing_field": 2},
        line=11,
        first=FIRST_PAIR,
    ),
    Case(
        "guanaco",
        lambda n: {"text": f"### Human: Question {n}?### Assistant: Answer {n}."},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case(
        "chatml_in_text",
        lambda n: {
            "text": "<|im_start|>system\nBe kind.<|im_end|>\n"
            f"<|im_start|>user\nQuestion {n}?<|im_end|>\n<|im_start|>assistant\nAnswer {n}.<|im_end|>\n"
        },
        kind="messages",
        first=chat(system("Be kind."), user("Question 0?"), bot("Answer 0.")),
        exact=False,
    ),
    Case(
        "llama_in_text",
        lambda n: {"text": f"<s>[INST] Question {n}? [/INST] Answer {n}. </s>"},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case(
        "alpaca_in_text",
        lambda n: {"text": f"### Instruction:\nQuestion {n}?\n\n### Response:\nAnswer {n}."},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case(
        "questions_in_text",
        lambda n: {"text": f"Q: Question {n}?\nA: Answer {n}."},
        kind="messages",
        first=FIRST_CHAT,
        exact=False,
    ),
    Case("german", lambda n: told(n, "Frage", "Antwort"), exact=False, first=FIRST_PAIR, cells=True),
    Case("plain_text", lambda n: {"text": f"A text about {n}."}, kind="text", outcome="rejected"),
)

PREFERENCES = (
    Case("choices", choice, kind="preference", training="DPO", outcome="accepted", first=FIRST_CHOICE),
    Case(
        "bad_choices",
        choice,
        [
            {**choice(20), "rejected": "Better 20."},
            {**choice(20), "rejected": " \tBetter 20.\n"},
            {"prompt": "x", "chosen": "y"},
            {"prompt": "x", "chosen": None, "rejected": "z"},
            {"prompt": "", "chosen": "y", "rejected": "z"},
            {"prompt": "x", "chosen": ["y"], "rejected": "z"},
        ],
        kind="preference",
        training="DPO",
        reasons={"identical_pair": 2, "missing_field": 1, "empty_value": 2, "wrong_type": 1},
        line=11,
        first=FIRST_CHOICE,
    ),
    Case(
        "better_and_worse",
        lambda n: dict(zip(("question", "better", "worse"), choice(n).values(), strict=True)),
        kind="preference",
        training="DPO",
        exact=False,
        first=FIRST_CHOICE,
    ),
    Case(
        "preferred_and_dispreferred",
        lambda n: dict(zip(("query", "preferred_response", "dispreferred_response"), choice(n).values(), strict=True)),
        kind="preference",
        training="DPO",
        exact=False,
        first=FIRST_CHOICE,
    ),
    Case(
        "accepted_and_rejected",
        lambda n: dict(zip(("instruction", "accepted", "rejected"), choice(n).values(), strict=True)),
        kind="preference",
        training="DPO",
        exact=False,
        cells=True,
        first=FIRST_CHOICE,
    ),
    Case(
        "autotrain",
        lambda n: dict(zip(("prompt", "text", "rejected_text"), choice(n).values(), strict=True)),
        kind="preference",
        training="DPO",
        outcome="accepted",
        first=FIRST_CHOICE,
    ),
    Case(
        "scores_beside",
        lambda n: {**choice(n), "score_chosen": 9.0, "score_rejected": 3.0},
        kind="preference",
        training="DPO",
        outcome="accepted",
        first=FIRST_CHOICE,
    ),
    Case(
        "openai_preference",
        lambda n: {
            "input": {"messages": [user(f"Question {n}?")], "tools": [], "parallel_tool_calls": True},
            "preferred_output": [bot(f"Better {n}.")],
            "non_preferred_output": [bot(f"Worse {n}.")],
        },
        [
            {
                "input": {"messages": [system("s"), user("a"), bot("b"), user("c")]},
                "preferred_output": [bot("d")],
                "non_preferred_output": [bot("e")],
            }
        ],
        kind="preference",
        training="DPO",
        outcome="accepted",
        first=FIRST_CHOICE,
        last={"messages": [system("s"), user("a"), bot("b"), user("c")], "chosen": "d", "rejected": "e"},
    ),
    Case(
        "whole_chats",
        lambda n: {
            "prompt": f"Question {n}?",
            "chosen": [user(f"Question {n}?"), bot(f"Better {n}.")],
            "rejected": [user(f"Question {n}?"), bot(f"Worse {n}.")],
            "messages": [user(f"Question {n}?"), bot(f"Better {n}.")],
        },
        [
            {"prompt": "x", "chosen": [user("x"), bot("y")], "rejected": [user("other"), bot("z")]},
            {"prompt": "x", "chosen": [user("x")], "rejected": [user("x"), bot("z")]},
            {"prompt": "x", "chosen": [], "rejected": [user("x"), bot("z")]},
        ],
        kind="preference_messages",
        training="DPO",
        reasons={"bad_conversation": 2, "empty_value": 1},
        line=11,
        first=FIRST_CHOICE,
    ),
    Case(
        "chats_without_a_prompt",
        lambda n: {
            "chosen": [system("s"), user(f"Question {n}?"), bot(f"Better {n}.")],
            "rejected": [system("s"), user(f"Question {n}?"), bot(f"Worse {n}.")],
        },
        kind="preference_messages",
        training="DPO",
        outcome="accepted",
        first={"system": "s", **FIRST_CHOICE},
    ),
    Case(
        "conversational_prompt",
        lambda n: {"prompt": [user(f"Question {n}?")], "chosen": [bot(f"Better {n}.")], "rejected": [bot(f"Worse {n}.")]},
        kind="preference_messages",
        training="DPO",
        outcome="accepted",
        first=FIRST_CHOICE,
    ),
    Case(
        "chats_in_cells",
        lambda n: {
            "prompt": f"Question {n}?",
            "chosen": [user(f"Question {n}?"), bot(f"Better {n}.")],
            "rejected": [user(f"Question {n}?"), bot(f"Worse {n}.")],
        },
        kind="preference_messages",
        training="DPO",
        outcome="accepted",
        cells=True,
        first=FIRST_CHOICE,
    ),
    Case(
        "sharegpt_ranking",
        lambda n: {
            "conversations": [{"from": "human", "value": f"Question {n}?"}],
            "chosen": {"from": "gpt", "value": f"Better {n}."},
            "rejected": {"from": "gpt", "value": f"Worse {n}."},
        },
        kind="preference_messages",
        training="DPO",
        exact=False,
        first=FIRST_CHOICE,
    ),
    Case(
        "transcripts_of_pairs",
        lambda n: {
            "chosen": f"\n\nHuman: Question {n}?\n\nAssistant: Better {n}.",
            "rejected": f"\n\nHuman: Question {n}?\n\nAssistant: Worse {n}.",
        },
        [
            {
                "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
                "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: e",
            }
        ],
        kind="preference_hh",
        training="DPO",
        outcome="accepted",
        first=FIRST_CHOICE,
        last={"messages": [user("a"), bot("b"), user("c")], "chosen": "d", "rejected": "e"},
    ),
    Case(
        "prompt_inside_both",
        lambda n: {"chosen": f"The sky of day {n} is blue {n}.", "rejected": f"The sky of day {n} is green {n}."},
        kind="preference_hh",
        training="DPO",
        outcome="accepted",
        first={"prompt": "The sky of day 0 is", "chosen": "blue 0.", "rejected": "green 0."},
    ),
    Case(
        "a_winner",
        lambda n: {"prompt": f"Question {n}?", "response_a": f"Worse {n}.", "response_b": f"Better {n}.", "winner": "model_b"},
        [
            {"prompt": "x", "response_a": "1", "response_b": "2", "winner": "tie"},
            {"prompt": "x", "response_a": "one", "response_b": "two", "winner": "model_a"},
        ],
        kind="preference",
        training="DPO",
        exact=False,
        reasons={"identical_pair": 1},
        line=11,
        first=FIRST_CHOICE,
        last={"prompt": "x", "chosen": "one", "rejected": "two"},
    ),
    Case(
        "turns_before_the_answers",
        lambda n: {
            "messages": [user("a"), bot("b"), user(f"Question {n}?")],
            "chosen": f"Better {n}.",
            "rejected": f"Worse {n}.",
        },
        kind="preference",
        training="DPO",
        outcome="accepted",
        first={"messages": [user("a"), bot("b"), user("Question 0?")], "chosen": "Better 0.", "rejected": "Worse 0."},
    ),
)

REWARDS = (
    Case(
        "rewards",
        lambda n: {**pair(n), "reward": n / 10},
        kind="rl_reward",
        training="RL",
        outcome="accepted",
        first={**FIRST_PAIR, "reward": 0.0},
    ),
    Case(
        "bad_rewards",
        lambda n: {"prompt": f"Question {n}?", "reward": n},
        [{"prompt": "x", "reward": value} for value in ("high", "NaN", "inf", "", None, [1], "50 %", "1_000", "0x1F")]
        + [{"prompt": "x"}, {"reward": 1}],
        kind="rl_reward",
        training="RL",
        reasons={"bad_reward": 9, "missing_field": 2},
        line=11,
        first={"prompt": "Question 0?", "reward": 0.0},
    ),
    Case(
        "decimal_comma",
        lambda n: {"prompt": f"Question {n}?", "reward": f"0,{n}"},
        kind="rl_reward",
        training="RL",
        cells=True,
        first={"prompt": "Question 0?", "reward": 0.0},
        warnings=frozenset({"decimal_comma"}),
    ),
    Case(
        "rewards_as_flags",
        lambda n: {"prompt": f"Question {n}?", "reward": n % 2 == 0},
        kind="rl_reward",
        training="RL",
        outcome="accepted",
        first={"prompt": "Question 0?", "reward": 1.0},
    ),
    Case(
        "scores",
        lambda n: {"prompt": f"Question {n}?", "score": n / 3},
        kind="rl_reward",
        training="RL",
        exact=False,
        first={"prompt": "Question 0?", "reward": 0.0},
    ),
    Case("a_score_beside_an_answer", lambda n: {**pair(n), "score": n}, outcome="accepted", first=FIRST_PAIR),
    Case(
        "reward_names",
        lambda n: {"prompt": f"Question {n}?", "reward_name": "exact_match"},
        kind="rl_reward",
        training="RL",
        outcome="accepted",
        first={"prompt": "Question 0?", "reward_name": "exact_match"},
    ),
    Case(
        "gsm8k",
        lambda n: {"question": f"{n} + 1?", "answer": f"That is {n} + 1.\n#### {n + 1}"},
        [{"question": "x", "answer": ""}],
        kind="rl_answer",
        training="RL",
        reasons={"empty_value": 1},
        line=11,
        first={"prompt": "0 + 1?", "completion": "That is 0 + 1.\n#### 1", "answer": "1"},
    ),
    Case(
        "problems_with_numbers",
        lambda n: {"problem": f"{n} + 1?", "answer": n + 1},
        kind="rl_answer",
        training="RL",
        exact=False,
        first={"prompt": "0 + 1?", "completion": "1", "answer": "1"},
    ),
    Case(
        "ground_truth",
        lambda n: {"prompt": f"Question {n}?", "ground_truth": f"Answer {n}."},
        kind="rl_answer",
        training="RL",
        outcome="accepted",
        first={"prompt": "Question 0?", "completion": "Answer 0.", "answer": "Answer 0."},
    ),
    Case(
        "verl",
        lambda n: {
            "data_source": "toy",
            "prompt": [user(f"Question {n}?")],
            "ability": "qa",
            "reward_model": {"style": "rule", "ground_truth": f"{n}"},
        },
        [{"prompt": [user("x")], "reward_model": {"style": "rule"}}],
        kind="rl_answer",
        training="RL",
        reasons={"wrong_type": 1},
        line=11,
        first={"prompt": "Question 0?", "answer": "0"},
    ),
    Case(
        "openai_reinforcement",
        lambda n: {"messages": [user(f"Question {n}?")], "reference_answer": f"{n}"},
        [{"messages": [user("x"), bot("y")], "reference_answer": "7"}],
        kind="rl_answer",
        training="RL",
        outcome="accepted",
        first={"prompt": "Question 0?", "completion": "0", "answer": "0"},
    ),
    Case(
        "tests",
        lambda n: {"prompt": f"Write f{n}", "test_list": [f"assert f{n}()", "assert True"]},
        kind="rl_answer",
        training="RL",
        outcome="accepted",
        first={"prompt": "Write f0", "answer": "assert f0()\nassert True"},
    ),
    Case(
        "chosen_as_supervised",
        lambda n: {"question": f"{n} + 1?", "answer": f"That is it.\n#### {n + 1}"},
        mapping={"prompt": "question", "completion": "answer"},
        outcome="accepted",
        first={"prompt": "0 + 1?", "completion": "That is it.\n#### 1"},
    ),
)

CASES = (*PAIRS, *CHATS, *PREFERENCES, *REWARDS)
