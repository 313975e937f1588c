"""Conversations in any of their forms, read into turns of role, content and more.

Guarantees: contents are exactly those of the file, character by character; a turn is never dropped, but for a system turn that
says nothing; a conversation without anything unusual is read in one pass, and only the others are looked at key by key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from studio.data.db import literal
from studio.data.judges.rules import NESTED, blank, scalar
from studio.data.shapes.contents import SCRIPT_ROLES, SCRIPTS
from studio.data.types import Shape

#: What is told about a conversation whose last turn is not the one to learn from.
LAST_NOT_ASSISTANT = "the last message is not by the assistant"
#: SQL for a changed conversation, from SQL for one.
Mended = Callable[[str], str]

# Other names of the roles. What is not listed is unknown.
_ALIASES = {
    "developer": "system",
    "human": "user",
    "customer": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
_KNOWN = ("system", "user", "assistant", "tool")
# Roles that the quick pass takes as they are.
_QUICK = (*_KNOWN, "human", "gpt", "developer")
#: The other keys of a turn that are kept.
_MORE = ("tool_calls", "tool_call_id", "function_call", "name", "weight", "reasoning_content", "thinking", "refusal")
_TURN = {"role": "VARCHAR", "content": "VARCHAR", "from": "VARCHAR", "value": "VARCHAR", **dict.fromkeys(_MORE, "JSON")}
_SCHEMA = "[{" + ", ".join(f'"{key}": "{kind}"' for key, kind in _TURN.items()) + "}]"
_ROLE_KEYS = ("role", "from", "Role", "ROLE", "From", "speaker", "author")
_CONTENT_KEYS = ("content", "value", "Content", "CONTENT", "Value", "text", "message")
# The content may be a list, an object, a number, true, false or null in the file: look closer.
_UNSURE = r"^(?:[\[{]|[-0-9tfn][-+.0-9a-zA-Z]{0,40}$)"
# It begins like a text, and like nothing else: no closer look is needed.
_SURE = r"^[^\s\p{Z}\p{C}\[\]{}\-0-9tfn]"
_ORDER = "s?(?:u(?:at+)*a)+"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation stands: its text, its JSON type, and the letters that its working columns begin with.

    ``cells``: the list may stand as JSON text in a cell. ``scripts``: the conversation may be written out in one text, speaker
    by speaker. ``mixed``: there may be something else than a conversation, which is then left alone.
    """

    p: str
    text: str
    kind: str
    cells: bool = False
    scripts: bool = False
    mixed: bool = False


def reading(place: Place, mended: Mended | None = None) -> list[str]:
    """Steps that read the conversation of a row into ``{p}turns``; that is NULL when there is none.

    ``{p}wrong`` is the verdict on its turns one by one, ``{p}odd`` whether a role had to be brought into form, ``{p}numbers``
    whether a content was no text.
    """
    p, body = place.p, "coalesce(m.content, m.value)"
    role = 'coalesce(m.role, m."from")'
    sure = f"regexp_matches({body}, {literal(_SURE)})"
    # How usual a turn is: 0 needs a closer look, 1 may be no text in the file, 2 is just what is expected.
    silent = f"{role} = 'tool' OR m.tool_calls IS NOT NULL OR m.function_call IS NOT NULL"
    odd = f"{role} IS NULL OR {role} NOT IN {_names(_QUICK)} OR m.weight IS NOT NULL"
    empty = f"CASE WHEN {silent} THEN 2 ELSE 0 END"
    usual = f"""CASE WHEN {odd} THEN 0 WHEN {sure} THEN 2 WHEN {blank(body)} THEN {empty}
        WHEN regexp_matches({body}, {literal(_UNSURE)}) THEN 1 ELSE 2 END"""
    strings = f"""list_bool_and(list_transform(from_json({p}list, '[{{"content": "JSON", "value": "JSON"}}]'),
        lambda m: left({body}::VARCHAR, 1) = '"'))"""
    bare = f"{{'role': {_quick_role(role)}, 'content': coalesce({body}, ''), 'more': NULL::VARCHAR}}"
    full = f"{{'role': {_quick_role(role)}, 'content': coalesce({body}, ''), 'more': {_quick_more()}}}"
    alone = f"list_bool_and(list_transform({p}fast, lambda m: {_nothing_more()}))"
    slow = f"{{'role': {_role('r.role')}, 'content': {_filled('r')}, 'more': r.more}}"
    heard = f"m.role IS DISTINCT FROM 'system' OR NOT {blank('m.content')}"
    typed = "{'i': i.i, 'role': i.role, 'body': i.body, 'kind': json_type(i.body), 'more': i.more}"
    read = f"{{'i': t.i, 'role': t.role, 'kind': t.kind, 'more': t.more, 'parts': {_parts('t')}, 'text': {_text('t')}}}"
    turns = f"""CASE WHEN {p}plain AND {p}alone THEN list_transform({p}fast, lambda m: {bare})
        WHEN {p}plain THEN list_transform({p}fast, lambda m: {full})
        WHEN {p}list IS NOT NULL THEN list_filter(list_transform({p}read, lambda r: {slow}), lambda m: {heard})
        {_script(place) if place.scripts else ""} END"""
    there = f"CASE WHEN {p}list IS NOT NULL THEN"
    # Most texts are no conversation, and every step says so first: then the rest of it costs nothing.
    return [
        f"{_list(place)} AS {p}list",
        f"{there} from_json({p}list, {literal(_SCHEMA)}) END AS {p}fast",
        f"""coalesce({there} list_min(list_transform({p}fast, lambda m: {usual})) END, 0) AS {p}usual,
          {there} {alone} END AS {p}alone""",
        f"CASE {p}usual WHEN 2 THEN true WHEN 1 THEN coalesce({strings}, true) ELSE false END AS {p}plain",
        f"CASE WHEN NOT {p}plain AND {p}list IS NOT NULL THEN {_items(p)} END AS {p}items",
        f"{there} list_transform({p}items, lambda i: {typed}) END AS {p}typed",
        f"{there} list_transform({p}typed, lambda t: {read}) END AS {p}read",
        f"{mended(turns) if mended else turns} AS {p}turns",
        f"{there} len(list_filter({p}read, lambda r: r.role <> lower(trim(r.role)))) > 0 END AS {p}odd",
        f"CASE WHEN {p}list IS NULL OR {p}plain THEN NULL {_wrongs(p)} END AS {p}wrong",
        f"{there} len(list_filter({p}read, lambda r: {scalar('r.kind')})) > 0 END AS {p}numbers",
    ]


def asking(shape: Shape) -> list[str]:
    """The step for ``ask_text`` and ``ask_type``: the prompt, or the conversation that stands in another column instead."""
    if not shape.column("prompt"):
        return []
    if not shape.column("messages"):
        return ["prompt_text AS ask_text, prompt_type AS ask_type"]
    lacking = "coalesce(prompt_type, 'NULL') = 'NULL' OR prompt_text = ''"
    return [
        ", ".join(f"CASE WHEN {lacking} THEN messages_{what} ELSE prompt_{what} END AS ask_{what}" for what in ("text", "type"))
    ]


def who(turns: str) -> str:
    """SQL for who speaks in a conversation of known roles: the first letters of the roles, in order, such as ``sua``."""
    return f"array_to_string(list_transform({turns}, lambda m: left(m.role, 1)), '')"


def learnable(spoken: str) -> list[tuple[str, str]]:
    """Rules about a conversation as a whole, given ``who`` speaks in it: there is something to learn at its end."""
    return [
        (f"NOT contains({spoken}, 'a')", "bad_conversation:there is no answer by the assistant"),
        (f"right({spoken}, 1) <> 'a'", f"bad_conversation:{LAST_NOT_ASSISTANT}"),
        (f"NOT contains({spoken}, 'u')", "bad_conversation:there is no message by the user"),
    ]


def odd_order(spoken: str) -> str:
    """SQL for whether the speakers of a whole conversation follow each other in an unusual order."""
    return f"NOT regexp_full_match({spoken}, {literal(_ORDER)})"


def heard(turns: str) -> str:
    """SQL for the turns without what the system says, because that is the same in every row."""
    return f"list_filter({turns}, lambda m: m.role <> 'system')"


def prompt_of(turns: str) -> str:
    """SQL for the text of the turns before an answer: a single question as it is, a longer conversation written out."""
    return written(heard(turns))


def written(turns: str) -> str:
    """SQL for the text of turns without a system turn; ``turns`` should be a column, because it stands here several times."""
    known = " ".join(f"WHEN {literal(role)} THEN {literal(role.capitalize() + ': ')}" for role in _KNOWN)
    name = f"CASE m.role {known} ELSE concat(upper(m.role[1]), m.role[2:], ': ') END"
    lines = f"list_transform({turns}, lambda m: concat({name}, m.content))"
    return f"CASE WHEN len({turns}) = 1 THEN {turns}[1].content ELSE array_to_string({lines}, chr(10) || chr(10)) END"


def answer_of(turns: str) -> str:
    """SQL for the last turn as one text; an answer that only calls tools is the text of its calls."""
    last = f"{turns}[-1]"
    calls = f"coalesce({_key(last, 'tool_calls')}, {_key(last, 'function_call')}, {last}.content)"
    return f"CASE WHEN {blank(last + '.content')} THEN {calls} ELSE {last}.content END"


def turn(role: str, content: str) -> str:
    """SQL for one turn."""
    return f"{{'role': {literal(role)}, 'content': {content}, 'more': NULL::VARCHAR}}"


def with_system(turns: str, system: str) -> str:
    """SQL for the turns with what the system says in front, unless they have that already or there is nothing to say."""
    led = f"{turns}[1].role = 'system' OR {blank(system)}"
    return f"CASE WHEN {led} THEN {turns} ELSE list_prepend({turn('system', system)}, {turns}) END"


def with_tools(turns: str, tools: str) -> str:
    """SQL for the turns with the row's tools in ``more`` of the first turn."""
    first = f"{turns}[1]"
    more = f"json_merge_patch(coalesce({first}.more, '{{}}'), json_object('tools', {tools}::JSON))::VARCHAR"
    head = f"{{'role': {first}.role, 'content': {first}.content, 'more': {more}}}"
    listed = f"json_type({tools}) IN {NESTED} AND {tools} NOT IN ('[]', '{{}}')"
    some = f"CASE WHEN json_valid({tools}) THEN {listed} ELSE false END"
    return f"CASE WHEN {some} THEN list_prepend({head}, {turns}[2:]) ELSE {turns} END"


def _list(place: Place) -> str:
    """SQL for the JSON text of the list of turns: the value itself, the list in ``messages``, or one turn alone."""
    text, kind = place.text, place.kind
    one = f"json_type({text}, '$.role') = 'VARCHAR' OR json_type({text}, '$.from') = 'VARCHAR'"
    inside = f"""CASE WHEN json_type({text}, '$.messages') = 'ARRAY' THEN json_extract({text}, '$.messages')::VARCHAR
        WHEN {one} THEN concat('[', {text}, ']') END"""
    whole = text
    if place.mixed:
        speaks = " OR ".join(f"json_exists({text}, '$[0].{key}')" for key in _ROLE_KEYS[:3])
        whole = f"CASE WHEN regexp_matches({text}, '^\\s*\\[\\s*\\{{') AND ({speaks}) THEN {text} END"
    cell = ""
    if place.cells:
        cell = f"""WHEN {kind} = 'VARCHAR' AND regexp_matches({text}, '^\\s*[\\[{{]') AND json_valid({text}) THEN
            CASE json_type({text}) WHEN 'ARRAY' THEN {whole} WHEN 'OBJECT' THEN {inside} END"""
    return f"CASE WHEN {kind} = 'ARRAY' THEN {whole} WHEN {kind} = 'OBJECT' THEN {inside} {cell} END"


def _script(place: Place) -> str:
    """SQL for the turns of a text in which the speakers are written out."""
    marked = f"(chr(10) || chr(10) || {place.text})"
    return " ".join(_styled(place.kind, marked, speaker, behind) for speaker, behind in SCRIPTS)


def _styled(kind: str, marked: str, speaker: str, behind: str) -> str:
    """SQL for the turns of a text in one style of writing speakers out."""
    split = f"string_split_regex({marked}, {literal(speaker)})"
    names = " ".join(f"WHEN {literal(name)} THEN {literal(role)}" for name, role in SCRIPT_ROLES.items())
    said = f"regexp_replace(z[2], {literal(behind + '$')}, '')" if behind else "z[2]"
    turn = f"{{'role': CASE lower(z[1]) {names} ELSE lower(z[1]) END, 'content': {said}, 'more': NULL::VARCHAR}}"
    turns = f"list_transform(list_zip(regexp_extract_all({marked}, {literal(speaker)}, 1), {split}[2:]), lambda z: {turn})"
    return f"WHEN {kind} = 'VARCHAR' AND regexp_matches({marked}, {literal(speaker)}) AND {blank(split + '[1]')} THEN {turns}"


def _items(p: str) -> str:
    role = ", ".join(f"json_extract_string(m, {literal('/' + key)})" for key in _ROLE_KEYS)
    body = ", ".join(f"json_extract(m, {literal('/' + key)})" for key in _CONTENT_KEYS)
    kept = ", ".join(f"{literal(key)}, json_extract(m, {literal('/' + key)})" for key in _MORE)
    more = f"nullif(json_merge_patch('{{}}', json_object({kept}))::VARCHAR, '{{}}')"
    fields = f"{{'i': json_type(m), 'role': coalesce({role}), 'body': coalesce({body}), 'more': {more}}}"
    return f"""list_transform(from_json({p}list, '["JSON"]'), lambda m: {fields})"""


def _parts(t: str) -> str:
    """SQL for the kinds of the parts of a content that is a list: ``text`` or what else it is."""
    kind = "coalesce(json_extract_string(c, '/type'), CASE WHEN json_type(c, '/text') = 'VARCHAR' THEN 'text' END, '')"
    named = f"CASE WHEN json_type(c) = 'VARCHAR' THEN 'text' ELSE regexp_replace({kind}, '^(input|output)_', '') END"
    return f"""CASE WHEN {t}.kind = 'ARRAY' THEN list_transform(from_json({t}.body, '["JSON"]'), lambda c: {named}) END"""


def _text(t: str) -> str:
    piece = "CASE WHEN json_type(c) = 'VARCHAR' THEN json_extract_string(c, '$') ELSE json_extract_string(c, '/text') END"
    joined = f"""array_to_string(list_transform(from_json({t}.body, '["JSON"]'), lambda c: {piece}), chr(10))"""
    return f"""CASE WHEN {t}.kind = 'VARCHAR' THEN json_extract_string({t}.body, '$') WHEN {t}.kind = 'ARRAY' THEN {joined}
        WHEN {scalar(t + ".kind")} THEN {t}.body::VARCHAR END"""


def _filled(r: str) -> str:
    """SQL for a content that may be missing because the turn calls a tool or answers with nothing."""
    allowed = f"{_calls(r)} OR {_role(r + '.role')} = 'tool'"
    return f"CASE WHEN {r}.text IS NULL AND ({allowed}) THEN '' ELSE {r}.text END"


def _wrongs(p: str) -> str:
    """The first thing that is wrong with the turns one by one. Roles and contents are those after a fix."""
    empty = f"m.role <> 'tool' AND {blank('m.content')} AND NOT {_calls('m')}"
    parts = f"list_filter(list_transform({p}read, lambda r: r.parts), lambda x: x IS NOT NULL)"
    other = f"list_filter(flatten({parts}), lambda k: k <> 'text')"
    weight = f"coalesce({_key('m', 'weight')}, '1') NOT IN ('0', '0.0')"
    weighed = f"list_filter({p}turns, lambda m: m.role = 'assistant' AND {weight})"
    rules = [
        (f"len({p}items) = 0", "bad_conversation:the list of messages is empty"),
        (
            f"len(list_filter({p}read, lambda r: r.i IS DISTINCT FROM 'OBJECT')) > 0",
            "bad_conversation:a message is not an object",
        ),
        (f"len(list_filter({p}turns, lambda m: m.role IS NULL)) > 0", "bad_conversation:a message has no role"),
        (
            f"len(list_filter({p}turns, lambda m: m.role NOT IN {_names(_KNOWN)})) > 0",
            "bad_conversation:a message has an unknown role",
        ),
        (f"len(list_filter({other}, lambda k: regexp_matches(k, 'image|audio|video|file'))) > 0", "images_not_supported:"),
        (f"len({other}) > 0 OR len(list_filter({p}read, lambda r: r.kind = 'OBJECT')) > 0", "wrong_type:content of a message"),
        (f"len(list_filter({p}turns, lambda m: {empty})) > 0", "bad_conversation:a message is empty"),
        (
            f"list_contains(list_transform({p}turns, lambda m: m.role), 'assistant') AND len({weighed}) = 0",
            "bad_conversation:every answer has the weight 0",
        ),
    ]
    return " ".join(f"WHEN {condition} THEN {literal(told)}" for condition, told in rules)


def _key(m: str, key: str) -> str:
    """SQL for what a turn has under another key, as text."""
    return f"json_extract_string({m}.more, '$.{key}')"


def _calls(m: str) -> str:
    """SQL for whether a turn calls a tool."""
    return f"({_key(m, 'tool_calls')} IS NOT NULL OR {_key(m, 'function_call')} IS NOT NULL)"


def _nothing_more() -> str:
    return "(" + " AND ".join(f'm."{key}" IS NULL' for key in _MORE) + ")"


def _quick_more() -> str:
    """SQL for the other keys of a turn that the quick pass took."""
    kept = ", ".join(f'{literal(key)}, m."{key}"' for key in _MORE)
    return f"CASE WHEN {_nothing_more()} THEN NULL ELSE json_merge_patch('{{}}', json_object({kept}))::VARCHAR END"


def _role(role: str) -> str:
    """SQL for the role under its own name, in lower case; an unknown one as it is. Nearly all need no second look."""
    plain = f"lower(trim({role}))"
    cases = " ".join(f"WHEN {literal(alias)} THEN {literal(known)}" for alias, known in _ALIASES.items())
    return f"CASE WHEN {role} IN {_names(_KNOWN)} THEN {role} ELSE CASE {plain} {cases} ELSE {plain} END END"


def _quick_role(role: str) -> str:
    """SQL for the role of a turn that the quick pass took."""
    cases = " ".join(f"WHEN {literal(role)} THEN {literal(_ALIASES[role])}" for role in _QUICK if role in _ALIASES)
    return f"CASE {role} {cases} ELSE {role} END"


def _names(values: tuple[str, ...]) -> str:
    return "(" + ", ".join(literal(value) for value in values) + ")"
