"""A job has a value for each of its fields, though it is made without its constructor."""

from dataclasses import fields

from mediagen.clock import SystemClock
from mediagen.db.tables import jobs
from mediagen.jobs.model import Job, JobRequest
from mediagen.jobs.repository import NewJob, _created

NAMES = {field.name for field in fields(Job)}


def test_the_fields_of_a_job_are_the_columns_of_its_row() -> None:
    assert set(jobs.c.keys()) == NAMES


def test_a_new_job_has_every_field() -> None:
    clock = SystemClock()
    new = NewJob(
        id=clock.new_id(),
        secret=clock.new_secret(),
        request=JobRequest(prompt="a", model="mock/darkroom", provider="mock"),
        request_hash="",
        max_attempts=4,
        expiry_ms=1000,
    )
    assert vars(_created(new, clock.now_ms())).keys() == NAMES
