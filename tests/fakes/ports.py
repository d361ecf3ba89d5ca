"""Ports of servers on this machine, each given once: not twice to a process, nor to two at the same time."""

import fcntl
import functools
import os
import random
import socket
from pathlib import Path

_PORTS = range(20_000, 32_000)  # below those that systems give to clients
_ledger_path = Path(
    f"/tmp/mediagen-ports-{os.getuid()}"
)  # one for all runs: each holds the bytes of its ports
_given: set[int] = set()


class NoPort(Exception):
    """All ports are in use."""


def free_port() -> int:
    """Return a loopback port that nobody listens on or was given, and that no client will be given meanwhile."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _given and _is_ours(port) and _is_free(port):
            _given.add(port)
            return port
    raise NoPort("no loopback port is free")


def _is_ours(port: int) -> bool:
    """Take the port's byte of the ledger; it is let go when this process ends."""
    try:
        fcntl.lockf(_ledger(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@functools.cache
def _ledger() -> int:
    return os.open(_ledger_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
