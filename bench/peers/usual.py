"""The usual design, as tutorials show it: one ORM transaction a request, then a Celery publish in the event loop.

    DATABASE_URL=sqlite+aiosqlite:///jobs.db [REDIS_URL=redis://...] python -m bench.peers.usual --port 20001

On SQLite it is set to be as durable as we are (WAL, `synchronous=FULL`).
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, DateTime, Text, event
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.peers import USUAL_QUEUE
from bench.peers.serving import serve
from mediagen.api.schemas import GenerateRequest


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Job(Base):
    __tablename__ = "usual_jobs"

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: str(uuid.uuid4()))
    status: Mapped[str] = mapped_column(Text, default="pending", index=True)
    prompt: Mapped[str] = mapped_column(Text)
    model: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    webhook_url: Mapped[str | None] = mapped_column(Text)
    retry_count: Mapped[int] = mapped_column(default=0)
    result_url: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=lambda: datetime.now(UTC), index=True
    )
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))


class JobOut(BaseModel):
    """A job as clients see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    status: str
    prompt: str
    model: str | None
    parameters: dict[str, Any]
    webhook_url: str | None
    retry_count: int
    result_url: str | None
    error_message: str | None
    created_at: datetime
    updated_at: datetime


_URL = os.environ["DATABASE_URL"]
_engine = create_async_engine(_URL) if _URL.startswith("sqlite") else create_async_engine(_URL, pool_size=16)
_sessions = async_sessionmaker(_engine, expire_on_commit=False)
_redis = os.environ.get("REDIS_URL")
_celery = Celery("usual", broker=_redis) if _redis else None


@event.listens_for(_engine.sync_engine, "connect")
def _durable(connection: Any, _record: object) -> None:
    if _URL.startswith("sqlite"):
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with _engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await _engine.dispose()


app = FastAPI(lifespan=_lifespan)


@app.post("/api/v1/generate", status_code=202, response_model=JobOut)
async def generate(asked: GenerateRequest) -> Job:
    """Insert, commit, refresh, publish, answer."""
    async with _sessions() as session:
        job = Job(
            prompt=asked.prompt,
            model=asked.model,
            parameters=asked.parameters,
            webhook_url=asked.webhook_url,
        )
        session.add(job)
        await session.commit()
        await session.refresh(job)
    if _celery is not None:
        _celery.send_task("usual.run", args=[job.id], queue=USUAL_QUEUE, ignore_result=True)
    return job


@app.get("/api/v1/status/{job_id}", response_model=JobOut)
async def status(job_id: str) -> Job:
    """Read one row."""
    async with _sessions() as session:
        job = await session.get(Job, job_id)
    if job is None:
        raise HTTPException(404)
    return job


if __name__ == "__main__":
    serve(app)
