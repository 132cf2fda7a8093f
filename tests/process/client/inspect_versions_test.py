"""kerasrnn-inspect of a server whose versions are replaced meanwhile."""

import contextlib
import io
import json
import pathlib
import re
import tempfile

from absl import flags
from absl.testing import absltest
from helpers.servers.client_cases import GrowingServable
from helpers.servers.fake_servable import FakeServer
from kerasrnn_serving.programs import inspect_units

from kerasrnn.errors import UserError

# Of more than one call.
TEXT = 'a bad "cab" ' * 400


class InspectVersionsTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = self.enter_context(tempfile.TemporaryDirectory())
        self.folder = pathlib.Path(folder)

    def _serve(self, **options):
        directory = self.folder / "export"
        directory.mkdir()
        server = FakeServer(
            directory, servable_class=GrowingServable, **options
        )
        self.addCleanup(server.stop)
        return server

    def _inspect(self, server, text=TEXT):
        """Returns the page's numbers of layers and units, and the remarks."""
        path = self.folder / "page.html"
        values = flags.FlagValues()
        inspect_units.define_flags(values)
        values(
            [
                "kerasrnn-inspect",
                f"--server={server.target}",
                f"--text={text}",
                f"--output={path}",
            ]
        )
        errors = io.StringIO()
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(errors),
        ):
            inspect_units.execute(values)
        page = re.search(r'id="page">(.*?)</script>', path.read_text())
        data = json.loads(page[1])
        return (data["layers"], data["units"]), errors.getvalue()

    def test_a_page_is_of_one_version(self):
        for names, calls in ((["inspect"], 2), (["score"], 2), (["score"], 4)):
            with self.subTest(names=names, calls=calls):
                self.folder = pathlib.Path(self.create_tempdir().full_path)
                server = self._serve(keeps_versions=True)
                server.publish_after(calls, *names)
                shape, remarks = self._inspect(server)
                self.assertEqual(shape, (1, 40))
                self.assertNotIn("replaced", remarks)
                self.assertEqual(server.versions.version, 2)
                self.assertEmpty(server.requests)

    def test_it_begins_again_if_the_version_goes(self):
        for names, calls in ((["inspect"], 2), (["score"], 2)):
            with self.subTest(names=names):
                self.folder = pathlib.Path(self.create_tempdir().full_path)
                server = self._serve()
                server.publish_after(calls, *names)
                shape, remarks = self._inspect(server)
                self.assertEqual(shape, (2, 40))
                self.assertIn("has replaced the model", remarks)
                # What is read twice, in two pieces each time.
                self.assertLen(server.requests, 8)

    def test_it_does_not_begin_again_for_ever(self):
        server = self._serve()
        publish = server.publish

        def publish_and_go_on(version):
            publish(version)
            server.publish_after(1, "score")

        server.publish = publish_and_go_on
        server.publish_after(1, "score")
        with self.assertRaisesRegex(UserError, "has replaced .* 4 times"):
            self._inspect(server, text=TEXT[:50])
        self.assertEqual(server.versions.version, 5)


if __name__ == "__main__":
    absltest.main()
