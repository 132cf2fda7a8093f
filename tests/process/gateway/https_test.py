"""HTTPS: hands that are shaken, and connections that never do."""

import http.client
import pathlib
import shutil
import ssl
import tempfile
import unittest

from absl.testing import absltest
from helpers.processes.certificates import make_certificate
from helpers.servers.gateway_process import GatewayProcess
from helpers.servers.gateway_process import read_to_end

# Of every handshake: a record of the first version, not all of which comes.
BEGUN = b"\x16\x03\x01\x02\x00"


@unittest.skipUnless(shutil.which("openssl"), "openssl makes certificates")
class HttpsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(
            cls.enterClassContext(tempfile.TemporaryDirectory())
        )
        make_certificate(cls.folder, "server", "localhost")
        cls.trusting = ssl.create_default_context(
            cafile=cls.folder / "server.pem"
        )

    def start(self, *flags):
        gateway = GatewayProcess(
            "127.0.0.1:1",
            f"--https_certificate={self.folder / 'server.pem'}",
            f"--https_key={self.folder / 'server.key'}",
            *flags,
        )
        self.addCleanup(gateway.close)
        return gateway

    def connect(self, gateway, data=b""):
        """Returns a connection that shakes no hands."""
        # asyncio's own limit is 60 seconds.
        return gateway.connect(data, timeout=30)

    def encrypted(self, gateway):
        connection = http.client.HTTPSConnection(
            "localhost", gateway.port, context=self.trusting, timeout=30
        )
        self.addCleanup(connection.close)
        connection.connect()
        return connection

    def status(self, connection):
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        return reply.status

    def test_one_that_is_trusted_is_answered(self):
        gateway = self.start()
        self.assertStartsWith(gateway.url, "https://")
        self.assertEqual(self.status(self.encrypted(gateway)), 200)

    def test_those_that_shake_no_hands_make_room_for_others(self):
        gateway = self.start("--max_connections=20", "--request_seconds=600")
        before = gateway.open_files()
        silent = [
            self.connect(gateway, BEGUN[: number % 6]) for number in range(100)
        ]
        for connection in silent[:80]:
            read_to_end(connection)
        self.assertLessEqual(gateway.open_files(), before + 20)
        kept = self.encrypted(gateway)
        self.assertEqual(self.status(kept), 200)
        # Hands were shaken before these came: it is as quiet as they are.
        more = [self.connect(gateway) for _ in range(50)]
        read_to_end(kept.sock)
        read_to_end(more[0])
        self.assertEqual(self.status(self.encrypted(gateway)), 200)

    def test_the_handshake_is_a_part_of_the_time_for_a_request(self):
        gateway = self.start("--request_seconds=1")
        for data in (b"", BEGUN, b"GET / HTTP/1.1\r\n\r\n"):
            read_to_end(self.connect(gateway, data))
        shaken = self.encrypted(gateway)
        read_to_end(shaken.sock)
        gateway.process.terminate()
        self.assertEqual(gateway.process.stderr.read(), b"")

    def test_those_that_shake_no_hands_do_not_keep_it_from_stopping(self):
        gateway = self.start("--request_seconds=600", "--drain_seconds=600")
        connection = self.connect(gateway)
        other = self.encrypted(gateway)
        # Whoever came before was seen, too.
        self.assertEqual(self.status(other), 200)
        other.close()
        self.assertEqual(gateway.terminate(), 0)
        read_to_end(connection)


if __name__ == "__main__":
    absltest.main()
