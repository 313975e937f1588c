"""nano's byte-level BPE tokenizer: trained on the corpus, saved in the form that ``transformers`` loads.

Guarantees: every text survives encoding and decoding unchanged; digits are single tokens, so numbers can be copied digit by
digit; ``<|endoftext|>``, ``<|im_start|>`` and ``<|im_end|>`` are the tokens 0, 1 and 2, and ``<|im_end|>`` ends an answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from studio.engine.nano.corpus import conversations, render

VOCABULARY = 4096
CONTEXT = 2048
END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

#: Words with their leading space, single digits, runs of punctuation, white space.
_SPLIT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

#: ChatML as Qwen3's instruct models use it; the cookbook's ``qwen3_instruct`` renderer gives the same tokens.
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def train_tokenizer(seed: int, sample: int = 60_000) -> PreTrainedTokenizerFast:
    """Learn the merges from the first ``sample`` conversations of ``seed``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT, IM_START, IM_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (render(conversation.messages) for conversation in itertools.islice(conversations(seed), sample))
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[IM_START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of one token; raises ``ValueError`` when the vocabulary does not hold it."""
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ValueError(f"The vocabulary holds no token {token!r}.")
    return found


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """The ids of ``text``; marks such as ``<|im_start|>`` count as single tokens."""
    return tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids


def decoded(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> str:
    """The text of ``ids``, marks included."""
    return tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=False)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in ``folder``; nothing is looked up on a network."""
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
