"""Encrypted connections: who trusts whom, and who gets a token."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import grpc
from absl.testing import absltest
from helpers.processes.certificates import make_certificate
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected
from kerasrnn_serving.client import Client
from kerasrnn_serving.client import Tls
from kerasrnn_serving.client.errors import ServingError


@unittest.skipUnless(shutil.which("openssl"), "openssl makes certificates")
class TlsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = Path(
            cls.enterClassContext(tempfile.TemporaryDirectory())
        )
        for name in ("server", "client", "stranger"):
            make_certificate(cls.directory, name, "models.example")

    def _file(self, name):
        return str(self.directory / name)

    def _serve(self, mutual=False):
        credentials = grpc.ssl_server_credentials(
            [
                (
                    (self.directory / "server.key").read_bytes(),
                    (self.directory / "server.pem").read_bytes(),
                )
            ],
            (self.directory / "client.pem").read_bytes() if mutual else None,
            mutual,
        )
        export = Path(self.enter_context(tempfile.TemporaryDirectory()))
        server = FakeServer(export, credentials)
        self.addCleanup(server.stop)
        return server

    def _ask(self, server, **options):
        with Client(server.target, timeout=30, **options) as client:
            return client.generate("a", length=3, seed=0)[0].text

    def _tls(self, **options):
        return Tls(
            ca=self._file("server.pem"),
            server_name="models.example",
            **options,
        )

    def test_the_server_is_trusted_by_its_certificate(self):
        server = self._serve()
        text = self._ask(server, tls=self._tls(), token="secret")
        self.assertEqual(text, expected(1, 0, 3))

    def test_servers_that_are_not_trusted(self):
        server = self._serve()
        for tls in (
            None,
            Tls(),
            Tls(ca=self._file("stranger.pem"), server_name="models.example"),
            Tls(ca=self._file("server.pem")),
            Tls(ca=self._file("server.pem"), server_name="other.example"),
        ):
            with self.assertRaises(ServingError) as raised:
                self._ask(server, tls=tls)
            self.assertEqual(raised.exception.code, "UNAVAILABLE")

    def test_who_speaks_tls_and_who_does_not_is_told(self):
        with_tls, files = self._serve(), tempfile.TemporaryDirectory()
        without = FakeServer(Path(self.enter_context(files)))
        self.addCleanup(without.stop)
        for server, tls, advice in (
            (with_tls, None, "add TLS settings (--tls)"),
            (without, self._tls(), "does not speak TLS"),
            (with_tls, Tls(ca=self._file("stranger.pem")), "--tls_ca"),
        ):
            with self.assertRaises(ServingError) as raised:
                self._ask(server, tls=tls)
            self.assertIn(advice, raised.exception.advice)
        # Where no server is, it may be the port that is wrong.
        with Client("127.0.0.1:1") as client:
            with self.assertRaisesRegex(ServingError, "TLS"):
                client.generate("a")

    def test_the_list_of_certificates_that_the_environment_names(self):
        name = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
        with mock.patch.dict(os.environ, {name: self._file("stranger.pem")}):
            with self.assertRaises(ServingError) as raised:
                self._ask(self._serve(), tls=Tls())
        self.assertIn(f"{name}=", raised.exception.advice)

    def test_mutual_trust(self):
        server = self._serve(mutual=True)

        def tls(name):
            return self._tls(
                certificate=self._file(f"{name}.pem"),
                key=self._file(f"{name}.key"),
            )

        text = self._ask(server, tls=tls("client"))
        self.assertEqual(text, expected(1, 0, 3))
        for stranger in (self._tls(), tls("stranger")):
            with self.assertRaises(ServingError) as raised:
                self._ask(server, tls=stranger)
            self.assertEqual(raised.exception.code, "UNAVAILABLE")


if __name__ == "__main__":
    absltest.main()
