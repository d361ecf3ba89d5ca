"""A customer of the fake Replicate, who asks it over HTTP as the product does."""

from typing import Any

import aiohttp

from tests.fakes.replicate import FakeReplicate

HEADERS = {"Authorization": "Bearer r8_fake", "Accept-Encoding": "identity"}


class Client:
    """Talks to the fake as a customer does."""

    def __init__(self, fake: FakeReplicate, session: aiohttp.ClientSession) -> None:
        self.fake = fake
        self.session = session

    async def ask(self, method: str, path: str, **options: Any) -> "tuple[int, Any, aiohttp.ClientResponse]":
        url = path if path.startswith("http") else self.fake.url + path
        async with self.session.request(method, url, **options) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else body, answer

    async def create(
        self, prompt: str = "x", *, webhook: str | None = None, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        body: dict[str, Any] = {"input": {"prompt": prompt, **more}}
        if webhook:
            body["webhook"] = webhook
        status, said, _ = await self.ask("POST", "/v1/models/a/b/predictions", json=body)
        return status, said

    async def made(self, prompt: str = "x", **more: Any) -> str:
        _, said = await self.create(prompt, **more)
        ref = str(said["id"])
        await self.fake.ended(ref)
        return ref

    async def get(self, ref: str) -> tuple[int, Any]:
        status, said, _ = await self.ask("GET", f"/v1/predictions/{ref}")
        return status, said

    async def list(self, query: str = "") -> Any:
        return (await self.ask("GET", f"/v1/predictions{query}"))[1]

    async def cancel(self, ref: str) -> tuple[int, Any]:
        status, said, _ = await self.ask("POST", f"/v1/predictions/{ref}/cancel")
        return status, said

    async def file(self, ref: str, **headers: str) -> "tuple[int, bytes, aiohttp.ClientResponse]":
        _, view = await self.get(ref)
        return await self.ask(
            "GET", view["output"][0], headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
