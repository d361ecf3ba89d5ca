"""Errors as RFC 9457 problem documents. What goes wrong inside is logged, never shown."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from mediagen.api.document import Responses
from mediagen.errors import InvalidRequest, MediagenError, Unavailable
from mediagen.telemetry import redact

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_TITLES = {
    400: "Bad request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    422: "Invalid request",
    500: "Internal error",
    503: "Unavailable",
    507: "Storage full",
}

PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {
            "type": "string",
            "description": "Address of a page about this kind of problem, or about:blank.",
        },
        "title": {"type": "string", "examples": ["Not found"]},
        "status": {"type": "integer", "examples": [404]},
        "detail": {"type": "string", "examples": ["Job not found"]},
        "code": {"type": "string", "description": "Stable, for programs.", "examples": ["not_found"]},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    fields: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """Return a problem document."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": redact(detail),
        "code": code,
    }
    if fields:
        body["errors"] = [{"field": name, "message": redact(text)} for name, text in fields.items()]
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def responses(*statuses: int) -> Responses:
    """Return the `responses=` of a route that can answer with these problems, and with 403 as all can."""
    return {
        status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
        for status in (403, *statuses)
    }


def install(app: FastAPI) -> None:
    """Make the app answer every error as a problem document."""

    @app.exception_handler(MediagenError)
    async def refused(_: Request, error: MediagenError) -> JSONResponse:
        return known(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        fields = {".".join(str(part) for part in e["loc"][1:]): str(e["msg"]) for e in error.errors()}
        listed = "; ".join(f"{name}: {text}" for name, text in fields.items())
        return problem(422, f"The request is not valid: {listed}", code="invalid_request", fields=fields)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        code = _TITLES.get(error.status_code, "error").lower().replace(" ", "_")
        headers = dict(error.headers or {})
        return problem(error.status_code, str(error.detail), code=code, headers=headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return crashed(request.url.path, error)


def known(error: MediagenError) -> JSONResponse:
    """Return the problem document of an error that was foreseen."""
    fields = error.fields if isinstance(error, InvalidRequest) else None
    headers = {"retry-after": str(RETRY_AFTER_S)} if isinstance(error, Unavailable) else None
    return problem(error.http_status, str(error), code=error.code, fields=fields, headers=headers)


def crashed(path: str, error: Exception) -> JSONResponse:
    """Log a defect of ours, and return a problem document that tells nothing of it."""
    log.error("request.crashed", path=path, exc_info=error)
    return problem(500, "Something went wrong inside mediagen; its log says what", code="internal")
