"""Celery with a task that does nothing: REDIS_URL=redis://... celery -A bench.peers.noop worker"""

import os

from celery import Celery

from bench.peers import NOOP_QUEUE

app = Celery("noop", broker=os.environ.get("REDIS_URL", ""))
app.conf.task_default_queue = NOOP_QUEUE
app.conf.task_ignore_result = True


@app.task(name="noop.run")  # type: ignore[untyped-decorator]  # Celery has no types
def run(job_id: str) -> None:
    """Do nothing."""
