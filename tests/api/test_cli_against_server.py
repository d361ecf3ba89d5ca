"""Commands against a real server process: what they say and do, also when it is killed under their hands."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.fakes import kept
from tests.fakes.ports import free_port
from tests.fakes.server_process import ServerProcess

QUICK = ("-p", "latency_s=0.05", "-p", "width=64", "-p", "height=64")
LONG = ("-p", "latency_s=2.5", "-p", "width=64", "-p", "height=64")
API = "/api/v1"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Command:
    """A `mediagen` command in a process of its own, in the folder `cwd`."""

    def __init__(self, cwd: Path, env: dict[str, str]) -> None:
        self._cwd = cwd
        self._env = {"PATH": os.environ["PATH"], "MIN_FREE_BYTES": "0", **kept.mark(), **env}

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mediagen",
            *args,
            env=self._env,
            cwd=self._cwd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *args: str) -> Ended:
        process = await self.start(*args)
        out, err = await process.communicate()
        return Ended(code=process.returncode or 0, out=out.decode(), err=err.decode())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    async with ServerProcess({"DATA_DIR": str(tmp_path / "data")}) as running:
        yield running


@pytest.fixture
def command(server: ServerProcess, tmp_path: Path) -> Command:
    """A command that knows the server by MEDIAGEN_URL, and has another DATA_DIR."""
    return Command(tmp_path, {"MEDIAGEN_URL": server.url, "DATA_DIR": str(tmp_path / "elsewhere")})


def found(tmp_path: Path) -> set[str]:
    return set(os.listdir(tmp_path)) - {"data"}


async def until(stream: asyncio.StreamReader | None, text: str) -> None:
    """Read lines until one has the text in it."""
    assert stream is not None
    async for line in stream:
        if text in line.decode():
            return
    raise AssertionError(f"{text!r} was never said")


# ---------------------------------------------------------------------------------------------- serve


async def test_serve_says_where_the_page_and_the_documentation_are(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as http:
        for path in ("/", "/docs", f"{API}/health/ready"):
            async with http.get(server.url + path) as response:
                assert response.status == 200, path


async def test_a_second_server_on_the_same_port_is_refused_in_one_sentence(
    server: ServerProcess, tmp_path: Path
) -> None:
    port = server.url.rpartition(":")[2]
    other = Command(tmp_path, {"DATA_DIR": str(tmp_path / "other"), "PORT": port})
    ended = await other.run("serve")
    assert ended.code == 2
    assert ended.err.startswith("error: HOST='127.0.0.1' PORT=")
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("how", ["stop", "interrupt"])
async def test_a_server_told_to_stop_lets_its_worker_leave_and_exits_with_0(
    how: str, server: ServerProcess, tmp_path: Path
) -> None:
    assert await getattr(server, how)() == 0
    connection = sqlite3.connect(tmp_path / "data" / "mediagen.db")
    assert connection.execute("SELECT name FROM workers").fetchall() == []
    connection.close()
    assert "Traceback" not in server.log


# ---------------------------------------------------------------------------------------------- generate


async def test_generate_uses_the_running_server_and_saves_its_file(command: Command, tmp_path: Path) -> None:
    ended = await command.run("generate", "a red fox", "-o", "fox.png", *QUICK)
    assert (ended.code, ended.out) == (0, "fox.png\n"), ended.err
    with Image.open(tmp_path / "fox.png") as picture:
        assert picture.size == (64, 64)
    assert found(tmp_path) == {"fox.png"}  # nothing was opened here


async def test_the_server_of_the_settings_is_found_without_being_named(tmp_path: Path) -> None:
    port = str(free_port())
    env = {"DATA_DIR": str(tmp_path / "data"), "PORT": port}
    async with ServerProcess(env):
        here = Command(tmp_path, {"PORT": port, "DATA_DIR": str(tmp_path / "elsewhere")})
        ended = await here.run("generate", "a red fox", "--no-wait")
        assert ended.code == 0, ended.err
    assert found(tmp_path) == set()


async def test_a_named_server_that_does_not_answer_is_an_error_not_a_reason_to_work_here(
    tmp_path: Path,
) -> None:
    nobody = f"http://me:hunter22@127.0.0.1:{free_port()}"
    ended = await Command(tmp_path, {"DATA_DIR": str(tmp_path / "data")}).run(
        "generate", "a red fox", "--server", nobody
    )
    assert ended.code == 1
    assert "No mediagen server answers" in ended.err
    assert "hunter22" not in ended.err
    assert os.listdir(tmp_path) == []


async def test_what_the_server_refuses_is_told_in_its_words(command: Command) -> None:
    ended = await command.run("generate", "a red fox", "-m", "no model")
    assert ended.code == 2
    assert ended.err.startswith("error: No provider runs the model 'no model'")


async def test_a_failed_job_ends_with_its_code_and_a_hint(command: Command) -> None:
    ended = await command.run("generate", "a red fox", "-p", "fault=failure", *QUICK)
    assert ended.code == 1
    assert "(prediction_failed)" in ended.err
    assert "mediagen jobs retry" in ended.err


async def test_ctrl_c_leaves_the_job_to_the_server_and_says_how_to_get_it(
    command: Command, tmp_path: Path
) -> None:
    process = await command.start("generate", "a red fox", "-o", "fox.png", *LONG)
    await until(process.stderr, "is making it")
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, out) == (130, b"")
    assert b"goes on" in err
    job: dict[str, Any] = json.loads((await command.run("jobs", "--json")).out)[0]
    saved = await command.run("jobs", "save", job["id"][-6:], "-o", "fox.png")
    assert (saved.code, saved.out) == (0, "fox.png\n"), saved.err
    assert found(tmp_path) == {"fox.png"}


async def test_ctrl_c_without_a_server_keeps_the_job(tmp_path: Path) -> None:
    here = Command(tmp_path, {"PORT": "0", "DATA_DIR": str(tmp_path / "data")})
    process = await here.start("generate", "a red fox", *LONG)
    await until(process.stderr, "is making it")
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"mediagen jobs save" in err
    (job,) = json.loads((await here.run("jobs", "--json")).out)
    assert job["status"] == "processing"


async def test_generate_waits_through_a_crash_and_restart_of_the_server(tmp_path: Path) -> None:
    port = str(free_port())
    env = {"DATA_DIR": str(tmp_path / "data"), "PORT": port}
    async with ServerProcess(env) as server:
        process = await Command(tmp_path, env).start("generate", "a red fox", "-o", "fox.png", *LONG)
        await until(process.stderr, "is making it")
        await server.kill()
        await server.start()
        out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"fox.png\n"), err
    with Image.open(tmp_path / "fox.png") as picture:
        assert picture.size == (64, 64)


# ---------------------------------------------------------------------------------------------- jobs, doctor


async def test_jobs_are_listed_shown_canceled_retried_and_deleted(command: Command) -> None:
    job_id = (
        await command.run("generate", "a red fox", "--no-wait", "-p", "fault=never_finishes")
    ).out.strip()
    assert (await command.run("jobs", "cancel", job_id)).code == 0
    assert (
        await command.run("jobs", "save", job_id)
    ).code == 1  # it waits for the end, which is a canceled one
    assert "canceled" in (await command.run("jobs", "show", job_id[-6:])).out
    new_id = (await command.run("jobs", "retry", job_id[-6:])).out.strip()
    assert (await command.run("jobs", "delete", job_id)).code == 0
    listed = json.loads((await command.run("jobs", "--json")).out)
    assert [job["id"] for job in listed] == [new_id]


async def test_doctor_asks_the_running_server(server: ServerProcess, tmp_path: Path) -> None:
    port = server.url.rpartition(":")[2]
    here = Command(tmp_path, {"PORT": port, "DATA_DIR": str(tmp_path / "data")})
    ended = await here.run("doctor", "--json")
    report = json.loads(ended.out)
    assert (ended.code, report["ok"]) == (0, True), ended.out
    (about,) = [check["detail"] for check in report["checks"] if check["name"] == "Server"]
    assert "sound: database, broker, worker, storage" in about


async def test_doctor_fails_when_the_server_has_no_worker(tmp_path: Path) -> None:
    port = str(free_port())
    env = {"DATA_DIR": str(tmp_path / "data"), "PORT": port}
    async with ServerProcess(env, ["--no-worker"]):
        ended = await Command(tmp_path, env).run("doctor")
    assert ended.code == 1
    assert "start the server without --no-worker" in ended.out
