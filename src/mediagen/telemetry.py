"""Logs: a sentence for people on a terminal, JSON for machines elsewhere; never a secret.

Event names, all of them: server.started server.stopping worker.started worker.draining
worker.crashed worker.database_unavailable step.lease_lost step.cut_off step.failed step.crashed
chore.failed chore.crashed webhook.delivered webhook.pending webhook.dead provider.mock_mode request.crashed
leases.freed broker.unreachable start.waiting
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

_SECRETS = re.compile(
    r"r8_[A-Za-z0-9]{8,}"  # provider tokens
    r"|\bsk-[A-Za-z0-9_-]{8,}"
    r"|whsec_[A-Za-z0-9+/=]{8,}"
    r"|(?i:(?<=bearer )|(?<=token )|(?<=key ))[A-Za-z0-9._~+/=:-]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user and password in a URL
    r"|(?<=X-Amz-Signature=)[0-9a-fA-F]+"
    r"|(?<=;base64,)[A-Za-z0-9+/=]{64,}"
)


def redact(text: str) -> str:
    """Return the text with what looks like a secret taken out."""
    return _SECRETS.sub("[secret]", text)


def set_up_logging(*, debug: bool = False, json: bool | None = None) -> None:
    """Send structlog's and the standard library's logs to stderr, redacted. `json` None: unless on a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
    ]
    last = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(sort_keys=False)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_plain, last, _redacted])
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    for noisy in ("aiohttp", "asyncio", "alembic", "PIL", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _plain(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _name, event)


def _redacted(_logger: Any, _name: str, line: Any) -> str:
    """Redact the finished line: secrets may stand in any part of an entry, lists and errors among them."""
    return redact(str(line))
