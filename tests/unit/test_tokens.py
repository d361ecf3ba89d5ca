"""What stands for a token in the files that people copy is told from a token."""

import secrets
import string

import pytest
from pydantic import SecretStr

from mediagen.providers import tokens
from mediagen.providers.tokens import is_example, is_set
from tests.fakes.logs import hear_warnings


@pytest.mark.parametrize(
    "token",
    [
        "your_replicate_api_token_here",
        "your-token",
        "r8_your_token_here",
        "r8_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "r8_XXXXXXXX",
        "r8_0000000000000000000000000000000000000",
        "r8_1234512345123451234512345123451234512",
        "r8_...",
        "r8_***",
        "<token>",
        "{REPLICATE_API_TOKEN}",
        "changeme",
        "CHANGE-ME",
        "placeholder",
        "token",
        "r8_",
        "put-it-here",
    ],
)
def test_an_example_is_no_token(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = hear_warnings(monkeypatch, tokens)
    assert is_example(token)
    assert not is_set(SecretStr(token), "REPLICATE_API_TOKEN")
    [said] = heard
    assert "REPLICATE_API_TOKEN holds an example" in said["say"]


def test_random_tokens_are_tokens() -> None:
    letters = string.ascii_letters + string.digits
    for _ in range(2_000):
        assert not is_example("r8_" + "".join(secrets.choice(letters) for _ in range(37)))


def test_a_real_token_may_hold_any_word() -> None:
    assert not is_example("r8_yourEXAMPLExxxHereChangeMe0123456789AB")


def test_a_short_token_of_a_gateway_is_a_token() -> None:
    assert not is_example("gw-73c1-internal")


def test_nothing_is_no_token_and_needs_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = hear_warnings(monkeypatch, tokens)
    assert not is_set(SecretStr(""), "REPLICATE_API_TOKEN")
    assert heard == []
