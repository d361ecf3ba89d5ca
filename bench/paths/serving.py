"""Media served: kept outputs of 1 MB and 50 MB over 16 connections.

The bound is nginx with the same files, or sendfile(2) from Python where there is no nginx.
"""

import os
import shutil
from functools import partial
from pathlib import Path

from bench.fakes.provider import picture
from bench.following import Follower, submit
from bench.lab import Lab, Load, ask, at_least, get, versus
from bench.processes import Process, python
from bench.report import Row
from tests.fakes.ports import free_port

_SIZES = {1_000_000: 0.5, 50_000_000: 0.9}  # bytes, and the goal
_CONNECTIONS = 16
_LATENCY_S = 0.2


async def run(lab: Lab) -> list[Row]:
    folder = lab.new_folder()
    name, bound = _bound(lab, folder)
    await lab.run(bound)
    provider = await lab.provider()
    server = await lab.connected(provider)
    rows = []
    for full, goal in _SIZES.items():
        size = lab.size.count(full)
        (folder / f"{size}.png").write_bytes(picture(size))
        requests = {
            "us": (server, get(await _kept(server, size))),
            name: (bound, get(f"/{size}.png")),
        }
        for process, request in requests.values():
            await _turn(lab, process, request)
        seen = await lab.in_turn({name: partial(_turn, lab, *given) for name, given in requests.items()})
        path = f"serving, {size / 1e6:g} MB"
        rows.append(versus(path, "served", "MB/s", seen, name, lambda load: load.mb_s, at_least(goal)))
        rows.append(versus(path, "server CPU", "us", seen, name, lambda load: load.cpu_us))
    return rows


async def _turn(lab: Lab, process: Process, request: bytes) -> Load:
    return await lab.load(process, [request], status=200, connections=_CONNECTIONS)


async def _kept(server: Process, size: int) -> str:
    """Return the path of a kept output of so many bytes."""
    async with Follower(server) as follower:
        job_id = await submit(server, f"{size} bytes", latency_s=_LATENCY_S, bytes=size)
        await follower.until(lambda: job_id in follower.ended)
    found = await ask(server.port, get(f"/api/v1/status/{job_id}"))
    return str(found.json["media_path"])


def _bound(lab: Lab, folder: Path) -> tuple[str, Process]:
    """Return what serves the folder as fast as this machine can, and its name."""
    binary = shutil.which("nginx", path=f"/usr/sbin:/usr/local/sbin:/opt/homebrew/bin:{os.environ['PATH']}")
    if binary is not None:
        return "nginx", _nginx(lab, folder, binary)
    lab.notes.append(
        "there is no nginx (Debian, Ubuntu: apt install nginx-light), so Python's sendfile stands in"
    )
    port = free_port()
    return "sendfile", Process(python("bench.peers.sendfile", "--port", str(port)), folder, port=port)


def _nginx(lab: Lab, folder: Path, binary: str) -> Process:
    """Return an nginx in one process that serves the folder."""
    port, own = free_port(), lab.new_folder()
    folder.chmod(0o755)
    config = own / "nginx.conf"
    config.write_text(
        f"""
        daemon off; master_process off; pid {own}/pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{
          access_log off; sendfile on; tcp_nopush on; keepalive_requests 10000000;
          client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;
          uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;
          server {{ listen 127.0.0.1:{port}; root {folder}; }}
        }}
        """
    )
    return Process([binary, "-c", str(config), "-e", "stderr"], own, port=port)
