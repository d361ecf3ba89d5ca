"""A server that others can reach says so, and starts only if that is allowed."""

import pytest

from mediagen import server
from mediagen.errors import SettingsError
from mediagen.server import refuse_open_door
from mediagen.settings import Settings
from tests.fakes.logs import hear_warnings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.com"])
def test_an_open_server_starts_only_where_that_is_allowed_and_warns_then(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = hear_warnings(monkeypatch, server)
    with pytest.raises(SettingsError, match="ALLOW_UNAUTHENTICATED"):
        refuse_open_door(Settings(_env_file=None, host=host))
    assert heard == []
    refuse_open_door(Settings(_env_file=None, host=host, allow_unauthenticated=True))
    [said] = heard
    assert host in said["say"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_of_this_machine_alone_needs_no_word(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = hear_warnings(monkeypatch, server)
    refuse_open_door(Settings(_env_file=None, host=host, allow_unauthenticated=True))
    assert heard == []
