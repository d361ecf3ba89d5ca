"""Fixtures of the API's tests, for the tests of security too."""

from tests.api.conftest import settings as settings
