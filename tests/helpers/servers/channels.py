"""Servers in this process, and clients of either kind to call them."""

import tempfile
from pathlib import Path

from absl.testing import absltest
from kerasrnn_serving.client import Client

from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected

TIMEOUT = 60


class ChannelTestCase(absltest.TestCase):
    client_class = Client

    def serve(self):
        directory = self.enter_context(tempfile.TemporaryDirectory())
        server = FakeServer(Path(directory))
        self.addCleanup(server.stop)
        return server

    def connect(self, target, **options):
        return self.enter_context(
            self.client_class(target, timeout=TIMEOUT, **options)
        )

    def assert_answers(self, client, seed):
        (result,) = client.generate("a", length=30, seed=seed)
        self.assertEqual(result.text, expected(1, seed, 30))
