"""What the environment says, and that a secret never prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.errors import SettingError
from studio.settings import Secret, Settings

MB = 1024 * 1024


def test_limits_for_data_have_defaults_and_can_be_set():
    found = Settings.from_env({"STUDIO_HOME": "/tmp/x"})
    assert (found.upload_limit_bytes, found.path_limit_bytes) == (500 * MB, 5120 * MB)
    assert (found.data_memory_bytes, found.data_seconds) == (0, 3600)
    asked = {"UPLOAD_LIMIT_MB": "7", "PATH_LIMIT_MB": "9", "DATA_MEMORY_MB": "800", "DATA_MINUTES": "2"}
    found = Settings.from_env({f"STUDIO_{name}": value for name, value in asked.items()})
    assert (found.upload_limit_bytes, found.path_limit_bytes) == (7 * MB, 9 * MB)
    assert (found.data_memory_bytes, found.data_seconds) == (800 * MB, 120)


@pytest.mark.parametrize("name", ["UPLOAD_LIMIT_MB", "PATH_LIMIT_MB", "DATA_MEMORY_MB", "DATA_MINUTES"])
@pytest.mark.parametrize("value", ["-1", "many", "1.5", "99999999999"])
def test_a_limit_that_is_no_number_is_named(name, value):
    with pytest.raises(SettingError) as caught:
        Settings.from_env({f"STUDIO_{name}": value})
    assert caught.value.where == f"STUDIO_{name}"


def test_a_path_may_be_named_only_where_the_browser_is_on_this_computer():
    here = Settings(home=Path("/tmp/x"))
    assert here.paths_allowed
    assert not replace(here, host="0.0.0.0").paths_allowed
    assert not Settings.from_env({"SPACE_ID": "ann/studio", "STUDIO_HOME": "/tmp/x"}).paths_allowed


def test_a_secret_never_prints():
    found = Settings.from_env({"TINKER_API_KEY": "tml-very-secret"})
    assert found.place == "hosted"
    assert "very-secret" not in f"{found!r} {found} {found.api_key}"
    assert found.api_key == Secret("tml-very-secret")
