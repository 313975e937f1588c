"""A server's own word on file wins over our list, advice names models that are there, and a search only compares."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import tinker
from hypothesis import given
from hypothesis import strategies as st

from studio import models
from studio.errors import BackendError
from studio.models import lineup, served
from studio.models.served import Served, ServedModel
from studio.settings import Secret, Settings

HOSTED = lineup._hosted()


@pytest.fixture
def place(tmp_path):
    return Settings(home=tmp_path, place="cluster", base_url="http://127.0.0.1:9", api_key=Secret("tml-secret"))


def says(monkeypatch, *rows, error=None):
    """A server that serves these models: name, context and whether it trains them."""

    class Client:
        def __init__(self, **given: str) -> None:
            assert given["api_key"] == "tml-secret"
            if error is not None:
                raise error

        def get_server_capabilities(self) -> SimpleNamespace:
            found = [SimpleNamespace(model_name=name, max_context_length=long, trainable=ok) for name, long, ok in rows]
            return SimpleNamespace(result=lambda: SimpleNamespace(supported_models=found))

    monkeypatch.setattr(tinker, "RestClient", Client)


def test_what_a_server_says_of_itself_wins(place, monkeypatch):
    assert models.catalogue(place)[0].name == "Qwen/Qwen3.5-4B"
    says(
        monkeypatch,
        ("Qwen/Qwen3-8B", 65_536, True),
        ("meta-llama/Llama-3.2-1B", None, True),
        ("openai/gpt-oss-20b", 1_000, False),
        ("new/Model", 8_192, True),
    )
    answer = served.ask(place)
    found = models.catalogue(place)
    assert [model.name for model in found] == ["Qwen/Qwen3-8B", "meta-llama/Llama-3.2-1B"]
    assert found[0].context == 65_536
    assert found[1].context == models.get("meta-llama/Llama-3.2-1B").context
    assert found[1].retired == ""
    assert answer.asked_on in found[0].source
    assert served.unknown(answer, HOSTED) == ("new/Model",)


def test_the_answer_of_another_server_says_nothing_of_this_one(place, monkeypatch, tmp_path):
    says(monkeypatch, ("Qwen/Qwen3-8B", 65_536, True))
    served.ask(place)
    other = Settings(home=tmp_path, place="hosted", api_key=Secret("tml-secret"))
    assert served.kept(other) is None
    assert len(models.catalogue(other)) == len(HOSTED)


def test_a_server_that_does_not_answer_leaves_our_list_and_says_why(place, monkeypatch):
    says(monkeypatch, error=OSError("refused"))
    with pytest.raises(BackendError) as caught:
        served.ask(place)
    assert "tml-secret" not in str(caught.value)
    assert caught.value.next_step
    assert served.kept(place) is None


def test_a_server_that_never_answers_is_given_up_with_its_name_and_nothing_secret(place, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(served, "PATIENCE", 0.05)
    monkeypatch.setattr(served, "_rows", lambda _: over.wait(30))
    with pytest.raises(BackendError, match=r"did not answer within 0\.05 seconds") as caught:
        served.ask(replace(place, base_url="http://someone:tml-secret@gpu.example:8000/x?key=tml-secret"))
    over.set()
    assert caught.value.where == "gpu.example:8000"
    assert "tml-secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"models": [{"name": "a"}], "asked_on": "", "base_url": null}'])
def test_an_answer_that_cannot_be_read_counts_as_none(place, text):
    (place.home / "served-models.json").write_text(text, encoding="utf-8")
    assert served.kept(place) is None


def test_no_key_is_kept_with_the_answer(place, monkeypatch):
    says(monkeypatch, ("Qwen/Qwen3-8B", 65_536, True))
    kept = served.ask(place)
    text = (place.home / "served-models.json").read_text(encoding="utf-8")
    assert "secret" not in text
    assert served.kept(place) == kept == Served((ServedModel("Qwen/Qwen3-8B", 65_536, True),), kept.asked_on, place.base_url)
    assert json.loads(text)["base_url"] == place.base_url


def test_retired_models_stand_last(place):
    found = models.catalogue(place)
    assert [bool(model.retired) for model in found] == sorted(bool(model.retired) for model in found)


def test_there_is_a_place_to_start_for_every_aim():
    starts = {one.aim: one for one in models.start_here(HOSTED)}
    assert set(starts) == {"prototyping", "quality", "speed"}
    assert starts["quality"].model.parameters > starts["prototyping"].model.parameters
    for one in starts.values():
        assert one.why.endswith(".")
        assert not one.model.retired
    (here,) = models.start_here((models.get("nano"),))
    assert here.aim == "prototyping"
    assert models.start_here(()) == ()


def test_where_no_advice_is_on_the_list_sizes_decide_between_what_answers_by_itself():
    served_here = [model for model in HOSTED if not model.start_here and not model.retired]
    starts = {one.aim: one for one in models.start_here(served_here)}
    able = [model for model in served_here if model.kind != "base"]
    assert starts["quality"].model.parameters == max(model.parameters for model in able)
    assert starts["speed"].model.active_parameters == min(model.active_parameters for model in able)
    assert starts["quality"].model.size in starts["quality"].why
    assert models.start_here([model for model in HOSTED if model.kind == "base"]) == ()


@given(st.text(max_size=12))
def test_a_search_finds_what_says_so_and_never_fails(text):
    for model in models.search(HOSTED, text):
        assert model in HOSTED


def test_searches():
    assert models.search(HOSTED, "") == HOSTED
    assert {model.family for model in models.search(HOSTED, "llama")} == {"llama"}
    assert {model.architecture for model in models.search(HOSTED, "mixture experts")} == {"moe"}
    assert all(model.kind == "base" for model in models.search(HOSTED, kind="base"))
    assert all(model.parameters <= 10e9 for model in models.search(HOSTED, size="small"))
    assert models.get("Qwen/Qwen3-30B-A3B-Instruct-2507").active_parameters == 3e9
