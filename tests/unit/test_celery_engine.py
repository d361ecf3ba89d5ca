"""The engine in a Celery worker's process: a process whose engine has died is of no use, and ends."""

import signal
import subprocess
import sys

_CRASH = """
import time
from mediagen.worker.celery_app import Engine

class Crashing(Engine):
    async def _work(self):
        self.started.set_result(None)
        raise RuntimeError("a defect")

Crashing().start()
time.sleep(30)
"""


def test_a_process_whose_engine_has_crashed_ends_and_says_why() -> None:
    ended = subprocess.run([sys.executable, "-c", _CRASH], capture_output=True, timeout=60, text=True)
    assert ended.returncode == -signal.SIGTERM
    assert "engine.crashed" in ended.stderr + ended.stdout
