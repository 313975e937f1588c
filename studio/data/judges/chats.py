"""Conversations in the OpenAI form."""

from __future__ import annotations

from studio.data.db import literal
from studio.data.judges.rules import REASON_AND_DETAIL, blank, verdict
from studio.data.types import Shape

_TURNS = r"(?:system )?(?:user assistant )+"
_ROLES = "['system', 'user', 'assistant']"
_CHAT = """'[{"role": "VARCHAR", "content": "VARCHAR", "tool_calls": "JSON"}]'"""
_IS_LIST = "coalesce(CASE WHEN json_valid(messages_text) THEN json_type(messages_text) END = 'ARRAY', false)"
# A single question is shown as it is; a longer conversation is written out, all but its last answer.
_BEFORE = "list_filter(turns[:-2], lambda m: m.role <> 'system')"
_PROMPT_OF_CHAT = f"""CASE WHEN len({_BEFORE}) = 1 THEN {_BEFORE}[1].content ELSE array_to_string(list_transform({_BEFORE},
    lambda m: concat(upper(m.role[1]), m.role[2:], ': ', m.content)), chr(10) || chr(10)) END"""


def judged_chats(texts: str, shape: Shape, carried: str) -> str:
    """SQL for conversations."""
    column = shape.column("messages")
    rules = [
        ("messages_type IS NULL", f"missing_field:{column}"),
        (f"messages_type = 'NULL' OR {blank('messages_text')}", f"empty_value:{column}"),
        ("NOT is_list", "bad_conversation:the messages are not a list"),
        ("len(turns) = 0", "bad_conversation:the list of messages is empty"),
        (
            "list_contains(roles, NULL) OR len(list_filter(roles, lambda r: r IS NULL)) > 0",
            "bad_conversation:a message has no role",
        ),
        (
            "list_has_any(roles, ['tool', 'function']) OR len(list_filter(given, lambda m: m.tool_calls IS NOT NULL)) > 0",
            "unsupported_tools:",
        ),
        (f"NOT list_has_all({_ROLES}, roles)", "bad_conversation:a message has an unknown role"),
        ("list_has_any(kinds, ['ARRAY', 'OBJECT'])", "wrong_type:the content of a message is not plain text"),
        (f"len(list_filter(turns, lambda m: {blank('m.content')})) > 0", "bad_conversation:a message is empty"),
        ("NOT list_contains(roles, 'assistant')", "bad_conversation:there is no answer by the assistant"),
        ("roles[-1] <> 'assistant'", "bad_conversation:the last message is not by the assistant, so there is nothing to learn"),
        ("NOT list_contains(roles, 'user')", "bad_conversation:there is no message by the user"),
    ]
    role = "CASE lower(trim(m.role)) WHEN 'developer' THEN 'system' ELSE lower(trim(m.role)) END"
    turn = f"{{'role': {role}, 'content': m.content, 'more': NULL::VARCHAR}}"
    return f"""
        SELECT {carried}, {REASON_AND_DETAIL}, NULL::VARCHAR AS system,
          CASE WHEN verdict IS NULL THEN {_PROMPT_OF_CHAT} END AS prompt,
          CASE WHEN verdict IS NULL THEN turns[-1].content END AS completion, NULL::VARCHAR AS rejected,
          CASE WHEN verdict IS NULL THEN turns END AS messages, NULL::VARCHAR AS reference,
          NULL::DOUBLE AS reward, NULL::VARCHAR AS reward_name, false AS converted,
          verdict IS NULL AND NOT regexp_full_match(array_to_string(roles, ' ') || ' ', {literal(_TURNS)}) AS odd_turns
        FROM (SELECT *, {verdict(rules)} AS verdict FROM (
          SELECT *, list_transform(turns, lambda m: m.role) AS roles FROM (
            SELECT *, list_transform(given, lambda m: {turn}) AS turns FROM (
              SELECT *, CASE WHEN is_list THEN json_transform(messages_text, {_CHAT}) END AS given,
                CASE WHEN is_list THEN json_type(messages_text, '$[*].content') END AS kinds
              FROM (SELECT *, {_IS_LIST} AS is_list FROM ({texts}))))))"""
