"""The routes that clients call most, in front of FastAPI's layers, which cost several times what these do.

Each has a documented twin in its router, which describes it and answers whatever is odd: other methods, other
spellings of the path.
"""

from collections.abc import Awaitable, Callable, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mediagen.api.problems import crashed, known
from mediagen.errors import MediagenError

Endpoint = Callable[[Request], Awaitable[Response]]
ItemEndpoint = Callable[[Request, str], Awaitable[Response]]


class HotRoutes:
    """ASGI middleware that answers some requests itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        posts: Mapping[str, Endpoint],
        items: Mapping[str, ItemEndpoint],
    ) -> None:
        """`posts` are POST routes by path, `items` GET routes by what stands before the last part of the path."""
        self._app = app
        self._posts = posts
        self._items = items

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope, receive)
        if answer is None:
            await self._app(scope, receive, send)
            return
        try:
            response = await answer
        except MediagenError as error:
            response = known(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets an answer
            response = crashed(scope["path"], error)
        await response(scope, receive, send)

    def _answer(self, scope: Scope, receive: Receive) -> Awaitable[Response] | None:
        method = scope.get("method")
        if method == "POST" and (endpoint := self._posts.get(scope["path"])):
            return endpoint(Request(scope, receive))
        if method == "GET":
            base, _, last = scope["path"].rpartition("/")
            if item := self._items.get(base):
                return item(Request(scope, receive), last)
        return None
