"""Fixtures of the API's tests, for the tests of security too."""

import pytest

from tests.api.conftest import settings as settings


@pytest.fixture
def database_url() -> str:
    """SQLite alone: what is tested here ends before any database, or begins behind it."""
    return ""
