"""The two designs that chaos is run against: how their processes start, and how their jobs are looked at."""

import asyncio
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, create_engine, text

from proof.audited import wrong_in
from proof.kill_world import SETTINGS, outside
from tests.fakes.replicate_data import draw
from tests.fakes.s3 import S3Server

if TYPE_CHECKING:
    from proof.chaos.world import Run, Servers

Json = dict[str, Any]
Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class End:
    """What became of one job. `status` is pending, processing, completed, failed or canceled."""

    id: str
    prompt: str
    status: str
    error: str
    has_picture: bool  # one file, with exactly the bytes that the provider drew for it


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The provider's list beside the ledger."""

    left: int  # sold, unknown to the ledger, and not bought by others
    unknown: int  # in the ledger, and not sold; or still undecided
    said: str


class Design(ABC):
    """One way to build the same service. Both take the same requests at the same paths."""

    name: str
    held: str
    """SQL: id and number of takings of each unfinished job that the worker process :pid is at."""
    taken: str
    """SQL: those of the jobs :ids that were taken up again since, or have ended: id, number, whether it ended."""
    unfinished: str
    """SQL: the count of jobs that have not ended."""

    @abstractmethod
    async def prepare(self, stack: AsyncExitStack, servers: "Servers", urls: Sequence[str]) -> dict[str, str]:
        """Make ready what all processes share, and return their environment."""

    @abstractmethod
    def api(self, url: str) -> list[str]:
        """Return the command of an API process that answers there."""

    @abstractmethod
    def worker(self, number: int) -> list[str]:
        """Return the command of a worker."""

    @abstractmethod
    async def ends(self, run: "Run") -> list[End]:
        """Return all jobs."""

    @abstractmethod
    async def audit(self, run: "Run", book: Json) -> Audit:
        """Compare what was sold with what is known of it. `book` is the provider's: `sold`, and `others`."""

    def ask(self, servers: "Servers", query: str, values: Mapping[str, object] | None = None) -> Rows:
        """Return what the database answers. Raises SQLAlchemy's `OperationalError` while it is away."""
        engine = create_engine(_sqlalchemy(servers.postgres.url), poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values or {})]


class Ours(Design):
    """mediagen: `serve --no-worker`, and Celery workers that host the engine."""

    name = "mediagen"
    held = "SELECT id, lease_epoch FROM jobs WHERE split_part(lease_owner, ':', 2) = :pid"
    taken = "SELECT id, lease_epoch, finished_at IS NOT NULL FROM jobs WHERE id = ANY(:ids)"
    unfinished = "SELECT count(*) FROM jobs WHERE finished_at IS NULL"

    async def prepare(self, stack: AsyncExitStack, servers: "Servers", urls: Sequence[str]) -> dict[str, str]:
        s3 = await asyncio.to_thread(stack.enter_context, S3Server())
        return {
            **SETTINGS,
            "DATA_DIR": str(servers.folder / "data"),
            "START_WAIT_S": "30",  # the storage was started a moment ago, and the machine may be busy
            "DATABASE_URL": servers.postgres.url,
            "REDIS_URL": servers.redis.url,
            "PUBLIC_URL": urls[0],
            **s3.environment(),
            "REPLICATE_API_TOKEN": "r8_fake",
            "REPLICATE_API_BASE_URL": servers.provider_url,
            "REPLICATE_DEFAULT_MODEL": "acme/painter",
        }

    def api(self, url: str) -> list[str]:
        port = url.rpartition(":")[2]
        return [sys.executable, "-m", "mediagen", "serve", "--no-worker", "--port", port]

    def worker(self, number: int) -> list[str]:
        return [*_celery("mediagen.worker.celery_app"), "worker", "-n", f"{number}@%h", "-l", "WARNING"]

    async def ends(self, run: "Run") -> list[End]:
        found: list[End] = []
        path = "/api/v1/jobs?limit=100"
        while True:
            page = await _get(run, path)
            found += [await self._end(run, job) for job in page["items"]]
            if page["next_cursor"] is None:
                return found
            path = f"/api/v1/jobs?limit=100&cursor={page['next_cursor']}"

    async def _end(self, run: "Run", job: Json) -> End:
        return End(
            id=job["id"],
            prompt=job["prompt"],
            status=job["status"],
            error=job["error"]["code"] if job["error"] else "",
            has_picture=await self._has_picture(run, job),
        )

    async def _has_picture(self, run: "Run", job: Json) -> bool:
        if len(job["artifacts"]) != 1:
            return False
        async with run.session.get(run.urls[0] + job["artifacts"][0]["path"]) as answer:
            data = await answer.read()
        return answer.status == 200 and data == draw({"prompt": job["prompt"]})

    async def audit(self, run: "Run", book: Json) -> Audit:
        """Run `mediagen audit` as an operator would."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mediagen", "audit", "--since", "7d", "--json"),
            cwd=run.servers.folder,
            env=dict(run.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        try:
            [found] = json.loads(out)
        except ValueError as error:
            raise RuntimeError(f"mediagen audit: {err.decode(errors='replace')}") from error
        wrong = wrong_in({"exit_code": process.returncode, **found}, book["others"])
        return Audit(
            left=sum(orphan["ref"] not in book["others"] for orphan in found["orphans"]),
            unknown=len(found["missing"]) + len(found["undecided"]),
            said="; ".join(wrong)[:500],
        )


class Usual(Design):
    """The usual design: `proof/peers/usual.py`."""

    name = "the usual design"
    held = "SELECT id, moves FROM usual_jobs WHERE worker = cast(:pid AS integer) AND status = 'processing'"
    taken = "SELECT id, moves, status IN ('completed', 'failed') FROM usual_jobs WHERE id = ANY(:ids)"
    unfinished = "SELECT count(*) FROM usual_jobs WHERE status NOT IN ('completed', 'failed')"

    async def prepare(self, stack: AsyncExitStack, servers: "Servers", urls: Sequence[str]) -> dict[str, str]:
        files = servers.folder / "files"
        files.mkdir()
        environment = {
            "DATABASE_URL": servers.postgres.url,
            "REDIS_URL": servers.redis.url,
            "PROVIDER_URL": servers.provider_url,
            "FILES": str(files),
        }
        making = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proof.peers.usual", "create-tables"),
            cwd=servers.folder,
            env={**outside(), **environment},
        )
        if await making.wait():
            raise RuntimeError("the tables of the usual design were not made")
        return environment

    def api(self, url: str) -> list[str]:
        return [sys.executable, "-m", "proof.peers.usual", "--port", url.rpartition(":")[2]]

    def worker(self, number: int) -> list[str]:
        options = ["-n", f"{number}@%h", "-l", "WARNING", "-c", "16"]
        return [*_celery("proof.peers.usual:celery"), "worker", *options]

    async def ends(self, run: "Run") -> list[End]:
        rows = self.ask(run.servers, "SELECT id, prompt, status, coalesce(error, '') FROM usual_jobs")
        files = run.servers.folder / "files"
        return [
            End(
                id=job_id,
                prompt=prompt,
                status=status,
                error=error,
                has_picture=(files / job_id).exists()
                and (files / job_id).read_bytes() == draw({"prompt": prompt}),
            )
            for job_id, prompt, status, error in rows
        ]

    async def audit(self, run: "Run", book: Json) -> Audit:
        known = {ref for (ref,) in self.ask(run.servers, "SELECT ref FROM usual_calls")}
        refs = {each["ref"] for each in book["sold"]}
        return Audit(left=len(refs - known), unknown=len(known - refs), said="")


DESIGNS: tuple[Design, ...] = (Ours(), Usual())


def _celery(app: str) -> list[str]:
    return [sys.executable, "-m", "celery", "-A", app]


def _sqlalchemy(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


async def _get(run: "Run", path: str) -> Json:
    async with run.session.get(run.urls[0] + path) as answer:
        answer.raise_for_status()
        page: Json = await answer.json()
        return page
