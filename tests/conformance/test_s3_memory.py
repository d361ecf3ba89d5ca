"""A file far larger than a part goes up to the bucket in bounded memory. (Reading: `test_storages.py`, in pieces.)"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.fakes import kept
from tests.fakes.s3 import S3Server

SIZE_MIB = 128
GROWTH_MIB = 80  # measured 48: five parts of 8 MB on their way, and what allocators keep

CARRY = """
import asyncio, re, sys
from pathlib import Path
from mediagen.settings import load
from mediagen.storages.s3 import S3Settings, S3Storage

def peak_mib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

async def main():
    storage = S3Storage(load(S3Settings), Path("incoming"))
    await storage.start()
    await storage.check()
    file = storage.temp_dir / "large"
    with file.open("wb") as stream:
        stream.truncate(int(sys.argv[1]) * 1024**2)
    before = peak_mib()
    await storage.put("large.bin", file)
    growth = peak_mib() - before
    print((await storage.stat("large.bin")).size_bytes, growth)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process' memory is read as Linux tells it")
async def test_a_large_file_is_stored_in_bounded_memory(tmp_path: Path) -> None:
    with S3Server() as server:
        env = {"PATH": os.environ["PATH"], **kept.mark(), **server.environment()}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CARRY, str(SIZE_MIB)),
            cwd=tmp_path,
            env=env,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    size, growth_mib = out.split()
    assert int(size) == SIZE_MIB * 1024**2
    assert float(growth_mib) < GROWTH_MIB
