"""A client and a server in this process, whose answers are known."""

import tempfile
from pathlib import Path

from absl.testing import absltest
from kerasrnn_serving.client import Client
from kerasrnn_serving.client.errors import ServingError

from helpers.servers.fake_servable import FakeServable
from helpers.servers.fake_servable import FakeServer
from kerasrnn.contract import signatures


class GrowingServable(FakeServable):
    """A version with as many layers as its number says, of 40 units.

    From version 3 on they are of 1,000.
    """

    def __init__(self, directory):
        super().__init__(directory)
        self.units = 40 if self.version < 3 else 1000
        outputs = self.signatures["inspect"].outputs
        dimension = outputs["activations"].tensor_shape.dim[2]
        dimension.size = self.version * self.units
        dimension.name = signatures.units_name(self.version, self.units)

    def _inspect(self, text, state_bytes):
        row = super()._inspect(text, state_bytes)
        width = self.version * self.units
        return {**row, "activations": [[0.5] * width for _ in text.decode()]}


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
