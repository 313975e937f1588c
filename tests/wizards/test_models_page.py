"""The page of models: what is served where, what each costs, what is sought, and the way into a run."""

from __future__ import annotations

import re
from dataclasses import replace

import gradio as gr
import pytest

from studio import models
from studio.errors import BackendError
from studio.models import served
from studio.models.served import Served, ServedModel
from studio.settings import Secret, Settings
from wizards import models_page
from wizards.draft import Draft
from wizards.models_list import Sought
from wizards.models_page import Asked


@pytest.fixture
def here(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def cluster(tmp_path):
    return Settings(home=tmp_path, place="cluster", base_url="http://gpu.example:8000", api_key=Secret("tml-secret"))


def text_of(settings, asked=None, fault=None):
    now = models_page.screen(settings, fault)
    page = str(models_page.top(now, asked or Asked())) + str(models_page.results(now, asked or Asked()))
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", page)), page


def answered(settings, *rows, day="2026-11-20"):
    served._keep(settings.home / "served-models.json", Served(rows, day, settings.base_url))


def test_on_this_computer_nano_can_be_used_and_the_others_looked_at(here):
    text, page = text_of(here)
    assert "The engine on this computer trains nano." in text
    assert "set TINKER_API_KEY" in text
    assert page.count("Use this model</a>") == 1
    assert 'data-onward="ask"' not in page
    for model in models.everything():
        for fact in (model.wire_name, model.size, f"{model.hidden_size:,}", f"{model.context:,}", model.renderer, model.kind):
            assert fact in text
    assert "read 0.195 write 0.6 train 0.44" in text
    assert "7 October 2026, Tinker models and pricing page." in text
    assert "not known" in text
    assert "free it runs on this computer" in text
    assert str(here.home / "prices.yaml") in text


def test_a_server_is_asked_on_the_first_visit_of_a_day_and_by_a_press(cluster):
    text, page = text_of(cluster)
    assert "Asking gpu.example:8000 which models it has." in text
    assert page.count('data-onward="ask"') == 1
    assert "Retired" not in text.split("more that hosted Tinker has retired")[0]
    today = models_page.dt.datetime.now(tz=models_page.dt.UTC).date().isoformat()
    answered(cluster, ServedModel("Qwen/Qwen3-32B", 16_384, True), ServedModel("x/<New>", 8_192, True), day=today)
    text, page = text_of(cluster)
    assert "It trains 1 of the 20 models on this list." in text
    assert "It also trains x/&lt;New&gt;: of these nothing is known here" in text
    assert 'data-onward="ask"' not in page
    assert 'data-pick="ask"' in page
    # Retired by hosted Tinker, but this very server has it, and says how much it reads.
    assert page.count("Use this model</a>") == 1
    assert "16,384" in text


def test_a_server_with_nothing_that_is_known_offers_nothing(cluster):
    answered(cluster, ServedModel("x/New", 8_192, True))
    assert models_page.screen(cluster).offered == ()
    assert "Use this model" not in text_of(cluster)[1]


def test_no_answer_is_said_with_the_next_step_and_the_list_stays(cluster):
    fault = BackendError("The server did not answer.", where="gpu.example:8000", next_step="Check the address.")
    text, page = text_of(cluster, fault=fault)
    assert "The server did not answer. gpu.example:8000 Check the address." in text
    assert "our own list, which it has not confirmed" in text
    assert 'data-onward="ask"' not in page
    assert 'data-pick="ask"' in page
    assert "Use this model" in page


def test_asking_says_why_there_is_no_answer_and_never_raises(cluster, monkeypatch):
    def silent(_):
        raise BackendError("Nobody there.")

    monkeypatch.setattr(served, "ask", silent)
    assert str(models_page._ask(cluster, models_page.Said("ask"))) == "Nobody there."
    assert models_page._ask(cluster, models_page.Said("other")) is None


def test_a_table_of_prices_that_cannot_be_read_is_named_and_ours_stays(here):
    (here.home / "prices.yaml").write_text("models: 3")
    text, _ = text_of(here)
    assert "The table of prices cannot be read" in text
    assert "read 0.195 write 0.6 train 0.44" in text


def test_search_filter_and_place_narrow_the_table_and_survive_the_address(here):
    asked = Asked(Sought("qwen", kind="hybrid", architecture="moe"), draft=Draft("settings", method="sl", dataset="dat-1"))
    assert Asked.from_query(asked.to_query()) == asked
    text, _ = text_of(here, asked)
    assert "1 of 20 models." in text
    assert "Qwen/Qwen3.6-35B-A3B" in text
    assert "1 of 20 models." in text_of(here, Asked().edited("models-here", "yes"))[0]
    nothing, page = text_of(here, Asked(Sought("<script>")))
    assert "No model fits" in nothing
    assert 'data-pick="clear"' in page
    assert "<script>" not in page


def test_a_model_leads_to_settings_where_there_is_data_and_to_what_is_missing_else():
    nano = models.get("nano")
    full = Draft(
        "train", method="distill", dataset="dat-1", run="run-1", changes=(("teacher_prompt", "kept:1"), ("epochs", "9"))
    )
    found = models_page.way(full, models.get("Qwen/Qwen3-8B"))
    assert (found.step, found.model, found.run, found.dataset) == ("settings", "Qwen/Qwen3-8B", "", "dat-1")
    assert found.changes == (("teacher_prompt", "kept:1"),)
    assert models_page.way(replace(full, dataset=""), nano).step == "data"
    assert models_page.way(Draft(), nano).step == "goal"


def test_the_page_builds_inside_a_route(here):
    from types import SimpleNamespace

    with gr.Blocks() as page:
        pass
    with page.route("Models", "/models"):
        models_page.build(SimpleNamespace(settings=here))
    assert all(each.api_visibility == "private" for each in page.fns.values())
