from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from studio import data, datasets, kept, samples
from studio.errors import DataError, NotFoundError
from wizards import data_acts, data_bringing, data_reading
from wizards.desk import bring, division, page
from wizards.desk.screen import Screen
from wizards.desk.view import View
from wizards.desk.working import Work
from wizards.draft import Draft
from wizards.shell import Said, Visit

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{3}} `4`"


def many(count=40):
    return [(f"What is number {i}?", f"It is {i}.") for i in range(count)]


@pytest.fixture
def walk(ctx, visit, monkeypatch):
    """A visitor on the data step: presses and edits change the draft, ``now`` is what is shown."""
    # However busy the machine is, small files are done before anything is looked at.
    monkeypatch.setattr(data_bringing, "_PATIENCE", 60.0)

    class Walk:
        def __init__(self):
            self.draft = visit().draft

        def upload(self, path):
            self.draft = data_bringing.uploaded(ctx, visit(self.draft), str(path))
            return self.settle()

        def press(self, name, value=""):
            self.draft = data_acts.pressed(ctx, visit(self.draft), Said(name, value))
            return self.settle()

        def edit(self, name, value):
            self.draft = data_acts.edited(ctx, visit(self.draft), Said(name, value))
            return self.settle()

        def settle(self):
            end = time.monotonic() + 60
            while self.now.work is not None:
                assert time.monotonic() < end
                time.sleep(0.05)
            return self

        def tab(self, name):
            self.press("tab", name)
            return str(page.tabs(self.now))

        @property
        def now(self):
            return data_reading.read(ctx, visit(self.draft.at("data")))

        @property
        def above(self):
            return str(page.top(self.now)) + str(page.above(self.now))

        @property
        def view(self):
            return View.from_text(self.draft.view)

    return Walk()


def test_a_sample_goes_to_the_settings_in_two_presses(ctx, walk):
    walk.press("sample", samples.samples()[0].name)
    assert walk.draft.step == "data"
    assert walk.now.dataset is None
    assert "Split and continue" in walk.above
    usable = walk.now.inspection.rows_usable
    walk.press("split")
    assert walk.draft.step == "settings"
    assert ctx.store.datasets.get(walk.draft.dataset, "ann").rows == usable
    assert walk.now.dataset is not None
    assert "Your data is ready" in walk.above


def test_a_sample_brings_what_no_data_can_tell(ctx, walk):
    walk.draft = replace(walk.draft, method="distill")
    walk.press("sample", "school")
    brought = dict(walk.draft.changes)["teacher_prompt"]
    assert kept.said(ctx.settings, "ann", brought) == samples.sample("school").settings["teacher_prompt"]


def test_an_upload_is_shown_with_findings_and_line_numbers(walk, csv):
    walk.upload(csv([*many(), ("", "no question"), ("no answer", "")]))
    assert "2 set aside" in walk.above
    assert "Findings" in walk.above
    made = walk.tab("findings")
    assert "Lines 42 and 43." in made or ("Line 42." in made and "Line 43." in made)
    assert "What the model sees" in made


def test_a_finding_leads_to_its_rows_and_back(walk, csv):
    walk.upload(csv([*many(), ("", "no question"), ("no answer", "")]))
    code = walk.now.inspection.findings[0].code
    walk.press("rows-of", code)
    assert (walk.view.tab, walk.view.finding) == ("rows", code)
    made = str(page.tabs(walk.now))
    assert "2 rows of 42." in made or "1 row of 42." in made
    assert "Set aside" in made
    assert walk.press("everything").now.page.matched == 42


def test_rows_are_searched_filtered_and_turned(walk, csv):
    walk.upload(csv(many(60)))
    assert walk.now.page.pages == 3
    walk.press("page", "3")
    assert [line.line for line in walk.now.page.lines] == list(range(52, 62))
    walk.edit("search", "NUMBER 7?")
    assert [line.line for line in walk.now.page.lines] == [9]
    assert walk.view.page == 1
    walk.edit("search", "there is no such text")
    assert "No row fits" in str(page.tabs(walk.now))
    walk.edit("page", "seven")
    assert walk.view.page == 1


def test_text_of_the_file_is_text(walk, csv):
    rows = [(f"{HOSTILE} {i}", HOSTILE) for i in range(10)]
    walk.upload(csv(rows, header=("prompt", "completion"), name="a${b}.csv"))
    for tab in ("rows", "findings", "seen", "figures", "card"):
        made = walk.above + walk.tab(tab)
        assert "<img" not in made, tab
        assert not set("$`{}") & set(made), tab
    walk.edit("search", HOSTILE)
    made = walk.tab("rows")
    assert not set("$`{}") & set(made)
    assert "onerror=alert(1)" in made


def test_columns_that_were_guessed_are_confirmed(walk, csv):
    walk.upload(csv(many(), header=("Question", "Reply")))
    assert "Please confirm" in walk.above
    assert "The columns are right: split and continue" in walk.above


def test_columns_that_say_nothing_are_chosen_one_by_one(walk, csv):
    walk.upload(csv([(f"a{i} b", f"c{i} d") for i in range(40)], header=("alpha", "beta")))
    assert "Please choose" in walk.above
    assert "Split and continue" not in walk.above
    walk.edit("part:prompt", "beta")
    assert walk.now.inspection.shape is None
    with pytest.raises(DataError, match="two things at once"):
        walk.edit("part:completion", "beta")
    walk.edit("part:completion", "alpha")
    assert dict(walk.now.inspection.shape.columns) == {"prompt": "beta", "completion": "alpha"}
    assert "Chosen by you" in walk.above
    # A wrong choice is not final, and with two columns correcting one corrects both.
    walk.edit("part:prompt", "alpha")
    assert dict(walk.now.inspection.shape.columns) == {"prompt": "alpha", "completion": "beta"}


def test_another_form_asks_for_its_own_columns(walk, csv):
    walk.upload(csv([("a", "b", "c")] * 3 + [(f"{i}?", f"{i}", f"-{i}") for i in range(9)], header=("x", "y", "z")))
    walk.edit("kind", "preference")
    assert "The better answer (chosen)" in walk.above
    for part, column in (("prompt", "x"), ("chosen", "y"), ("rejected", "z")):
        walk.edit(f"part:{part}", column)
    assert walk.now.inspection.shape.kind == "preference"
    assert "Learn from the better answers alone" in walk.above
    assert "Split and continue" not in walk.above
    walk.press("better")
    assert walk.now.inspection.shape.training == "SL"
    assert "Split and continue" in walk.above


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04xl/workbook.xml" + bytes(50), "Excel|spreadsheet|workbook|zip"),
        (b"%PDF-1.7\n" + bytes(50), "PDF"),
    ],
)
def test_a_wrong_file_is_refused_with_a_next_step_and_leaves_nothing(ctx, walk, tmp_path, content, words):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?i){words}") as caught:
        walk.upload(path)
    assert caught.value.next_step
    assert not ctx.settings.datasets.exists() or not list(ctx.settings.datasets.iterdir())


def test_one_row_is_shown_and_cannot_be_split(walk, csv):
    walk.upload(csv(many(1)))
    assert "1 row, and it can be used." in walk.above
    assert "Use another file" in walk.above
    assert "Split and continue" not in walk.above
    assert "How it will be divided" not in walk.above
    with pytest.raises(DataError) as caught:
        walk.press("split")
    assert caught.value.next_step


def test_nobody_opens_what_somebody_else_added(ctx, walk, csv):
    walk.upload(csv(many()))
    bob = data_reading.read(ctx, Visit(walk.draft, "bob"))
    assert bob.empty
    walk.press("split")
    bob = data_reading.read(ctx, Visit(walk.draft.at("data"), "bob"))
    assert bob.empty
    assert bob.earlier == ()


def test_another_plan_is_a_press_and_is_kept(walk, csv):
    walk.upload(csv(many()))
    walk.press("plan", "80/15/5")
    assert walk.now.plan.name == "80/15/5"
    assert [share.count for share in division.expected_shares(walk.now.inspection, walk.now.plan)] == [32, 6, 2]
    walk.press("shares", json.dumps({"train": "60", "validation": "20 %", "test": "20,0"}))
    assert (walk.now.plan.train, walk.now.plan.validation, walk.now.plan.test) == (60, 20, 20)
    with pytest.raises(DataError, match="add up to 100"):
        walk.press("shares", json.dumps({"train": "60", "validation": "20", "test": "30"}))
    with pytest.raises(DataError, match="number"):
        walk.press("shares", json.dumps({"train": "most", "validation": "20", "test": "30"}))


def test_a_group_column_and_an_order_are_kept_for_the_split(walk, csv):
    rows = [(f"What is number {i}?", f"It is {i}.", f"c{i // 4}") for i in range(60)]
    walk.upload(csv(rows, header=("prompt", "completion", "customer")))
    place = walk.now.groupable.index("customer")
    walk.edit("group", str(place))
    walk.edit("order", "length")
    assert (walk.now.plan.group, walk.now.plan.order) == ("customer", "length")
    assert "Rows with the same “customer” stay together." in walk.above
    walk.press("split")
    assert (walk.now.dataset.plan.group, walk.now.dataset.plan.order) == ("customer", "length")


def test_the_same_file_is_listed_once(ctx, walk, csv):
    path = csv(many())
    for _ in range(2):
        walk.upload(path).press("split")
        walk.draft = walk.draft.at("data")
    assert len(ctx.store.datasets.all("ann")) == 2
    assert len(walk.press("another").now.earlier) == 1


def test_an_earlier_file_must_be_ones_own(ctx, walk, csv):
    walk.upload(csv(many())).press("split")
    done = walk.draft.dataset
    walk.draft = Draft(step="data", method="sl")
    assert walk.press("earlier", done).draft.dataset == done
    with pytest.raises(NotFoundError):
        data_acts.pressed(ctx, Visit(Draft(), "bob"), Said("earlier", done))


def test_a_split_data_set_is_opened_again_as_a_copy(walk, csv):
    walk.upload(csv(many())).press("split")
    first, walk.draft = walk.draft.dataset, walk.draft.at("data")
    walk.press("again")
    assert walk.draft.dataset != first
    assert walk.now.dataset is None
    assert walk.now.inspection.rows_usable == 40


def test_a_heading_without_rows_is_not_asked_about(walk, csv):
    walk.upload(csv([]))
    assert "No row can be used yet" in walk.above
    assert "column names, but no rows" in walk.above
    assert "0 of 0" not in walk.above + walk.tab("rows")


def test_shares_before_the_split_are_said_to_be_estimates(walk, csv):
    walk.upload(csv(many()))
    assert "To learn from: about 28 rows" in walk.above
    walk.press("split")
    assert "about" not in str(division.card(walk.now))


def test_pasted_rows_are_read_like_a_file(walk):
    text = "prompt\tcompletion\n" + "".join(f"Question {i}\tAnswer {i}\n" for i in range(12))
    walk.press("paste", json.dumps({"text": text}))
    assert walk.now.inspection.rows_usable == 12
    assert walk.now.inspection.delimiter == "\t"
    with pytest.raises(DataError, match="nothing to read"):
        walk.press("paste", json.dumps({"text": "  \n"}))


def test_a_path_is_read_only_where_it_is_allowed(ctx, visit, walk, csv):
    path = csv(many())
    if ctx.settings.paths_allowed:
        assert walk.press("path", json.dumps({"path": f'"{path}"'})).now.inspection.rows_usable == 40
    with pytest.raises(DataError, match="no such file"):
        walk.press("path", json.dumps({"path": str(path) + "x"}))
    with pytest.raises(DataError, match="No path"):
        walk.press("path", "not json")


def test_what_is_typed_into_a_token_field_is_never_drawn(walk):
    walk.press("way", "hub")
    made = str(bring.start(walk.now))
    assert 'type="password"' in made
    assert "token" not in walk.draft.to_query()


def test_a_repair_is_made_shown_and_taken_back(ctx, visit, walk, csv):
    walk.upload(csv([*many(), *many(3), ("Write to ann@example.org please", "I will.")]))
    before = walk.now.inspection
    offers = [offer for finding in before.findings for offer in finding.fixes]
    assert offers, "no finding offers a repair"
    offer = offers[0]
    walk.press("fix", f"{offer.fix.id}\n{offer.fix.value}")
    assert walk.now.inspection.fixes == (offer.fix,)
    made = walk.tab("findings")
    assert "Repairs that were made" in made
    walk.press("undo", "1")
    assert walk.now.inspection.fixes == ()
    assert walk.now.inspection.rows_usable == before.rows_usable


def test_work_is_shown_with_a_way_to_stop_and_stopping_leads_back(ctx, visit, walk, csv, monkeypatch):
    monkeypatch.setattr(data_bringing, "_PATIENCE", 0.0)
    big = csv(many(60_000), name="big.csv")
    walk.draft = data_bringing.uploaded(ctx, visit(walk.draft), str(big))
    now = walk.now
    assert now.work is not None
    assert not now.empty
    made = str(page.work(now))
    assert "Stop" in made
    assert "data-tick" in made
    assert "Reading big.csv" in str(page.top(now))
    staged_id = walk.draft.dataset
    walk.press("stop")
    assert walk.now.empty
    assert walk.draft.dataset == ""
    assert "Stopped. Nothing of the file was kept." in str(bring.start(walk.now))
    with pytest.raises(NotFoundError):
        datasets.find(ctx.settings, staged_id, "ann")
    # Whoever still has the old address is told why nothing is there.
    walk.draft = replace(walk.draft, dataset=staged_id, view="")
    assert "not here any more" in str(bring.start(walk.now))


def test_the_first_rows_of_a_large_file_are_shown_while_it_is_read(tmp_path, csv):
    first = data.peek(csv(many(), header=("prompt", "completion")), "mine.csv")
    working = Screen(id="data-1", work=Work("mine.csv", "staging"))
    assert page.tabs(working) == ""
    looked = replace(working, first=first)
    made = str(page.tabs(looked))
    assert "What is number 19?" in made
    assert "What is number 20?" not in made
    assert "prompt is “prompt”" in made
    assert page.drawn(looked) != page.drawn(working), "the heartbeat draws them"


def test_the_first_line_is_what_the_person_says_it_is(walk, csv):
    walk.upload(csv([("Bye", "So long"), *many()], header=("Hi", "Hello")))
    assert "names the columns" in walk.above
    walk.edit("part:prompt", "Hi")
    walk.edit("header", "data")
    assert (walk.now.inspection.header, walk.now.inspection.rows_total) == (False, 42)
    assert walk.draft.mapping == (), "a column that is gone plays no part"
    assert "columns without names" in walk.above
    walk.edit("part:prompt", "Column 1").edit("part:completion", "Column 2")
    assert "Split and continue" in walk.above
    walk.press("undo", "1")
    assert (walk.now.inspection.header, walk.now.inspection.rows_total) == (True, 41)
    assert walk.draft.mapping == ()


def test_a_large_split_goes_on_by_itself_once_it_is_done(walk, csv):
    waiting = replace(walk.upload(csv(many())).now, work=Work("mine.csv", "splitting", task="split"))
    seen = page.drawn(waiting)
    assert "data-onward" not in str(page.work(waiting, seen))
    walk.press("split")
    walk.draft = walk.draft.at("data")
    assert "data-onward" in str(page.work(walk.now, seen))
    # A visitor who comes back to the data later is not sent away again.
    assert page.work(walk.now) == ""
    assert "Continue to settings" in walk.above


def test_earlier_data_sets_are_mixed_and_replayed(ctx, visit, walk, csv):
    ids = []
    for part in ("a", "b"):
        rows = [(f"What is {part}{i}?", f"It is {part}{i}.") for i in range(40)]
        walk.upload(csv(rows, name=f"{part}.csv")).press("split")
        ids.append(walk.draft.dataset)
        walk.draft = walk.draft.at("data")
        walk.press("another")
    walk.press("way", "mix")
    made = str(bring.start(walk.now))
    assert all(ident in made for ident in ids)
    walk.press("mix", json.dumps({ids[0]: "1", ids[1]: "replay 0.25", "name": "Both", "order": "length"}))
    mixed = walk.now.dataset
    assert mixed is not None
    assert mixed.plan.order == "length"
    assert mixed.rows < 80
    with pytest.raises(DataError, match="two data sets"):
        walk.press("mix", json.dumps({ids[0]: "1", ids[1]: "", "name": "", "order": ""}))
    with pytest.raises(DataError, match="no portion"):
        walk.press("mix", json.dumps({ids[0]: "1", ids[1]: "all", "name": "", "order": ""}))


@pytest.mark.parametrize(("method", "fits"), [("sl", False), ("dpo", True), ("rlhf", True), ("rl", False)])
def test_pairs_are_divided_when_the_method_learns_from_pairs(walk, csv, method, fits):
    walk.draft = replace(walk.draft, method=method)
    rows = [(f"What is {i}?", f"It is {i}, clearly.", f"dunno {i}") for i in range(40)]
    walk.upload(csv(rows, header=("prompt", "chosen", "rejected")))
    assert ("Split and continue" in walk.above) is fits
    assert ("Train it as direct preference optimisation (DPO)" in walk.above) is not fits
    assert ("Learn from the better answers alone" in walk.above) is (method == "sl")
    if not fits:
        walk.press("method", "dpo")
        assert (walk.draft.method, walk.draft.answers) == ("dpo", ())
        assert "Split and continue" in walk.above
        with pytest.raises(DataError, match="does not fit"):
            walk.press("method", "sl")


def test_samples_for_the_chosen_method_come_first(walk):
    for method in {each.method for each in samples.samples()}:
        walk.draft = replace(walk.draft, method=method)
        made = str(bring.start(walk.now))
        places = sorted((made.index(f'data-value="{each.name}"'), each.method) for each in samples.samples())
        assert places[0][1] == method


def test_a_heartbeat_knows_what_is_on_screen(walk, csv):
    walk.upload(csv(many()))
    one = page.drawn(walk.now)
    assert page.drawn(walk.now) == one
    walk.edit("part:prompt", "completion")
    assert page.drawn(walk.now) != one
