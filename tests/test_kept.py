from __future__ import annotations

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import kept
from studio.errors import NotFoundError, SettingError
from studio.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"))


@hypothesis.settings(max_examples=25)
@given(text=st.text(st.characters(exclude_categories=("Cs",)), max_size=20), times=st.integers(1, 40))
def test_what_was_kept_is_said_again(settings, text, times):
    text = f"{text}\r\n" * times
    name = kept.keep(settings, "ann", text)
    assert kept.said(settings, "ann", name) == text
    assert kept.keep(settings, "ann", text) == name
    assert len(name) <= kept.SHORT


def test_a_long_text_leaves_the_address_and_belongs_to_its_owner(settings):
    long = "Answer in one sentence. ${x}\n" * 100
    name = kept.keep(settings, "ann", long)
    assert name.startswith(kept.MARK)
    with pytest.raises(NotFoundError):
        kept.said(settings, "bob", name)


@pytest.mark.parametrize("name", ["kept:../../../etc/passwd", "kept:", "kept:" + "0" * 32, "kept:" + "F" * 32])
def test_a_name_that_was_not_made_here_leads_nowhere(settings, name):
    with pytest.raises(NotFoundError):
        kept.said(settings, "ann", name)


def test_a_text_that_only_looks_like_a_name_is_kept_as_text(settings):
    text = "kept:0123"
    assert kept.said(settings, "ann", kept.keep(settings, "ann", text)) == text


def test_more_than_the_limit_is_refused(settings):
    with pytest.raises(SettingError, match="the most"):
        kept.keep(settings, "ann", "x" * (kept.LONGEST + 1))


def test_a_draft_left_by_a_full_disk_is_never_read_back(settings, monkeypatch):
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.os, "fsync", full)
    text = "never on disk " * 50
    with pytest.raises(kept.StoreError, match="No space left"):
        kept.keep(settings, "ann", text)
    assert not list(settings.home.rglob("tmp*"))
    monkeypatch.undo()
    assert kept.said(settings, "ann", kept.keep(settings, "ann", text)) == text
