"""The web application: routers of every dialect over one runtime."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

import mediagen
from mediagen.api import files, hooks, native, ops, problems, stream, webapp
from mediagen.api.guard import Guard
from mediagen.api.hot import HotRoutes
from mediagen.api.turns import Turns
from mediagen.errors import NotFound
from mediagen.runtime import Runtime

_DESCRIPTION = "Submit a prompt, get a job id at once, follow it, get a picture that is kept."


def build_app(runtime: Runtime) -> FastAPI:
    """Return the application. The caller starts and closes the runtime."""
    prefix = runtime.settings.api_v1_prefix
    app = FastAPIOffline(
        title=runtime.settings.project_name,
        version=mediagen.__version__,
        description=_DESCRIPTION,
        openapi_url=f"{prefix}/openapi.json",
        separate_input_output_schemas=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # asked for at every request
    )
    app.state.runtime = runtime
    app.state.searches = Turns()
    problems.install(app)
    for router in (native.router, stream.router, files.router, ops.router):
        app.include_router(router, prefix=prefix)
        app.include_router(router, include_in_schema=False)
    app.include_router(hooks.router)
    pages = webapp.read_files(prefix)
    _answer_the_rest(app, prefix, pages)
    hot = HotRoutes(app.build_middleware_stack(), **native.hot_routes(prefix, ""))
    app.middleware_stack = Guard(webapp.WebApp(hot, pages), runtime.settings.hosts)
    return app


def _answer_the_rest(app: FastAPI, prefix: str, pages: Mapping[str, webapp.BuiltFile]) -> None:
    """Say so where there is nothing: with a page to a browser, but in the API, where a wrong method is a 405."""

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        inside = scope["path"].startswith(f"{prefix}/")
        page = None if inside else webapp.lost(pages, Headers(scope=scope))
        if page is None:
            raise NotFound("There is nothing at this address; /docs lists those of the API")
        await page(scope, receive, send)

    app.router.default = nothing
    app.router.redirect_slashes = False
