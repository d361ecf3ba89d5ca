"""A second S3 server, which checks signatures: rclone, serving a folder. It knows no ranges and no create-only puts."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from mediagen.storages.s3 import S3Settings
from tests.fakes.ports import free_port
from tests.fakes.s3 import answers
from tests.fakes.started import CantStart

KEY, SECRET = "anybody", "a secret of the tests"


@contextmanager
def strict_s3() -> Iterator[S3Settings]:
    """Run the server; yield the settings of a bucket that is not there yet."""
    binary = Path(sys.executable).with_name("rclone")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [binary, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not answers(process, f"http://127.0.0.1:{port}"):
                raise CantStart("rclone does not serve S3")
            yield S3Settings(
                s3_endpoint=f"http://127.0.0.1:{port}",
                s3_bucket="media-of-tests",
                s3_access_key=KEY,
                s3_secret_key=SecretStr(SECRET),
                s3_presign_s=60,
            )
        finally:
            process.terminate()
            process.wait(10)
