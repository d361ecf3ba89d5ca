"""Thousands of finished jobs, made from a few real ones: their rows copied, their files linked."""

import os
import secrets
import sqlite3
import string
import uuid
from pathlib import Path

_LETTERS = string.ascii_lowercase + "234567"
_EVERY_MS = 60_000


def multiply(data_dir: Path, total: int) -> None:
    """Add copies of the finished jobs of an installation, each a minute older than the one before."""
    db = sqlite3.connect(data_dir / "mediagen.db", isolation_level=None)
    db.row_factory = sqlite3.Row
    jobs = db.execute("SELECT * FROM jobs WHERE state = 'succeeded'").fetchall()
    db.execute("BEGIN IMMEDIATE")
    for number in range(total - len(jobs)):
        _copy(db, data_dir / "artifacts", jobs[number % len(jobs)], number)
    db.execute("COMMIT")
    db.close()


def _copy(db: sqlite3.Connection, folder: Path, job: sqlite3.Row, number: int) -> None:
    earlier = (number + 1) * _EVERY_MS
    times = {name: job[name] - earlier for name in ("created_at", "started_at", "updated_at", "finished_at")}
    at = times["created_at"]
    job_id = str(uuid.UUID(int=(at << 80) | (0x7 << 76) | (0b10 << 62) | secrets.randbits(62)))
    _insert(db, "jobs", {**dict(job), **times, "id": job_id, "prompt": f"{job['prompt']} {number}"})
    for artifact in db.execute("SELECT * FROM artifacts WHERE job_id = ?", (job["id"],)).fetchall():
        old = Path(artifact["key"])
        new = Path("".join(secrets.choice(_LETTERS) for _ in range(26)) + old.suffix)
        _link(folder, old, new)
        _link(folder / "thumbs", old.with_suffix(".webp"), new.with_suffix(".webp"))
        _insert(db, "artifacts", {**dict(artifact), "key": str(new), "job_id": job_id, "created_at": at})


def _link(folder: Path, old: Path, new: Path) -> None:
    target = folder / new.name[:2] / new
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(folder / old.name[:2] / old, target)


def _insert(db: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    names = ", ".join(row)
    places = ", ".join("?" for _ in row)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(row.values()))
