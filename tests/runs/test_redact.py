from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.runs.redact import HIDDEN, redact


@pytest.mark.parametrize(
    "secret",
    [
        "tml-AbC123_def-456",
        "hf_AbCdEf123456",
        "sk-proj-abc123DEF456",
        "sk-ant-api03-abcdef",
        "ghp_abcdef1234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.abc-def_ghi",
    ],
)
def test_every_shape_of_key_goes(secret):
    assert redact(f"before {secret} after") == f"before {HIDDEN} after"
    assert secret not in redact(f"{{'key': '{secret}'}}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-123456", f"Authorization: Bearer {HIDDEN}"),
        ("authorization: basic dXNlcjpwYXNz", f"authorization: basic {HIDDEN}"),
        ("https://user:pa55word@host/path", f"https://{HIDDEN}@host/path"),
        ("WANDB_API_KEY=0123456789abcdef", f"WANDB_API_KEY={HIDDEN}"),
        ('{"token": "q1w2e3r4t5"}', f'{{"token": "{HIDDEN}"}}'),
    ],
)
def test_named_and_addressed_secrets_go(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "step 12 of 40  training loss 1.2345",
        "tokens: 123456 in 40 steps",
        "token = tokenizer(text)",
        "http://127.0.0.1:8123/api/v1/asample",
        "tinker://run-1:train:0/weights/000020",
        "the secret: keep it simple",
    ],
)
def test_ordinary_lines_stay(text):
    assert redact(text) == text


def test_exact_secrets_go_whatever_their_shape():
    assert redact("x correct horse x correct horse battery x", ["correct horse", "correct horse battery"]) == (
        f"x {HIDDEN} x {HIDDEN} x"
    )


@given(st.text(), st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=4))
def test_no_exact_secret_survives_and_twice_is_once(text, secret):
    once = redact(f"{text}{secret}{text}", [secret])
    assert secret not in once.replace(HIDDEN, "")
    assert redact(redact(text)) == redact(text)
