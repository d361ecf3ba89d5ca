"""The usual design, with the care that tutorials advise: FastAPI inserts a row and calls `.delay()`; one Celery task
posts to the provider, polls, stores the file and says so in the row.

    python -m proof.peers.usual create-tables
    python -m proof.peers.usual --port 20001
    celery -A proof.peers.usual:celery worker

It takes an `Idempotency-Key`, acknowledges late, and tries again after every error. Its settings come from
DATABASE_URL, REDIS_URL, PROVIDER_URL and FILES.
"""

import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import httpx2
from celery import Celery
from fastapi import FastAPI, Header
from pydantic import BaseModel
from sqlalchemy import ForeignKey, NullPool, Text, create_engine, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.peers.serving import serve

_VISIBLE_AGAIN_S = 60  # the default is an hour; it must be longer than any task, waits for tries included
_PATIENCE_S = 60.0  # with one prediction
_LOOK_S = 0.5
_LOOKS = 5
_ANSWER_S = 10.0


class Base(DeclarativeBase):
    pass


class Job(Base):
    """A job. `worker` is the process group that is at it, `moves` how often one took it up."""

    __tablename__ = "usual_jobs"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, unique=True)
    prompt: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text, default="pending")
    error: Mapped[str | None] = mapped_column(Text)
    worker: Mapped[int | None]
    moves: Mapped[int] = mapped_column(default=0)


class Call(Base):
    """What was bought for a job: noted when the provider has answered."""

    __tablename__ = "usual_calls"

    ref: Mapped[str] = mapped_column(Text, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey(Job.id))


_engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
)

celery = Celery("usual", broker=os.environ["REDIS_URL"])
celery.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": _VISIBLE_AGAIN_S},
)
app = FastAPI()


class Asked(BaseModel):
    """A request."""

    prompt: str


# ---------------------------------------------------------------------------------------------- the API


@app.get("/health/live")
def live() -> dict[str, str]:
    """Answer."""
    return {"status": "ok"}


@app.post("/api/v1/generate", status_code=202)
def generate(asked: Asked, idempotency_key: str = Header()) -> dict[str, Any]:
    """Insert, commit, publish, answer; a key that came before is answered with its job."""
    row = insert(Job).values(id=str(uuid.uuid4()), key=idempotency_key, prompt=asked.prompt)
    with Session(_engine) as session:
        made = session.execute(row.on_conflict_do_nothing().returning(Job.id)).scalar()
        session.commit()
        job_id = made or session.scalars(select(Job.id).where(Job.key == idempotency_key)).one()
    if made:
        run.delay(job_id)
    return {"id": job_id}


# ---------------------------------------------------------------------------------------------- the task


class FinalError(Exception):
    """The model can't make it: trying again is of no use."""


@celery.task(  # type: ignore[untyped-decorator]  # celery has no types
    bind=True,
    name="usual.run",
    autoretry_for=(Exception,),
    dont_autoretry_for=(FinalError,),
    retry_backoff=True,
    retry_backoff_max=10,
    max_retries=20,
)
def run(task: Any, job_id: str) -> None:
    """Post, poll, store."""
    job = _take(job_id)
    if job.status in ("completed", "failed"):
        return
    try:
        with httpx2.Client(timeout=_ANSWER_S, headers={"Authorization": "Bearer r8_fake"}) as client:
            _store(client, job_id, _result(client, job))
    except FinalError as error:
        _end(job_id, status="failed", error=str(error))
    except Exception as error:
        if task.request.retries >= task.max_retries:
            _end(job_id, status="failed", error=str(error))
        raise


def _take(job_id: str) -> Job:
    with Session(_engine, expire_on_commit=False) as session:
        job = session.get_one(Job, job_id, with_for_update=True)
        job.worker, job.moves = os.getpgrp(), job.moves + 1
        if job.status == "pending":
            job.status = "processing"
        session.commit()
        return job


def _result(client: httpx2.Client, job: Job) -> str:
    """Buy a prediction and wait for its end; return the link to its file."""
    address = f"{os.environ['PROVIDER_URL']}/v1/models/acme/painter/predictions"
    answer = client.post(address, json={"input": {"prompt": job.prompt}})
    prediction = answer.raise_for_status().json()
    with Session(_engine) as session:
        session.add(Call(ref=prediction["id"], job_id=job.id))
        session.commit()
    deadline = time.monotonic() + _PATIENCE_S
    while prediction["status"] not in ("succeeded", "failed", "canceled"):
        if time.monotonic() > deadline:
            raise TimeoutError("the provider takes too long")
        time.sleep(_LOOK_S)
        prediction = _read(client, prediction["urls"]["get"]).json()
    if prediction["status"] != "succeeded":
        kind = RuntimeError if "retry" in str(prediction["error"]) else FinalError
        raise kind(prediction["error"])
    return str(prediction["output"][0])


def _read(client: httpx2.Client, address: str) -> httpx2.Response:
    """Get what costs nothing, with some patience: a failure would buy again."""
    for _ in range(_LOOKS):
        try:
            answer = client.get(address).raise_for_status()
        except httpx2.HTTPError:
            answer = None
        if answer is not None and answer.content:
            return answer
        time.sleep(_LOOK_S)
    raise RuntimeError(f"{address} does not answer")


def _store(client: httpx2.Client, job_id: str, link: str) -> None:
    folder = Path(os.environ["FILES"])
    draft = folder / f"{job_id}.{uuid.uuid4()}"
    draft.write_bytes(_read(client, link).content)
    draft.replace(folder / job_id)
    _end(job_id, status="completed")


def _end(job_id: str, **values: str) -> None:
    with Session(_engine) as session:
        session.execute(update(Job).where(Job.id == job_id).values(**values))
        session.commit()


if __name__ == "__main__":
    if sys.argv[1:] == ["create-tables"]:
        Base.metadata.create_all(_engine)
    else:
        serve(app)
