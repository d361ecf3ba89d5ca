"""The processes behind the thumbnails: when they start, what they may do, and how they end."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediagen.artifacts.thumbnails import CHILD, Thumbnailer
from mediagen.errors import InvalidMedia, StorageFull, Unavailable

RECORDING = """
import os, runpy, sys
with open(sys.argv.pop(1), "a") as log:
    log.write(f"{os.getpid()}\\n")
runpy.run_module("mediagen.artifacts.thumbnail_child", run_name="__main__")
"""


class Recorded:
    """Thumbnailers whose processes write down their ids."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.made: list[Thumbnailer] = []

    def thumbnailer(self, **options: Any) -> Thumbnailer:
        command = (sys.executable, "-I", "-c", RECORDING, str(self.log))
        self.made.append(Thumbnailer(command=command, **options))
        return self.made[-1]

    @property
    def pids(self) -> list[int]:
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []

    @property
    def running(self) -> list[bool]:
        return [runs(pid) for pid in self.pids]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[Recorded]:
    recorded = Recorded(tmp_path / "pids")
    yield recorded
    for thumbnailer in recorded.made:
        await thumbnailer.close()
    assert not any(recorded.running)


def picture(folder: Path, size: tuple[int, int] = (100, 50)) -> Path:
    path = folder / f"{size}.png"
    Image.new("RGB", size).save(path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return picture(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "thumbnail.webp"


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """Return an image that never comes: whoever opens it waits."""
    path = tmp_path / "hanging"
    os.mkfifo(path)
    return path


@asynccontextmanager
async def at_work_on(hanging: Path) -> AsyncIterator[None]:
    """Wait until a process has opened the image, and leave it waiting for the bytes."""
    fd = await asyncio.to_thread(os.open, hanging, os.O_WRONLY)
    try:
        yield
    finally:
        os.close(fd)


# --- how many there are


async def test_no_process_runs_before_the_first_image(recorded: Recorded) -> None:
    await recorded.thumbnailer().close()
    assert recorded.pids == []


async def test_one_process_draws_many_images(recorded: Recorded, source: Path, tmp_path: Path) -> None:
    thumbnailer = recorded.thumbnailer()
    await asyncio.gather(*(thumbnailer.make(source, tmp_path / f"{n}.webp") for n in range(5)))
    assert recorded.running == [True]


async def test_a_refused_file_does_not_cost_a_process(
    recorded: Recorded, source: Path, target: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.png").write_text("<html>")
    thumbnailer = recorded.thumbnailer()
    with pytest.raises(InvalidMedia):
        await thumbnailer.make(tmp_path / "page.png", target)
    await thumbnailer.make(source, target)
    assert recorded.running == [True]


async def test_no_more_processes_run_than_asked_for(recorded: Recorded, source: Path, tmp_path: Path) -> None:
    thumbnailer = recorded.thumbnailer(children=2)
    await asyncio.gather(*(thumbnailer.make(source, tmp_path / f"{n}.webp") for n in range(6)))
    assert recorded.running == [True, True]


async def test_a_process_is_replaced_after_its_share_of_images(
    recorded: Recorded, source: Path, target: Path
) -> None:
    thumbnailer = recorded.thumbnailer(images_per_child=2)
    for _ in range(5):
        await thumbnailer.make(source, target)
    assert recorded.running == [False, False, True]


# --- when one fails


async def test_an_image_that_takes_too_long_is_given_up_with_its_process(
    recorded: Recorded, hanging: Path, target: Path
) -> None:
    with pytest.raises(InvalidMedia, match="too much time"):
        await recorded.thumbnailer(job_timeout_s=0.2).make(hanging, target)
    assert recorded.running == [False]


async def test_the_next_image_gets_a_new_process(
    recorded: Recorded, hanging: Path, source: Path, target: Path
) -> None:
    thumbnailer = recorded.thumbnailer(job_timeout_s=2.0)
    with pytest.raises(InvalidMedia):
        await thumbnailer.make(hanging, target)
    await thumbnailer.make(source, target)
    assert recorded.running == [False, True]


async def test_an_image_that_kills_a_new_process_is_invalid(
    recorded: Recorded, hanging: Path, target: Path
) -> None:
    making = asyncio.create_task(recorded.thumbnailer().make(hanging, target))
    async with at_work_on(hanging):
        os.kill(recorded.pids[0], 9)
        with pytest.raises(InvalidMedia):
            await making


async def test_an_image_is_not_blamed_for_a_process_that_had_died(
    recorded: Recorded, source: Path, target: Path
) -> None:
    thumbnailer = recorded.thumbnailer()
    await thumbnailer.make(source, target)
    os.kill(recorded.pids[0], 9)
    assert await thumbnailer.make(source, target)
    assert recorded.running == [False, True]


async def test_a_canceled_image_does_not_answer_for_the_next(
    recorded: Recorded, hanging: Path, source: Path, target: Path
) -> None:
    thumbnailer = recorded.thumbnailer()
    making = asyncio.create_task(thumbnailer.make(hanging, target))
    async with at_work_on(hanging):
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
    assert (await thumbnailer.make(source, target)).width == 100
    assert recorded.running == [False, True]


READY = r"""print('{"ready": true}', flush=True); input(); WEBP = "RIFF\x1a\0\0\0WEBPVP8L" + "\0" * 18; """


@pytest.mark.parametrize(
    "lie",
    [
        "print('[1, 2]')",
        "print('[' * 50_000)",
        "print('x' * 1_000_000)",
        'print(\'{"width": 641, "height": 1, "thumbnail": 34, "placeholder": 34}\'); print(WEBP * 2)',
        'print(\'{"width": 10, "height": 10, "thumbnail": 99999999999, "placeholder": 1}\')',
        'print(\'{"width": 10, "height": "10", "thumbnail": 10, "placeholder": 10}\')',
        'print(\'{"width": 10, "height": 10, "thumbnail": 100, "placeholder": 10}\'); print("cut")',
        'print(\'{"width": 10, "height": 10, "thumbnail": 20, "placeholder": 20}\'); print("<script>" * 9)',
    ],
)
async def test_what_a_captured_process_answers_is_not_believed(source: Path, target: Path, lie: str) -> None:
    thumbnailer = Thumbnailer(command=(sys.executable, "-I", "-c", READY + lie))
    with pytest.raises(InvalidMedia):
        await thumbnailer.make(source, target)
    await thumbnailer.close()
    assert target not in target.parent.iterdir()


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('hello')", "print('{}')"])
async def test_a_process_that_does_not_start_is_no_fault_of_the_image(
    source: Path, target: Path, program: str
) -> None:
    thumbnailer = Thumbnailer(command=(sys.executable, "-I", "-c", program))
    with pytest.raises(Unavailable, match="does not start"):
        await thumbnailer.make(source, target)


async def test_a_program_that_is_not_there_is_no_fault_of_the_image(source: Path, target: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        await Thumbnailer(command=("/nowhere/python",)).make(source, target)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full on this system")
async def test_a_full_disk_is_no_fault_of_the_image(recorded: Recorded, source: Path) -> None:
    with pytest.raises(StorageFull):
        await recorded.thumbnailer().make(source, Path("/dev/full"))


async def test_a_target_that_can_not_be_written_is_no_fault_of_the_image(
    recorded: Recorded, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        await recorded.thumbnailer().make(source, tmp_path / "nowhere" / "t.webp")


# --- how they end


async def test_closing_ends_the_processes(recorded: Recorded, source: Path, target: Path) -> None:
    thumbnailer = recorded.thumbnailer()
    await thumbnailer.make(source, target)
    await thumbnailer.close()
    await thumbnailer.close()
    assert recorded.running == [False]


async def test_an_image_under_way_when_closing_is_not_called_invalid(
    recorded: Recorded, hanging: Path, target: Path
) -> None:
    thumbnailer = recorded.thumbnailer()
    making = asyncio.create_task(thumbnailer.make(hanging, target))
    async with at_work_on(hanging):
        await thumbnailer.close()
        with pytest.raises(Unavailable, match="stopping"):
            await making


async def test_nothing_is_started_after_closing(recorded: Recorded, source: Path, target: Path) -> None:
    thumbnailer = recorded.thumbnailer()
    await thumbnailer.close()
    with pytest.raises(Unavailable, match="stopping"):
        await thumbnailer.make(source, target)
    assert recorded.pids == []


PARENT = """
import asyncio, sys
from pathlib import Path
from mediagen.artifacts.thumbnails import Thumbnailer

async def main():
    thumbnailer = Thumbnailer(job_timeout_s=1.0)
    await thumbnailer.make(Path(sys.argv[1]), Path(sys.argv[2]))
    print("made", flush=True)
    if len(sys.argv) > 3:
        await thumbnailer.make(Path(sys.argv[3]), Path(sys.argv[2]))
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_process_ends_when_its_parent_is_killed(source: Path, target: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(source), str(target), stdout=PIPE, stderr=PIPE
    )
    assert parent.stdout is not None
    assert parent.stderr is not None
    assert await parent.stdout.readline() == b"made\n"
    parent.kill()
    # The child has inherited the error output: its end is reached when both are gone.
    assert await asyncio.wait_for(parent.stderr.read(), timeout=10) == b""
    await parent.wait()


async def test_a_process_that_hangs_when_its_parent_is_killed_ends_too(
    source: Path, target: Path, hanging: Path
) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(source), str(target), str(hanging), stdout=PIPE, stderr=PIPE
    )
    assert parent.stderr is not None
    async with at_work_on(hanging):
        parent.kill()
        assert await asyncio.wait_for(parent.stderr.read(), timeout=10) == b""
    await parent.wait()


async def test_a_process_whose_answers_nobody_reads_ends_quietly(source: Path) -> None:
    reader, writer = os.pipe()
    child = await asyncio.create_subprocess_exec(*CHILD, "7", stdin=PIPE, stdout=writer, stderr=PIPE)
    os.close(writer)
    assert await asyncio.to_thread(os.read, reader, 100) == b'{"ready": true}\n'
    os.close(reader)
    _, errors = await child.communicate(asked_for(source))
    assert (child.returncode, errors) == (0, b"")


# --- what they may do


def asked_for(source: Path) -> bytes:
    return json.dumps({"source": str(source), "longest_side": 64}).encode() + b"\n"


@pytest.fixture
async def child() -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(*CHILD, "7", stdin=PIPE, stdout=PIPE)
    assert child.stdout is not None
    assert await child.stdout.readline() == b'{"ready": true}\n'
    yield child
    await child.communicate(b"")
    assert child.returncode == 0


def proc(child: asyncio.subprocess.Process, name: str) -> str:
    return Path(f"/proc/{child.pid}/{name}").read_text()


def limits_of(child: asyncio.subprocess.Process) -> dict[str, list[str]]:
    return {line[:26].strip(): line[26:].split()[:2] for line in proc(child, "limits").splitlines()}


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux_only
async def test_a_process_is_limited_in_memory_files_and_rank(child: asyncio.subprocess.Process) -> None:
    limits = limits_of(child)
    assert limits["Max address space"] == [str(1024**3)] * 2
    assert limits["Max file size"] == ["0", "0"]
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max processes"] == ["0", "0"]
    assert int(limits["Max open files"][1]) <= 16
    assert int(proc(child, "stat").split()[18]) >= 10


@linux_only
async def test_every_image_gets_its_own_seconds_of_cpu(
    child: asyncio.subprocess.Process, source: Path
) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(asked_for(source))
    answer = json.loads(await child.stdout.readline())
    await child.stdout.readexactly(answer["thumbnail"] + answer["placeholder"])
    assert 7 < int(limits_of(child)["Max cpu time"][0]) <= 9


SPYING = """
import json, os, sys
print('{"ready": true}', flush=True)
input()
print(json.dumps({"error": " ".join(sorted(os.environ)) + f" {len(os.listdir('/dev/fd'))}"}), flush=True)
input()
"""


async def test_a_process_gets_no_token_and_no_open_file_of_ours(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "secret")
    inherited = os.open(source, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    thumbnailer = Thumbnailer(command=(sys.executable, "-I", "-c", SPYING))
    with pytest.raises(InvalidMedia) as raised:
        await thumbnailer.make(source, target)
    os.close(inherited)
    await thumbnailer.close()
    said = str(raised.value)
    assert "TOKEN" not in said
    assert said.endswith(" 4")  # input, output, errors, and the listing itself
