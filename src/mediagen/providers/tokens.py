"""Tokens as people set them: copied with spaces around, or still the example that a file came with."""

import re

import structlog
from pydantic import SecretStr

log = structlog.get_logger(__name__)

_EXAMPLE = re.compile(
    r"your|placeholder|example|change.?me|replace.?me|[-_ ]here$|[<>{}]|\.\.\.|x{3}|\*{3}"
    r"|^(r8_?|token|api_?(token|key)|secret|todo|none|null|dummy)$",
    re.IGNORECASE,
)
_REAL = re.compile(r"([A-Za-z]+\d*_)?(?P<random>[A-Za-z0-9]{32,})")
_FEW = 8  # different characters; 32 random ones have 20 or more


def fits_a_header(value: SecretStr) -> SecretStr:
    """Return the token without spaces around it. Raises `ValueError` for what no header can carry."""
    token = value.get_secret_value().strip()
    if not re.fullmatch(r"[\x21-\x7e]*", token):
        raise ValueError("a token has no spaces and only ASCII characters; copy it again")
    return SecretStr(token)


def is_example(token: str) -> bool:
    """Tell whether it is no token but words that stand for one, such as `your_token_here` or `r8_xxxxxxxx`."""
    real = _REAL.fullmatch(token)
    if real is not None and len(set(real["random"])) > _FEW:
        return False
    return real is not None or bool(_EXAMPLE.search(token))


def is_set(value: SecretStr, setting: str) -> bool:
    """Tell whether there is a token to use; of an example a warning says that it is passed over."""
    token = value.get_secret_value()
    if token and is_example(token):
        log.warning(
            "provider.example_token",
            say=f"{setting} holds an example, not a token, so it is not used. Put your own token there.",
        )
        return False
    return bool(token)
