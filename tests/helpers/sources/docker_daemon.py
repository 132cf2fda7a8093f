"""A Docker daemon that builds nothing, and keeps what it is sent to build."""

import contextlib
import http.server
import io
import os
import socketserver
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(b"")

    def do_POST(self):
        data = b""
        # The client sends in chunks what it does not know the length of.
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        self.server.received = data
        self._answer(b'{"stream": "built"}\n')

    def log_message(self, *_):
        """Says nothing."""

    def _answer(self, data):
        self.send_response(200)
        self.send_header("Api-Version", "1.47")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def _daemon() -> Iterator[tuple[str, socketserver.UnixStreamServer]]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        with socketserver.ThreadingUnixStreamServer(path, _Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"unix://{path}", server
            finally:
                server.shutdown()
                thread.join()


def sent_to_build(dockerfile: Path, context: Path) -> set[str]:
    """Returns the files that the `docker` here sends to a daemon to build."""
    with _daemon() as (address, server), tempfile.TemporaryDirectory() as home:
        subprocess.run(
            ["docker", "build", "-f", dockerfile, context],
            # The builder that each client has, and no settings of the user's.
            env=os.environ
            | {
                "DOCKER_BUILDKIT": "0",
                "DOCKER_CONFIG": home,
                "DOCKER_HOST": address,
            },
            check=True,
            capture_output=True,
        )
        with tarfile.open(fileobj=io.BytesIO(server.received)) as archive:
            return {entry.name for entry in archive if entry.isfile()}
