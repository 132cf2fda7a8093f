"""nginx before a gRPC server: what any process in between costs."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# Connections are kept, as they are by default in the client and the gateway.
_CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream server {{
    server {target};
    keepalive 256;
    keepalive_requests 1000000;
  }}
  server {{
    listen 127.0.0.1:{port} http2;
    http2_max_concurrent_streams 1024;
    location / {{ grpc_pass grpc://server; grpc_read_timeout 300s; }}
  }}
}}
"""
_START_SECONDS = 10


@contextlib.contextmanager
def reverse_proxy(target: str) -> Iterator[str | None]:
    """Yields the address of an nginx before a gRPC server.

    Args:
        target: The server, "host:port".

    Yields:
        The address to call instead, or None where nginx is not installed.

    Raises:
        RuntimeError: nginx ended, or did not listen within seconds.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/bin:/usr/bin")
    if program is None:
        yield None
        return
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(
            _CONFIGURATION.format(target=target, port=port)
        )
        process = subprocess.Popen(
            [program, "-p", folder, "-c", configuration, "-e", "stderr"]
        )
        try:
            _wait_for(process, port)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(process, port):
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx does not listen (status {process.poll()})")
