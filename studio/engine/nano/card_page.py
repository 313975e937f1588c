"""The page made from nano's measured card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FRONT = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
"""


def page(card: Mapping[str, Any]) -> str:
    """The card as Markdown; every number in it comes from ``card``."""
    millions = card["parameters"] / 1_000_000
    parts = [
        _FRONT,
        (
            f"# nano\n\nnano is a base model of {millions:.1f} million parameters, made from nothing for Tuning Fork. It is"
            " large enough to see fine-tuning work on a laptop in a minute, and much too small to be useful as it is. It has"
            " read only text that a program in this repository made up: no web pages, no books, nobody's words.\n"
        ),
        (
            "## What it can do\n\nAnswer short questions about its own small world, copy names, numbers and phrases, find a"
            " field in a short text, make lists and small JSON records, rewrite a sentence, answer a shop's customer politely."
            " Conversations are ChatML, as Qwen3's instruct models write them.\n"
        ),
        (
            "## What it cannot do\n\nIt does not know the world, cannot reason, cannot write code, and knows one language, a"
            " plain kind of English. It answers questions that it does not understand with a confident sentence that is wrong."
            " Most sums, counts and spelling games come out wrong, and long numbers, long lists and unknown words come out"
            " damaged; the table below says how often. It has seen conversations of up to about 700 tokens. Do not use it for"
            " anything that matters.\n"
        ),
        _numbers(card),
        _table(card),
        _examples("Answered as expected", card["right"]),
        _examples("Free answers", card["free"]),
        _examples("Wrong answers", card["wrong"]),
        _examples("Badly formed answers", card["badly_formed"]),
        "## Outside its world\n\nShown as they come:\n\n"
        + "\n".join(f"- {_inline(x['prompt'])} → {_inline(x['answer'])}" for x in card["beyond"])
        + "\n",
        (
            "## How it was made\n\n`python -m studio.engine.nano build --out assets/nano --seed 0` makes the corpus, the"
            " tokenizer, the weights and this card: about an hour on one CPU core. Architecture: Qwen3, four layers, width"
            f" 192, six heads with three key heads, tied embeddings; byte-level BPE with {card['vocabulary']} tokens; Muon for"
            " the matrices and AdamW for the rest; fp32 weights, bf16 products where the processor has them."
            " `python -m studio.engine.nano measure` finds the settings for"
            " fine-tuning it (`measured.json`).\n"
        ),
    ]
    return "\n".join(parts)


def _numbers(card: Mapping[str, Any]) -> str:
    return (
        f"## Measured\n\nOn {card['answers']} prompts of its own domains that training never saw, greedy answers,"
        f" {card['measured_on']}, by `{card['command']}`:\n\n- perplexity of the reference answers: {card['perplexity']:.2f}"
        f" per token\n- well-formed answers: {card['well_formed']:.1%}; of the {card['sentences']} prompts that ask for a"
        f" sentence: {card['sentences_well_formed']:.1%}\n- answers that end with the end token:"
        f" {card['ended']:.1%}\n\nWell-formed means: ends with the end token, has the form that was asked for (a sentence with"
        " its capital letter and full stop, JSON that parses, a list, a bare word), and uses only words of the corpus or of"
        " the prompt. It does not mean right: that is the exact match below.\n"
    )


def _table(card: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {d['answers']} | {d['well_formed']:.1%} | {_percent(d['exact'])} |" for name, d in card["domains"].items()
    ]
    tasks = ", ".join(f"{name} {share:.0%}" for name, share in sorted(card["tasks"].items(), key=lambda pair: -pair[1]))
    return (
        "| domain | prompts | well-formed | exact match, where there is one right answer |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + f"\n\nExact match by task: {tasks}.\n"
    )


def _examples(title: str, items: Sequence[Mapping[str, str]]) -> str:
    if not items:
        return ""
    lines = [
        f"- {_inline(x['prompt'])} → {_inline(x['answer'])}"
        + ("" if x["answer"] == x["reference"] else f" (one reference: {_inline(x['reference'])})")
        for x in items
    ]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _inline(text: str) -> str:
    # Two backticks let a text hold one; line breaks would end the list item.
    return f"`` {text.replace(chr(10), ' ⏎ ')} ``"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
