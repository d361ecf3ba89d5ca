"""The short form of `python -m proof.fuzz`, and that it sees what it looks for."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from proof.fuzz import Fuzz, fuzz, summary
from tests.fakes.rawhttp import app_server

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "x", "version": "1"},
    "paths": {
        "/number/{job_id}": {
            "get": {
                "parameters": [
                    {"in": "path", "name": "job_id", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {
                    "200": {
                        "description": "",
                        "content": {"application/json": {"schema": {"type": "object", "required": ["n"]}}},
                    }
                },
            }
        }
    },
}


async def test_the_api_answers_as_its_document_says(tmp_path: Path) -> None:
    lines, wrong = await fuzz(80, 7, tmp_path)
    result = summary(lines, wrong)
    assert result["violations"] == []
    assert result["operations"] >= 15
    assert result["cases"] >= 75


async def lies_of(answer: web.Response) -> list[str]:
    """Fuzz a server that gives this answer whatever its document says; return what was found."""

    async def serve(request: web.Request) -> web.Response:
        if request.path.endswith("/openapi.json"):
            return web.json_response(DOCUMENT)
        return web.Response(
            body=answer.body, status=answer.status, headers={"content-type": answer.content_type}
        )

    async with app_server(serve) as url:
        run = await asyncio.to_thread(Fuzz, url, {"GET": {"job_id": ["1"]}}, 1)
        try:
            lines = await asyncio.to_thread(run.run, 5, lambda _done, _total: None)
        finally:
            run.close()
    return [what for line in lines for what in line.violations]


async def test_a_server_that_keeps_to_its_document_is_not_blamed() -> None:
    assert await lies_of(web.json_response({"n": 1})) == []


async def test_an_error_of_the_server_is_seen() -> None:
    assert any("Server error" in what for what in await lies_of(web.json_response({}, status=500)))


async def test_an_answer_that_the_document_does_not_name_is_seen() -> None:
    assert any(
        "Undocumented status code" in what for what in await lies_of(web.json_response({}, status=201))
    )
    assert any("Undocumented Content-Type" in what for what in await lies_of(web.Response(text="{}")))
    assert any("violates schema" in what for what in await lies_of(web.json_response({"m": 1})))
