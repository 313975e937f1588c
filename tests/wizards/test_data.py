from __future__ import annotations

import pytest

from studio import samples
from studio.errors import DataError, NotFoundError
from wizards import data, data_screen
from wizards.draft import Draft
from wizards.shell import Said, Visit

HOSTILE = "<img src=x onerror=alert(1)> ${alert(2)} {{3}} `4`"


def many(count=40):
    return [(f"What is number {i}?", f"It is {i}.") for i in range(count)]


def test_a_sample_goes_to_the_settings_in_two_presses(ctx, visit):
    first = samples.samples()[0]
    staged = data.pressed(ctx, visit(), Said("sample", first.name))
    assert staged.step == "data"
    now = data.read(ctx, visit(staged))
    assert now.dataset is None
    assert "Split and continue" in data_screen.below(now)
    done = data.pressed(ctx, visit(staged), Said("split"))
    assert done.step == "settings"
    row = ctx.store.datasets.get(done.dataset, "ann")
    assert row.rows == now.inspection.rows_usable
    assert data.read(ctx, visit(done.at("data"))).dataset is not None


def test_an_upload_is_shown_with_findings_and_line_numbers(ctx, visit, csv):
    path = csv([*many(), ("", "no question"), ("no answer", "")])
    draft = data.uploaded(ctx, visit(), str(path))
    made = data_screen.below(data.read(ctx, visit(draft)))
    assert "Lines 42 and 43." in made or ("Line 42." in made and "Line 43." in made)
    assert "What the model sees" in made
    assert "2 set aside" in data_screen.top(data.read(ctx, visit(draft)))


def test_text_of_the_file_is_text(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv([(f"{HOSTILE} {i}", HOSTILE) for i in range(10)], name="a${b}.csv")))
    now = data.read(ctx, visit(draft))
    made = data_screen.top(now) + data_screen.below(now)
    assert "<img" not in made
    assert not set("$`{}") & set(made)
    assert "onerror=alert(1)" in made


def test_columns_that_were_guessed_are_confirmed(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many(), header=("Question", "Reply"))))
    made = data_screen.below(data.read(ctx, visit(draft)))
    assert "Please confirm" in made
    assert "The columns are right: split and continue" in made


def test_columns_that_say_nothing_are_chosen_one_by_one(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many(), header=("alpha", "beta"))))
    made = data_screen.below(data.read(ctx, visit(draft)))
    assert "Please choose" in made
    assert "Split and continue" not in made
    draft = data.mapped(ctx, visit(draft), "prompt", "beta")
    assert data.read(ctx, visit(draft)).inspection.shape is None
    with pytest.raises(DataError, match="two things at once"):
        data.mapped(ctx, visit(draft), "completion", "beta")
    draft = data.mapped(ctx, visit(draft), "completion", "alpha")
    now = data.read(ctx, visit(draft))
    assert dict(now.inspection.shape.columns) == {"prompt": "beta", "completion": "alpha"}
    assert "Chosen by you" in data_screen.below(now)
    # A wrong choice is not final, and with two columns correcting one corrects both.
    draft = data.mapped(ctx, visit(draft), "prompt", "alpha")
    now = data.read(ctx, visit(draft))
    assert dict(now.inspection.shape.columns) == {"prompt": "alpha", "completion": "beta"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04xl/workbook.xml" + bytes(50), "Excel|spreadsheet|workbook|zip"),
        (b"%PDF-1.7\n" + bytes(50), "PDF"),
    ],
)
def test_a_wrong_file_is_refused_with_a_next_step_and_leaves_nothing(ctx, visit, tmp_path, content, words):
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?i){words}") as caught:
        data.uploaded(ctx, visit(), str(path))
    assert caught.value.next_step
    assert not ctx.settings.datasets.exists() or not list(ctx.settings.datasets.iterdir())


def test_one_row_is_shown_and_cannot_be_split(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many(1))))
    now = data.read(ctx, visit(draft))
    assert "1 row, and it can be used." in data_screen.top(now)
    made = data_screen.below(now)
    assert "Only 1 different prompt" in made
    assert "Use another file" in made
    assert "Split and continue" not in made
    assert "How it will be divided" not in made
    with pytest.raises(DataError) as caught:
        data.pressed(ctx, visit(draft), Said("split"))
    assert caught.value.next_step


def test_nobody_opens_what_somebody_else_added(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many())))
    with pytest.raises(NotFoundError):
        data.read(ctx, visit(draft, owner="bob"))
    done = data.pressed(ctx, visit(draft), Said("split"))
    with pytest.raises(NotFoundError):
        data.read(ctx, visit(done.at("data"), owner="bob"))
    assert data.read(ctx, visit(Draft(step="data"), owner="bob")).earlier == ()


def test_another_plan_is_a_press_and_is_kept(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many())))
    draft = data.pressed(ctx, visit(draft), Said("plan", "80/15/5"))
    now = data.read(ctx, visit(draft))
    assert now.plan.name == "80/15/5"
    assert [share.count for share in data_screen.expected_shares(now.inspection, now.plan)] == [32, 6, 2]


def test_the_same_file_is_listed_once(ctx, visit, csv):
    path = str(csv(many()))
    for _ in range(2):
        data.pressed(ctx, visit(data.uploaded(ctx, visit(), path)), Said("split"))
    assert len(ctx.store.datasets.all("ann")) == 2
    assert len(data.read(ctx, visit()).earlier) == 1


def test_an_earlier_file_must_be_ones_own(ctx, visit, csv):
    done = data.pressed(ctx, visit(data.uploaded(ctx, visit(), str(csv(many())))), Said("split"))
    assert data.pressed(ctx, visit(), Said("earlier", done.dataset)).dataset == done.dataset
    with pytest.raises(NotFoundError):
        data.pressed(ctx, Visit(Draft(), "bob"), Said("earlier", done.dataset))


def test_a_heading_without_rows_is_not_asked_about(ctx, visit, csv):
    now = data.read(ctx, visit(data.uploaded(ctx, visit(), str(csv([])))))
    assert "No row can be used yet" in data_screen.top(now)
    assert "column names, but no rows" in data_screen.top(now)
    assert "0 of 0" not in data_screen.top(now) + data_screen.below(now)


def test_shares_before_the_split_are_said_to_be_estimates(ctx, visit, csv):
    draft = data.uploaded(ctx, visit(), str(csv(many())))
    assert "To learn from: about 28 rows" in data_screen.below(data.read(ctx, visit(draft)))
    done = data.pressed(ctx, visit(draft), Said("split"))
    assert (
        "about" not in data_screen.below(data.read(ctx, visit(done.at("data")))).split("share no prompt")[0].split("tf-tabs")[0]
    )


def test_what_is_left_of_a_long_cell_is_not_understated(ctx, visit, csv):
    now = data.read(ctx, visit(data.uploaded(ctx, visit(), str(csv([("x" * 20_000, "y" * 500), *many()])))))
    made = data_screen.below(now)
    assert "(at least 1,600 more characters)" in made
    assert "(100 more characters)" in made


@pytest.mark.parametrize(
    ("count", "words"),
    [(900, "900 bytes"), (1024, "1 kB"), (1536, "1.5 kB"), (500 * 1024**2, "500 MB"), (int(2.5 * 1024**3), "2.5 GB")],
)
def test_sizes_are_said_as_people_say_them(count, words):
    assert data_screen.size(count) == words


def test_line_numbers_in_words():
    from studio.data import Finding

    def lines(count, *numbers):
        return data_screen.lines(Finding("x", "error", count, numbers, "m"))

    assert lines(0) == ""
    assert lines(1, 3) == "line 3"
    assert lines(2, 3, 17) == "lines 3 and 17"
    assert lines(3, 3, 17, 1020) == "lines 3, 17 and 1,020"
    assert lines(44, *range(1, 21)) == "lines 1, 2, 3, 4, 5, 6, 7, 8 and 36 more"
