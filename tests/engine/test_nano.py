"""What nano's corpus, tokenizer, weights and card promise."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinker_cookbook import renderers
from tinker_cookbook.renderers import TrainOnWhat

from studio.assets import asset
from studio.engine.nano import pretrain
from studio.engine.nano.card import form
from studio.engine.nano.corpus import DOMAINS, conversations, draw, is_held_out
from studio.engine.nano.grammar import listed, say
from studio.engine.nano.pretrain import Plan, encode, rate_at
from studio.engine.nano.tokenizer import VOCABULARY, decoded, encoded, load_tokenizer

NANO = asset("nano")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(NANO)


@pytest.fixture
def rng():
    return random.Random(7)


def take(count, seed=0, **options):
    return list(itertools.islice(conversations(seed, **options), count))


def test_the_same_seed_gives_the_same_conversations():
    assert take(50) == take(50)
    assert take(50) != take(50, seed=1)


def test_training_never_holds_a_held_out_prompt():
    for conversation in take(2_000):
        assert not any(is_held_out(m.content) for m in conversation.messages if m.role == "user")


@pytest.mark.parametrize("domain", DOMAINS)
def test_held_out_conversations_hold_nothing_else(domain):
    for conversation in take(20, held_out=True, domain=domain):
        assert conversation.domain == domain
        assert is_held_out(next(m.content for m in conversation.messages if m.role == "user"))


def test_every_answer_has_text_and_no_slot_is_left_open():
    for conversation in take(3_000, seed=5):
        for message in conversation.messages:
            assert message.content.strip()
            assert "<|" not in message.content


def test_the_corpus_is_varied():
    prompts = [c.messages[-2].content for c in take(3_000, seed=2)]
    assert len(set(prompts)) / len(prompts) > 0.9


def test_a_slot_is_never_expanded_again(rng):
    assert say(rng, "<a> [and|and] <b>", a="<b>", b="[x|y]") == "<b> and [x|y]"


def test_lists_read_as_english():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=80))
@settings(max_examples=150, deadline=None)
def test_every_text_survives_the_tokenizer(text):
    tokenizer = load_tokenizer_once()
    assert decoded(tokenizer, encoded(tokenizer, text)) == text


def load_tokenizer_once(found=[]):  # noqa: B006 - hypothesis cannot take a module fixture by argument
    if not found:
        found.append(load_tokenizer(NANO))
    return found[0]


def test_the_marks_are_single_tokens(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert [encoded(tokenizer, mark) for mark in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")] == [[0], [1], [2]]
    assert tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize("first", [[], [{"role": "system", "content": "Be brief."}]])
def test_the_chat_template_agrees_with_the_cookbook(tokenizer, first):
    messages = [
        *first,
        {"role": "user", "content": "Say this: zok 12"},
        {"role": "assistant", "content": "zok 12"},
        {"role": "user", "content": "Again, as JSON.\n\n"},
    ]
    renderer = renderers.get_renderer("qwen3_instruct", tokenizer)
    ours = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert renderer.build_generation_prompt(messages).to_ints() == ours


def test_pre_training_learns_what_the_cookbook_trains(tokenizer):
    renderer = renderers.get_renderer("qwen3_instruct", tokenizer)
    for conversation in take(60, seed=9):
        messages = [{"role": m.role, "content": m.content} for m in conversation.messages]
        theirs, weights = renderer.build_supervised_example(messages, TrainOnWhat.ALL_ASSISTANT_MESSAGES)
        ids, written = encode(tokenizer, conversation)
        # The template closes every turn with a line feed; a conversation that ends needs none.
        assert theirs.to_ints()[: len(ids)] == ids
        assert [weight > 0 for weight in weights.tolist()][: len(ids)] == written


def test_the_rate_rises_stays_and_falls_to_zero():
    plan = Plan(steps=1_000, warmup=100, decay_share=0.3)
    assert rate_at(0, plan) == pytest.approx(0.01)
    assert rate_at(100, plan) == rate_at(699, plan) == 1.0
    assert rate_at(999, plan) < 0.001


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "sentence"),
        ("zok", "phrase"),
        ('{"a": 1}', "json"),
        ('{"a": 1', "broken"),
        ("- a\n- b", "list"),
        ("a: 1\nb: 2", "lines"),
        ("lower case.", "phrase"),
    ],
)
def test_forms_of_answers(text, expected):
    assert form(text) == expected


def test_the_shipped_folder_is_small_and_complete():
    assert sum(file.stat().st_size for file in NANO.iterdir()) <= 16 * 1024 * 1024
    names = {file.name for file in NANO.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "card.json", "measured.json", "README.md"} <= names


def test_the_card_holds_measured_numbers():
    card = json.loads((NANO / "card.json").read_text(encoding="utf-8"))
    assert 1_000_000 <= card["parameters"] <= 4_000_000
    assert card["well_formed"] >= 0.95
    assert card["sentences_well_formed"] >= 0.95
    assert 1.0 < card["perplexity"] < 3.0
    assert set(card["domains"]) == set(DOMAINS)
    assert card["wrong"], "an honest card shows failures"


def test_the_measured_settings_come_from_a_run_in_the_file():
    measured = json.loads((NANO / "measured.json").read_text(encoding="utf-8"))
    keys = ("learning_rate", "lora_rank", "batch_size")
    chosen = [run for run in measured["runs"] if all(run[key] == measured[key] for key in keys)]
    default = [run for run in chosen if run["sample"] == "support_tickets" and run["steps"] == measured["min_steps"]]
    assert default
    assert default[0]["exact_before"] <= 0.10
    assert default[0]["exact_after"] >= 0.60
    assert default[0]["loss_after"] <= 0.6 * default[0]["loss_before"]


def test_nano_answers_a_greeting_and_copies_a_name(tokenizer):
    from studio.engine.nano.finetune import answers, load_model, prompt_ids

    model = load_model(NANO)
    prompts = ["Hello!", "Repeat after me: blue kettle", "What is the capital of Italy?"]
    given = answers(model, tokenizer, [prompt_ids(tokenizer, prompt) for prompt in prompts], limit=40)
    assert all(ended for _, ended in given)
    assert given[1][0] == "blue kettle"
    assert "Rome" in given[2][0]


def test_every_domain_can_be_drawn(rng):
    for domain in DOMAINS:
        turn, name, _ = draw(rng, domain)
        assert name == domain
        assert turn.prompt


def test_a_resumed_pre_training_ends_where_an_unbroken_one_does(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "_WINDOW", 64)

    # All four steps lie in the warm-up, so the rates do not depend on the number of steps.
    def run(steps, work):
        plan = Plan(steps=steps, batch_tokens=256, precision="fp32", device="cpu")
        return pretrain.pretrain(tokenizer, plan, tmp_path / "out", work, publish_every=2)

    run(2, tmp_path / "broken")
    resumed = run(4, tmp_path / "broken").state_dict()
    unbroken = run(4, tmp_path / "whole").state_dict()
    assert all(tensor.equal(resumed[name]) for name, tensor in unbroken.items())
