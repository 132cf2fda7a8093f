"""A client and a server in this process, whose answers are known."""

import tempfile
from pathlib import Path

from absl.testing import absltest
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError

from helpers.servers.fake_servable import FakeServable
from helpers.servers.fake_servable import FakeServer


class ClientTestCase(absltest.TestCase):
    client_class = Client
    servable_class = FakeServable

    def setUp(self):
        super().setUp()
        directory = self.enter_context(tempfile.TemporaryDirectory())
        self.server = FakeServer(
            Path(directory), servable_class=self.servable_class
        )
        self.addCleanup(self.server.stop)
        self.client = self.enter_context(self.client_class(self.server.target))

    def assert_serving_error(self, code, text, function, *arguments, **options):
        with self.assertRaises(ServingError) as raised:
            function(*arguments, **options)
        self.assertEqual(raised.exception.code, code)
        self.assertIn(text, str(raised.exception))
        return raised.exception
