"""Every path can be measured, in seconds and with tiny counts; how fast it is here is nobody's business."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from bench import paths
from tests.fakes import servers
from tests.release import gate

_TINY = ("--rounds", "1", "--seconds", "0.2", "--scale", "0.01")


@pytest.mark.parametrize("name", gate(paths.NAMES, "accept", "serving", "startup"))
async def test_a_path_is_measured_beside_its_bound(name: str, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    command = (sys.executable, "-m", "bench", name, *_TINY, "--json", str(file))
    process = await asyncio.create_subprocess_exec(
        *command, "--redis-url", servers.redis_url(), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    seen = json.loads(file.read_text())
    assert seen["machine"]["cores"] >= 1
    assert seen["rows"]
    for row in seen["rows"]:
        assert row["path"]
        assert row["median"] >= 0
        assert len(row["us"]["values"]) == 1
        if row["other"]:
            assert row["ratios"]
            assert row["other"]["values"][0] > 0
        assert isinstance(row["met"], bool) == (row["goal"] is not None)


async def test_what_there_is_is_listed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    for name in paths.NAMES:
        assert paths.about(name).encode()[:40] in said


@pytest.mark.parametrize("wrong", [("--rounds", "0"), ("--seconds", "0"), ("--json", "/nowhere/at/all.json")])
async def test_what_makes_no_sense_is_refused_before_anything_is_measured(wrong: tuple[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", "accept", *wrong, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert wrong[0] in said.decode().splitlines()[-1]
