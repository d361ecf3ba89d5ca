"""The bound of serving where there is no nginx: threads that send files of the working folder by sendfile(2).

python -m bench.peers.sendfile --port 20001
"""

import argparse
import os
import socketserver
from pathlib import Path

_FILES = Path.cwd()


class Sender(socketserver.StreamRequestHandler):
    """Answers GET /NAME on one connection until the client ends it."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            self._send(_FILES / line.split()[1].decode().lstrip("/"))

    def _send(self, path: Path) -> None:
        if not path.is_file():
            self.connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        with path.open("rb") as file:
            left, at = os.fstat(file.fileno()).st_size, 0
            self.connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n".encode())
            while left:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), at, left)
                left, at = left - sent, at + sent


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    with Server(("127.0.0.1", parser.parse_args().port), Sender) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
