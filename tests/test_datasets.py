"""From a file to a settled data set: ownership, limits, what is kept and what is not. Work itself is tested in tests/work."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import pytest

from studio import data, datasets, shelf, work
from studio.data import Fix, Reading, SplitPlan
from studio.errors import DataError, NotFoundError, StoreError
from studio.origins import FromFile, FromHub, FromText, Portion
from studio.settings import Secret, Settings
from studio.store import Store
from studio.work import Cancelled, Done, Failed, Ticket, Working
from tests.data.fake_hub import Repo, serving

ANN, BOB = "ann", "bob"


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


@pytest.fixture
def store(settings):
    made = Store(settings.database)
    yield made
    made.close()


@pytest.fixture
def csv(tmp_path):
    def write(name="good.csv", rows=60, header="prompt,completion", more=""):
        path = tmp_path / name
        path.write_text(header + "\n" + "".join(f"Question {n}?,Answer {n}\n" for n in range(rows)) + more)
        return path

    return write


def ended(settings, staged_id, owner=ANN, seconds=60.0):
    deadline = time.monotonic() + seconds
    while isinstance(now := datasets.state(settings, staged_id, owner), Working | None):
        assert time.monotonic() < deadline, now
        time.sleep(0.02)
    return now


def folders(settings):
    return sorted(path.name for path in settings.datasets.iterdir()) if settings.datasets.exists() else []


def test_an_upload_is_checked_while_the_page_goes_on(settings, store, csv):
    staged_id = datasets.begin_stage(settings, csv(more="no answer,\n"), "good.csv", ANN)
    assert isinstance(datasets.state(settings, staged_id, ANN), Working | Done)
    assert isinstance(ended(settings, staged_id), Done)
    found = datasets.find(settings, staged_id, ANN)
    assert (found.file_name, found.rows_usable, found.rows_rejected) == ("good.csv", 60, 1)
    datasets.begin_settle(settings, staged_id, ANN, SplitPlan("mine", 80, 10, 10))
    assert isinstance(ended(settings, staged_id), Done)
    # A tab that was closed meanwhile comes back and records it; a second one changes nothing.
    dataset = datasets.settled(settings, store, staged_id, ANN)
    assert datasets.settled(settings, store, staged_id, ANN) == dataset
    assert store.datasets.get(staged_id, ANN).rows == dataset.rows == 60
    assert datasets.load(settings, store, staged_id, ANN).plan.name == "mine"


def test_what_the_store_refused_is_recorded_by_the_next_call(settings, store, csv, monkeypatch):
    staged_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    add = type(store.datasets).add
    calls = []

    def refuse_once(self, *args, **named):
        calls.append(args)
        if len(calls) == 1:
            raise StoreError("The disk is full.")
        return add(self, *args, **named)

    monkeypatch.setattr(type(store.datasets), "add", refuse_once)
    with pytest.raises(StoreError, match="disk is full"):
        datasets.settle(settings, store, staged_id, ANN)
    assert datasets.settled(settings, store, staged_id, ANN).rows == 60
    assert store.datasets.get(staged_id, ANN).rows == 60


def test_nobody_sees_or_ends_what_another_added(settings, store, csv):
    staged_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    for forbidden in (
        lambda: datasets.find(settings, staged_id, BOB),
        lambda: datasets.state(settings, staged_id, BOB),
        lambda: datasets.cancel(settings, staged_id, BOB),
        lambda: datasets.dismiss(settings, staged_id, BOB),
        lambda: datasets.reading_of(settings, staged_id, BOB),
        lambda: datasets.remap(settings, staged_id, BOB, {"prompt": "prompt", "completion": "completion"}),
        lambda: datasets.settle(settings, store, staged_id, BOB),
        lambda: datasets.settled(settings, store, staged_id, BOB),
        lambda: datasets.export_clean(settings, staged_id, BOB),
        lambda: datasets.export_rejected(settings, staged_id, BOB),
        lambda: datasets.begin_tokens(settings, staged_id, BOB, "nano", "last_assistant_message"),
        lambda: datasets.tokens_state(settings, staged_id, BOB),
    ):
        with pytest.raises(NotFoundError):
            forbidden()
    datasets.settle(settings, store, staged_id, ANN)
    for forbidden in (
        lambda: datasets.load(settings, store, staged_id, BOB),
        lambda: datasets.again(settings, store, staged_id, BOB),
        lambda: datasets.find(settings, staged_id, BOB),
    ):
        with pytest.raises(NotFoundError):
            forbidden()
    assert datasets.find(settings, staged_id, ANN).rows_usable == 60


@pytest.mark.parametrize("odd", ["../../etc", "data-../x", "", "run-0123456789abcdef", "data-0123456789abcde/"])
def test_what_is_no_id_opens_nothing(settings, odd):
    with pytest.raises(NotFoundError):
        datasets.find(settings, odd, ANN)


def test_a_refused_file_leaves_nothing(settings, tmp_path):
    path = tmp_path / "empty.csv"
    path.touch()
    with pytest.raises(data.RefusedFile) as caught:
        datasets.stage(settings, path, "empty.csv", ANN)
    assert caught.value.code == "empty_file"
    assert folders(settings) == []


def test_a_refusal_is_kept_for_the_page_until_it_is_dismissed(settings, tmp_path):
    path = tmp_path / "empty.csv"
    path.touch()
    staged_id = datasets.begin_stage(settings, path, "empty.csv", ANN)
    failed = ended(settings, staged_id)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, data.RefusedFile)
    assert failed.error.next_step
    with pytest.raises(NotFoundError):
        datasets.find(settings, staged_id, ANN)
    datasets.dismiss(settings, staged_id, ANN)
    assert folders(settings) == []


def test_a_first_reading_that_is_cancelled_leaves_nothing(settings, csv):
    staged_id = datasets.begin_stage(settings, csv(rows=200_000), "good.csv", ANN)
    assert isinstance(datasets.cancel(settings, staged_id, ANN), Cancelled)
    assert folders(settings) == []


def test_what_was_found_stays_while_it_is_read_again_and_when_that_is_cancelled(settings, csv):
    staged_id, before = datasets.stage(settings, csv(rows=100_000), "good.csv", ANN)
    chosen = Reading(mapping={"prompt": "completion", "completion": "prompt"})
    datasets.begin_reading(settings, staged_id, ANN, chosen)
    assert datasets.find(settings, staged_id, ANN) == before
    with pytest.raises(DataError, match="still working"):
        datasets.begin_settle(settings, staged_id, ANN)
    assert isinstance(datasets.cancel(settings, staged_id, ANN), Cancelled)
    assert datasets.find(settings, staged_id, ANN) == before
    assert datasets.reading_of(settings, staged_id, ANN).mapping is None
    assert not (datasets.folder_of(settings, staged_id) / "new").exists()


def test_a_new_reading_replaces_the_old_one(settings, store, csv):
    staged_id, found = datasets.stage(settings, csv(header="User Question,Response"), "faq.csv", ANN)
    assert found.needs_confirmation
    found = datasets.remap(settings, staged_id, ANN, {"prompt": "Response", "completion": "User Question"})
    assert dict(found.shape.columns) == {"prompt": "Response", "completion": "User Question"}
    assert datasets.find(settings, staged_id, ANN) == found
    assert datasets.reading_of(settings, staged_id, ANN).mapping == {"prompt": "Response", "completion": "User Question"}
    assert next(data.canonical_rows(found)) == {"prompt": "Answer 0", "completion": "Question 0?"}
    assert datasets.settle(settings, store, staged_id, ANN).rows == 60


def test_a_split_that_failed_leaves_the_checked_rows(settings, store, csv):
    staged_id, before = datasets.stage(settings, csv(rows=1), "one.csv", ANN)
    with pytest.raises(DataError):
        datasets.settle(settings, store, staged_id, ANN)
    assert datasets.find(settings, staged_id, ANN) == before
    assert store.datasets.all(ANN) == ()
    with pytest.raises(NotFoundError):
        datasets.settled(settings, store, staged_id, ANN)


def test_a_settled_data_set_never_changes_but_can_be_opened_again(settings, store, csv):
    staged_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    first = datasets.settle(settings, store, staged_id, ANN)
    for change in (
        lambda: datasets.settle(settings, store, staged_id, ANN),
        lambda: datasets.remap(settings, staged_id, ANN, {"prompt": "completion", "completion": "prompt"}),
    ):
        with pytest.raises(DataError, match="split already"):
            change()
    copy_id = datasets.again(settings, store, staged_id, ANN)
    assert copy_id != staged_id
    found = datasets.remap(settings, copy_id, ANN, {"prompt": "completion", "completion": "prompt"})
    second = datasets.settle(settings, store, copy_id, ANN, SplitPlan("half", 50, 25, 25))
    assert (second.plan.name, found.rows_usable) == ("half", 60)
    assert datasets.load(settings, store, staged_id, ANN) == first
    assert data.rows(first.train.path, 1)[0].prompt.startswith("Question")


def test_a_pasted_table_is_a_file(settings):
    text = "prompt\tcompletion\n" + "".join(f"Question {n}?\tAnswer {n}\r\n" for n in range(12))
    _, found = datasets.stage(settings, FromText(text), "pasted", ANN)
    assert (found.rows_usable, found.delimiter) == (12, "\t")
    drawn = "| prompt | completion |\n|---|---|\n" + "".join(f"| Question {n}? | Answer {n} |\n" for n in range(12))
    staged_id, found = datasets.stage(settings, FromText(drawn), "pasted", ANN)
    assert next(data.canonical_rows(found)) == {"prompt": "Question 0?", "completion": "Answer 0"}
    assert datasets.remap(settings, staged_id, ANN, {"prompt": "completion", "completion": "prompt"}).rows_usable == 12
    with pytest.raises(DataError, match="Nothing was pasted"):
        datasets.stage(settings, FromText(" \n"), "pasted", ANN)


def test_rows_of_the_hub_are_fetched_by_a_child_and_the_token_is_kept_nowhere(settings, monkeypatch):
    rows = "".join(json.dumps({"prompt": f"Question {n}?", "completion": f"Answer {n}"}) + "\n" for n in range(30))
    token = Secret("hf_only_for_this_fetch")
    repo = Repo({"train.jsonl": rows.encode()}, private=True, readers=frozenset({token.reveal()}))
    with serving({"ann/faq": repo}) as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        found = datasets.look_up_hub(settings, "ann/faq", token=token)
        assert [split.name for split in found.configurations[0].splits] == ["train"]
        source = FromHub("ann/faq", found.configurations[0].name, "train", most_rows=20, token=token)
        staged_id, checked = datasets.stage(settings, source, "ann/faq", ANN)
        assert checked.rows_usable == 20
        with pytest.raises(DataError):
            datasets.stage(settings, replace(source, token=None), "ann/faq", ANN)
    assert {given for _, given in asked} >= {token.reveal()}
    folder = datasets.folder_of(settings, staged_id)
    assert json.loads((folder / "provenance.json").read_text())["cut"] is True
    kept = [path for path in settings.home.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if token.reveal().encode() in path.read_bytes()]
    # What was fetched is a file like any other, and the Hub is not needed again.
    assert datasets.remap(settings, staged_id, ANN, {"prompt": "completion", "completion": "prompt"}).rows_usable == 20


def test_several_data_sets_are_mixed_into_one_of_the_same_owner(settings, store, csv):
    first_id, _ = datasets.stage(settings, csv(rows=40), "first.csv", ANN)
    datasets.settle(settings, store, first_id, ANN)
    other = csv("second.csv", rows=0, more="".join(f"Other {n}?,Yes {n}\n" for n in range(30)))
    second_id, _ = datasets.stage(settings, other, "second.csv", ANN)
    portions = [Portion(first_id, name="first"), Portion(second_id, weight=0.5, name="second")]
    with pytest.raises(NotFoundError):
        datasets.begin_mix(settings, store, portions, "both", BOB)
    mixed_id = datasets.begin_mix(settings, store, portions, "both", ANN)
    assert isinstance(ended(settings, mixed_id), Done)
    dataset = datasets.settled(settings, store, mixed_id, ANN)
    assert {row.source for row in data.rows(dataset.train.path)} == {"first", "second"}
    assert datasets.name_of(settings, mixed_id, ANN) == "both"
    assert store.datasets.get(mixed_id, ANN).rows == dataset.rows
    copy_id = datasets.again(settings, store, mixed_id, ANN)
    with pytest.raises(DataError, match="no file of its own"):
        datasets.remap(settings, copy_id, ANN, {"prompt": "completion", "completion": "prompt"})


def test_the_original_is_never_changed_and_costs_no_second_copy(settings, store, csv):
    path = csv()
    before = path.read_bytes()
    staged_id, _ = datasets.stage(settings, FromFile(path, by_path=True), "good.csv", ANN)
    kept = datasets.folder_of(settings, staged_id) / "original"
    assert kept.samefile(path)
    datasets.settle(settings, store, staged_id, ANN)
    assert path.read_bytes() == before
    path.unlink()
    assert kept.read_bytes() == before


def test_a_disk_that_knows_no_second_names_gets_a_copy(settings, csv, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    path = csv()
    staged_id, found = datasets.stage(settings, path, "good.csv", ANN)
    kept = datasets.folder_of(settings, staged_id) / "original"
    assert not kept.samefile(path)
    assert kept.read_bytes() == path.read_bytes()
    assert found.rows_usable == 60


def test_a_file_read_in_place_is_not_kept(settings, csv):
    path = csv()
    staged_id, _ = datasets.stage(settings, FromFile(path, by_path=True, in_place=True), "good.csv", ANN)
    assert not (datasets.folder_of(settings, staged_id) / "original").exists()
    swapped = {"prompt": "completion", "completion": "prompt"}
    assert dict(datasets.remap(settings, staged_id, ANN, swapped).shape.columns) == swapped
    path.unlink()
    with pytest.raises(NotFoundError, match="not where it was"):
        datasets.remap(settings, staged_id, ANN, swapped)


def test_an_original_that_changed_is_not_read_again(settings, csv):
    path = csv()
    staged_id, before = datasets.stage(settings, FromFile(path, by_path=True), "good.csv", ANN)
    with path.open("a") as file:
        file.write("One more?,Yes\n")
    with pytest.raises(DataError, match="changed since it was added") as caught:
        datasets.remap(settings, staged_id, ANN, {"prompt": "completion", "completion": "prompt"})
    assert caught.value.next_step
    assert datasets.find(settings, staged_id, ANN) == before


def test_limits_are_said_and_differ_by_the_way_in(settings, csv):
    small = replace(settings, upload_limit_bytes=100, path_limit_bytes=10_000)
    with pytest.raises(DataError, match="limit is") as caught:
        datasets.begin_stage(small, FromFile(csv()), "good.csv", ANN)
    assert "STUDIO_UPLOAD_LIMIT_MB" in caught.value.next_step
    staged_id, _ = datasets.stage(small, FromFile(csv(), by_path=True), "good.csv", ANN)
    assert datasets.find(small, staged_id, ANN).rows_usable == 60
    with pytest.raises(DataError) as caught:
        datasets.begin_stage(small, FromFile(csv(rows=1000), by_path=True), "good.csv", ANN)
    assert "STUDIO_PATH_LIMIT_MB" in caught.value.next_step


def test_what_is_no_plain_file_is_refused_before_it_is_opened(settings, tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path, words in (
        (tmp_path, "folder"),
        (tmp_path / "pipe.csv", "pipe"),
        (tmp_path / "none.csv", "no such file"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            datasets.begin_stage(settings, FromFile(path, by_path=True), path.name, ANN)
        assert caught.value.next_step
    assert folders(settings) == []


def test_a_home_that_cannot_be_written_is_a_store_error(tmp_path, csv):
    (tmp_path / "home").touch()
    with pytest.raises(StoreError):
        datasets.begin_stage(Settings(home=tmp_path / "home"), csv(), "good.csv", ANN)


def test_what_nobody_came_back_to_is_swept_and_a_split_data_set_never(settings, store, csv):
    settled_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    datasets.settle(settings, store, settled_id, ANN)
    old_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    # A data set of an earlier version carries no note of whose it is, only the store knows.
    (settings.datasets / "data-earlier").mkdir()
    soon, late = time.time() + shelf.KEEP_SECONDS - 60, time.time() + shelf.KEEP_SECONDS + 60
    assert shelf.sweep(settings, now=soon) == 0
    assert shelf.sweep(settings, now=late) == 1
    assert old_id not in folders(settings)
    assert {settled_id, "data-earlier"} <= set(folders(settings))


def test_what_was_refused_is_swept_soon(settings, csv, tmp_path):
    good_id, _ = datasets.stage(settings, csv(), "good.csv", ANN)
    (tmp_path / "empty.csv").touch()
    refused_id = datasets.begin_stage(settings, tmp_path / "empty.csv", "empty.csv", ANN)
    assert isinstance(ended(settings, refused_id), Failed)
    (settings.datasets / "hub-left").mkdir()
    assert shelf.sweep(settings) == 0
    assert shelf.sweep(settings, now=time.time() + 3700) == 2
    assert folders(settings) == [good_id]


def test_exports_hold_what_they_should_and_follow_the_reading(settings, csv):
    staged_id, _ = datasets.stage(settings, csv(rows=12, more="no answer,\n"), "good.csv", ANN)
    clean = datasets.export_clean(settings, staged_id, ANN)
    assert clean.read_text().splitlines()[0] == '{"prompt":"Question 0?","completion":"Answer 0"}'
    assert len(clean.read_text().splitlines()) == 12
    aside = datasets.export_rejected(settings, staged_id, ANN).read_text("utf-8-sig")
    assert aside.startswith("line,reason,detail,row\n14,empty_value,")
    datasets.remap(settings, staged_id, ANN, {"prompt": "completion", "completion": "prompt"})
    assert not clean.exists()
    again = datasets.export_clean(settings, staged_id, ANN)
    assert again.read_text().splitlines()[0] == '{"prompt":"Answer 0","completion":"Question 0?"}'


def test_rows_can_be_written_where_a_person_wants_them(settings, csv, tmp_path):
    staged_id, _ = datasets.stage(settings, csv(rows=12), "good.csv", ANN)
    told = []
    assert datasets.write_clean(settings, staged_id, ANN, tmp_path / "out.jsonl", tell=told.append) == 12
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 12
    with pytest.raises(StoreError):
        datasets.write_clean(settings, staged_id, ANN, tmp_path / "none" / "out.jsonl")


def test_fixes_are_recorded_and_undone(settings, csv):
    more = "".join(f"Question {n}?,Another answer {n}\n" for n in range(3)) + "Question 0?,Answer 0\n"
    staged_id, before = datasets.stage(settings, csv(rows=12, more=more), "good.csv", ANN)
    offers = [offer.fix for finding in before.findings for offer in finding.fixes]
    assert offers, "Rows with other answers to the same prompt must offer a fix."
    fixed = datasets.apply_fixes(settings, staged_id, ANN, offers[0])
    assert fixed.fixes == (offers[0],)
    assert datasets.reading_of(settings, staged_id, ANN).fixes == (offers[0],)
    undone = datasets.undo(settings, staged_id, ANN)
    assert undone.fixes == ()
    assert (undone.rows_usable, undone.findings) == (before.rows_usable, before.findings)


def test_a_fix_that_does_not_exist_changes_nothing(settings, csv):
    staged_id, before = datasets.stage(settings, csv(), "good.csv", ANN)
    with pytest.raises(DataError):
        datasets.apply_fixes(settings, staged_id, ANN, Fix("no_such_fix"))
    assert datasets.find(settings, staged_id, ANN) == before


def test_tokens_are_counted_beside_other_work(settings, csv):
    from studio import models, tokens

    staged_id, found = datasets.stage(settings, csv(), "good.csv", ANN)
    assert datasets.tokens_state(settings, staged_id, ANN) is None
    datasets.begin_tokens(settings, staged_id, ANN, "nano", "last_assistant_message")
    # Asked for twice it is counted once.
    datasets.begin_tokens(settings, staged_id, ANN, "nano", "last_assistant_message")
    counted = work.wait(Ticket(datasets.folder_of(settings, staged_id), "tokens"))
    assert isinstance(counted, Done), counted
    known = tokens.known(found, models.get("nano"), "last_assistant_message")
    assert known is not None
    assert known.rows == 60


def test_the_first_rows_of_a_large_file_are_there_while_the_rest_is_read(settings, monkeypatch, tmp_path):
    from studio.work import tasks

    monkeypatch.setattr(tasks, "FIRST_LOOK_BYTES", 1_000)
    (tmp_path / tasks.ORIGINAL).write_text("prompt,completion\n" + "".join(f"What is {n}?,It is {n}.\n" for n in range(500)))
    monkeypatch.setattr("studio.datasets.own", lambda *_: tmp_path)
    seen = []

    class Looking:
        def at(self, phase, done, total, unit):
            seen.append((phase, datasets.first_rows(settings, "data-1", ANN)))

    asked = {"name": "big.csv", "source": "", "get": "", "fingerprint": "", "reading": {}}
    tasks.inspect(tmp_path, asked, Looking())
    while_reading = [first for phase, first in seen if phase == "reading"]
    assert while_reading
    assert while_reading[0].rows[0] == ("What is 0?", "It is 0.")
    assert while_reading[0].shape.kind == "prompt_completion"
    # When all rows are there, nobody needs the first look any more; a second reading has the whole of the first.
    assert datasets.first_rows(settings, "data-1", ANN) is None
    tasks.inspect(tmp_path, asked, Looking())
    assert seen[-1][1] is None
