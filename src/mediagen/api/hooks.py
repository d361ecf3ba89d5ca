"""Where providers call back: an address that only they know, naming the call.

A callback is no fact but its sender's id. What the body says of the outcome is never believed: it only makes the job
due, and the worker asks the provider. That a call which is known already has begun is no news, and costs nothing.
"""

import hmac
import re

from fastapi import APIRouter, Request, Response

from mediagen.api.deps import runtime_of
from mediagen.api.wire import read_json
from mediagen.db.engine import Connection
from mediagen.errors import InvalidRequest, NotFound
from mediagen.jobs import calls, repository, wishes
from mediagen.providers.markers import Marker, marker_in
from mediagen.runtime import hook_token

router = APIRouter(include_in_schema=False)

_BEGUN = ("starting", "processing")
_REF = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_UNKNOWN = "No such hook"


@router.post("/hooks/{provider}/{token}/{marker}")
async def callback(request: Request, provider: str, token: str, marker: str) -> Response:
    """Note that the provider took the call and make its job due."""
    runtime = runtime_of(request)
    named = marker_in(f"https://host/hooks/{provider}/{token}/{marker}")
    call_id = marker if named is None else named.call
    if not hmac.compare_digest(hook_token(runtime.secrets.hook, call_id).encode(), token.encode()):
        raise NotFound(_UNKNOWN)
    body = await read_json(request, runtime.settings.max_body_bytes)
    ref = body.get("id") if isinstance(body, dict) else None
    if not isinstance(ref, str) or not _REF.fullmatch(ref):
        raise InvalidRequest("The body names no prediction", {"id": "missing"})

    def note(connection: Connection) -> str | None:
        found = calls.get(connection, call_id)
        if found is None:
            return _of_a_lost_call(connection, runtime.installation, provider, named, ref)
        if found.provider != provider:
            return None
        if found.provider_ref == ref and body.get("status") in _BEGUN:
            return None
        late = calls.accept(connection, call_id, ref) is calls.Acceptance.LATE
        wishes.ring(connection, found.job_id, came_late=late)
        return found.job_id

    job_id = await runtime.db.transact(note)
    if job_id is not None:
        runtime.broker.ring(job_id)
    return Response(status_code=204)


def _of_a_lost_call(
    connection: Connection, installation: str, provider: str, marker: Marker | None, ref: str
) -> str | None:
    """Write down a call that this copy of the database does not know of, for a job that it knows."""
    if marker is None or marker.installation != installation:
        return None
    job = repository.get(connection, marker.job)
    if job is None or job.finished or job.provider != provider:
        return None
    calls.recover(connection, job, marker.call, ref)
    wishes.ring(connection, job.id, came_late=True)
    return job.id
