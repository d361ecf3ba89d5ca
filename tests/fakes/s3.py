"""A real S3 server on this machine: moto, in a process of its own, shared by the tests of one process.

Each `S3Server()` gets a bucket of its own.
"""

import atexit
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from mediagen.storages.s3 import S3Settings
from tests.fakes.ports import free_port
from tests.fakes.started import CantStart

_START_S = 30.0
_running: list[tuple[subprocess.Popen[bytes], str]] = []


class S3Server:
    """A bucket on the server."""

    def __enter__(self) -> Self:
        self.url = _server()
        self.bucket = f"bucket-{secrets.token_hex(8)}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def settings(self) -> S3Settings:
        return S3Settings(
            s3_endpoint=self.url,
            s3_region="us-east-1",
            s3_bucket=self.bucket,
            s3_access_key="test",
            s3_secret_key=SecretStr("test"),
        )

    def environment(self) -> dict[str, str]:
        return {
            "STORAGE_TYPE": "s3",
            "S3_ENDPOINT": self.url,
            "S3_BUCKET": self.bucket,
            "S3_ACCESS_KEY": "test",
            "S3_SECRET_KEY": "test",
        }


def _server() -> str:
    if not _running:
        port = free_port()
        program = "from moto.server import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        url = f"http://127.0.0.1:{port}"
        _running.append((process, url))
        atexit.register(_stop)
        if not answers(process, url):
            raise CantStart("moto does not serve S3")
    return _running[0][1]


def answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Wait until the server that the process starts answers, with an error too; False when it ends or never does."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.05)  # a server gives no other sign that it is up
        else:
            return True
    return False


def _stop() -> None:
    for process, _ in _running:
        process.terminate()
        process.wait(10)
    _running.clear()
