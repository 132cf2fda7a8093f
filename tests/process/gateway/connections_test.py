"""More connections than the gateway takes: who is served, and who is not."""

import json
import resource
import subprocess
import sys

from absl.testing import absltest
from helpers.servers.gateway_process import GatewayTestCase
from helpers.servers.gateway_process import read_to_end

PROGRAM = [sys.executable, "-m", "kerasrnn_serving.programs.gateway"]
BODY = json.dumps({"prompt": "a", "max_tokens": 5})
# Nobody reads it, so that it does not end.
ENDLESS = json.dumps(
    {"max_tokens": 16384, "stream": True, "n": 8, "logprobs": 5}
)


class ConnectionsTest(GatewayTestCase):
    def begin_stream(self, gateway):
        connection = gateway.connect(
            b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(ENDLESS), ENDLESS.encode()),
        )
        self.assertIn(b" 200 ", connection.recv(20))
        return connection

    def test_as_many_as_the_flag_says_are_served(self):
        gateway = self.start("--max_connections=1")
        for _ in range(2):
            status, _, _ = gateway.request("POST", "/v1/completions", BODY)
            self.assertEqual(status, 200)

    def test_more_are_told_that_the_gateway_is_busy(self):
        gateway = self.start("--max_connections=2", "--write_seconds=600")
        streams = [self.begin_stream(gateway) for _ in range(2)]
        for path, method, body in (
            ("/v1/completions", "POST", BODY),
            ("/v1/completions", "POST", " " * 500_000 + BODY),
            ("/v1/models", "GET", None),
        ):
            status, headers, reply = gateway.request(method, path, body)
            self.assertEqual(status, 503)
            self.assertEqual(headers["retry-after"], "1")
            self.assertEqual(headers["connection"], "close")
            error = json.loads(reply)["error"]
            self.assertEqual(error["code"], "gateway_busy")
            line = gateway.wait_for_line(id=headers["x-request-id"])
            self.assertEqual(line["status"], 503)
        # Whoever watches the gateway needs an answer now more than ever.
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(gateway.request("GET", path)[0], 200)
        self.assertEqual(gateway.metric("errors_total", code="gateway_busy"), 3)
        streams[0].close()
        gateway.wait_for_line(left=True)
        status, _, _ = gateway.request("POST", "/v1/completions", BODY)
        self.assertEqual(status, 200)

    def test_silent_connections_make_room_for_others(self):
        gateway = self.start("--max_connections=20", "--request_seconds=600")
        stream = self.begin_stream(gateway)
        before = gateway.open_files()
        silent = [gateway.connect() for _ in range(100)]
        for connection in silent[:80]:
            read_to_end(connection)
        self.assertLessEqual(gateway.open_files(), before + 21)
        # One of these has asked before, and now is as quiet as the others.
        silent[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn(b" 200 ", silent[-1].recv(20))
        for path in ("/healthz", "/metrics", "/v1/models"):
            self.assertEqual(gateway.request("GET", path)[0], 200)
        status, _, _ = gateway.request("POST", "/v1/completions", BODY)
        self.assertEqual(status, 200)
        more = [gateway.connect() for _ in range(50)]
        read_to_end(silent[-1])
        # What is in progress goes on.
        self.assertNotEmpty(stream.recv(1000))
        read_to_end(more[0])

    def test_unfinished_requests_do_not_keep_probes_out(self):
        gateway = self.start("--max_connections=5", "--request_seconds=600")
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        held = [
            gateway.connect(head + b"Content-Length: 9\r\n\r\n{")
            for _ in range(5)
        ]
        gateway.wait_until(
            lambda: gateway.request("GET", "/v1/models")[0] == 503,
            "all connections have a request in progress",
        )
        held += [gateway.connect(head) for _ in range(100)]
        self.assertEqual(gateway.request("GET", "/healthz")[0], 200)

    def test_files_for_all_connections(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            gateway = self.start("--max_connections=500")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        silent = [gateway.connect() for _ in range(400)]
        for path in ("/healthz", "/v1/models"):
            self.assertEqual(gateway.request("GET", path)[0], 200)
        for connection in silent:
            connection.close()
        gateway.process.terminate()
        self.assertEqual(gateway.process.stderr.read(), b"")

    def test_more_connections_than_files_are_allowed(self):
        # Not by Python between fork and exec: this process has gRPC's threads.
        limited = ["sh", "-c", 'ulimit -n 4096 && exec "$@"', "sh"]
        result = subprocess.run(
            [*limited, *PROGRAM, "--port=0", "--max_connections=5000"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(result.returncode, 1)
        self.assertRegex(
            result.stderr,
            r"^error: --max_connections=5000 .* 4096 .*ulimit -n.*\.\n$",
        )


if __name__ == "__main__":
    absltest.main()
