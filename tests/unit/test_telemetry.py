"""Logs: no secret leaves the process, whatever part of an entry it stands in."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from mediagen.telemetry import redact, set_up_logging

TOKEN = "r8_Zm9vYmFyYmF6cXV4"
KEY = "sk-proj-abcdef0123456789"
HOOK = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        (f"token {TOKEN} refused", "token [secret] refused"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer [secret]"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer [secret]"),
        ("authorization: token 0123456789abcdef", "authorization: token [secret]"),
        ("Authorization: Key 0123-4567:abcdef", "Authorization: Key [secret]"),
        (f"OPENAI_API_KEY={KEY}", "OPENAI_API_KEY=[secret]"),
        (f"secret={HOOK}", "secret=[secret]"),
        ("postgresql://ann:s3cret@db/jobs", "postgresql://[secret]@db/jobs"),
        ("redis://:s3cret@cache:6379/0", "redis://[secret]@cache:6379/0"),
        ("https://s3/x?X-Amz-Signature=0123abcdef&y=1", "https://s3/x?X-Amz-Signature=[secret]&y=1"),
        ("data:image/png;base64," + "A" * 100, "data:image/png;base64,[secret]"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "a red fox in the snow",
        "https://example.com:8000/media/abc?variant=thumbnail",
        "the job 01900000-0000-7000-8000-000000000000 failed after 3 tries",
        "Bearer of good news",
        "a task-management of r8 engines",
        "data:image/png;base64,AAAA",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.fixture
def log() -> Iterator[structlog.stdlib.BoundLogger]:
    """A logger of the set-up that servers use; what was set up before is restored."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield structlog.get_logger("test")
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("secret", [TOKEN, KEY, HOOK, "ann:s3cret@"])
def test_no_part_of_an_entry_shows_a_secret(
    log: structlog.stdlib.BoundLogger, capsys: pytest.CaptureFixture[str], secret: str, as_json: bool
) -> None:
    set_up_logging(json=as_json)
    text = f"https://{secret}host/path" if secret.endswith("@") else f"it was {secret}"
    structlog.contextvars.bind_contextvars(bound=text)
    log.warning(
        "provider.failed", say=text, nested={"headers": [text, {"Authorization": text}]}, many=(text,)
    )
    log.warning(text)
    log.warning("an object", error=ValueError(text))
    logging.getLogger("other.library").error("with %s and %r", text, {"url": text})
    try:
        raise RuntimeError(text)
    except RuntimeError:
        log.exception("request.crashed")
    shown = capsys.readouterr().err
    assert shown.count("[secret]") >= 9
    assert secret not in shown


def test_machines_get_one_json_object_a_line_with_time_level_and_ids(
    log: structlog.stdlib.BoundLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(json=True)
    structlog.contextvars.bind_contextvars(job_id="job-1")
    log.info("webhook.delivered", attempt=2, say=f'"quoted" {TOKEN}\n')
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("at").endswith("Z")
    assert entry == {
        "event": "webhook.delivered",
        "level": "info",
        "job_id": "job-1",
        "attempt": 2,
        "say": '"quoted" [secret]\n',
    }


def test_details_are_logged_only_when_debugging(
    log: structlog.stdlib.BoundLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(json=True)
    log.debug("detail")
    assert capsys.readouterr().err == ""
    set_up_logging(json=True, debug=True)
    log.debug("detail")
    assert "detail" in capsys.readouterr().err
