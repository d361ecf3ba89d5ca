"""All SQL on artifacts and on the trash. Plain functions over a `Connection`."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from mediagen.artifacts.model import Artifact, ThumbnailState
from mediagen.db import dialect
from mediagen.db.engine import Connection, now_ms
from mediagen.db.prepared import Prepared, Row
from mediagen.db.tables import artifacts, trash

_INSERT = Prepared(insert(artifacts))
_OUTPUT = Prepared(
    select(artifacts).where(artifacts.c.job_id == bindparam("job_id"), artifacts.c.idx == bindparam("idx"))
)


def record(connection: Connection, artifact: Artifact) -> Artifact:
    """Insert the row of a stored file; return the row that was there already when the step runs again."""
    dialect.in_turn(connection, [f"{artifact.job_id}/{artifact.idx}"])
    found = _OUTPUT.row(connection, {"job_id": artifact.job_id, "idx": artifact.idx})
    if found is not None:
        return _artifact(found)
    values = _values(artifact) | {"created_at": now_ms(connection)}
    _INSERT.insert(connection, [values])
    return _artifact_of(values)


def get(connection: Connection, key: str) -> Artifact | None:
    """Return an artifact by its key."""
    row = connection.execute(select(artifacts).where(artifacts.c.key == key)).one_or_none()
    return None if row is None else _artifact(row)


def of_jobs(connection: Connection, job_ids: Sequence[str]) -> dict[str, list[Artifact]]:
    """Return the artifacts of jobs by job id, in the order of the outputs."""
    query = select(artifacts).where(artifacts.c.job_id.in_(job_ids)).order_by(artifacts.c.idx)
    found: dict[str, list[Artifact]] = {}
    for row in connection.execute(query):
        found.setdefault(row.job_id, []).append(_artifact(row))
    return found


def without_thumbnail(connection: Connection, limit: int) -> list[Artifact]:
    """Return artifacts whose thumbnail is still to be made, oldest first."""
    query = (
        select(artifacts)
        .where(artifacts.c.thumbnail == ThumbnailState.PENDING.value)
        .order_by(artifacts.c.created_at)
        .limit(limit)
    )
    return [_artifact(row) for row in connection.execute(query)]


def set_thumbnail(connection: Connection, key: str, state: ThumbnailState, placeholder: str | None) -> None:
    """Note that the thumbnail is there, or that there will be none."""
    connection.execute(
        update(artifacts).where(artifacts.c.key == key).values(thumbnail=state.value, placeholder=placeholder)
    )


def bytes_kept(connection: Connection) -> int:
    """Return the size of all artifacts in bytes."""
    return int(connection.execute(select(func.coalesce(func.sum(artifacts.c.size_bytes), 0))).scalar_one())


def trashed(connection: Connection, limit: int) -> list[str]:
    """Return keys of artifacts whose rows are gone and whose files are still to be removed."""
    return list(connection.execute(select(trash.c.key).limit(limit)).scalars())


def empty_trash(connection: Connection, keys: Sequence[str]) -> None:
    """Forget keys whose files are removed."""
    connection.execute(delete(trash).where(trash.c.key.in_(keys)))


def _values(artifact: Artifact) -> dict[str, Any]:
    return {column.name: getattr(artifact, column.name) for column in artifacts.c}


def _artifact(row: Row) -> Artifact:
    return _artifact_of(row._asdict())


def _artifact_of(values: Mapping[str, Any]) -> Artifact:
    return Artifact(**{**values, "thumbnail": ThumbnailState(values["thumbnail"])})
