"""A server that others can reach says so, and starts only if that is allowed."""

import pytest
from structlog.testing import capture_logs

from mediagen.errors import SettingsError
from mediagen.server import refuse_open_door
from mediagen.settings import Settings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "example.com"])
def test_an_open_server_starts_only_where_that_is_allowed_and_warns_then(host: str) -> None:
    with pytest.raises(SettingsError, match="ALLOW_UNAUTHENTICATED"):
        refuse_open_door(Settings(_env_file=None, host=host))
    with capture_logs() as logs:
        refuse_open_door(Settings(_env_file=None, host=host, allow_unauthenticated=True))
    [said] = logs
    assert (said["log_level"], host in said["say"]) == ("warning", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_server_of_this_machine_alone_needs_no_word(host: str) -> None:
    with capture_logs() as logs:
        refuse_open_door(Settings(_env_file=None, host=host, allow_unauthenticated=True))
    assert logs == []
