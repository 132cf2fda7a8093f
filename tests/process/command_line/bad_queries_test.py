"""What users of a server get wrong: one clear sentence, no traceback."""

import shutil
import socket
import tempfile
from pathlib import Path

from absl.testing import absltest
from helpers.processes.refusals import BadInputTestCase
from helpers.processes.refusals import run
from helpers.servers import fake_export
from kerasrnn_serving.server import local_server


class ServingTest(BadInputTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, directory)
        fake_export.publish(directory, 1)
        versions = local_server.open_versions(
            "kerasrnn", directory, fake_export.OPERATIONS
        )
        server = local_server.LocalServer(versions)
        port = server.start("127.0.0.1", 0)
        cls.addClassCleanup(server.stop)
        cls.address = f"127.0.0.1:{port}"

    def query(self, *arguments, server=None):
        return run(
            "query",
            f"--server={server or self.address}",
            *arguments,
            cwd=self.directory,
        )

    def test_a_good_query_is_answered(self):
        result = self.query("--prompt=?", "--length=5", "--seed=0")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(fake_export.expected(1, 0, 5), result.stdout)

    def test_server_that_is_not_there(self):
        with socket.socket() as taken:  # bound, but nobody listens
            taken.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = self.query("--timeout=5", server=address)
        self.assert_refused(result, f"{address}.*kerasrnn-serve")

    def test_model_that_is_not_there(self):
        result = self.query("--model=nobody")
        self.assert_refused(result, "nobody")

    def test_version_that_is_not_there(self):
        result = self.query("--model_version=7")
        self.assert_refused(result, "7")

    def test_bad_parameters(self):
        for argument, pattern in (
            ("--temperature=-1", "--temperature=.*: expected .* from 0"),
            (
                "--top_p=1.5",
                "--top_p=.*: expected .* above 0 and at most 1",
            ),
            ("--length=many", "--length=many: expected an integer"),
            ("--score=nowhere.txt", r"nowhere\.txt"),
            ("--num_samples=0", "--num_samples=0: expected an integer from 1"),
        ):
            with self.subTest(argument):
                self.assert_refused(self.query(argument), pattern)

    def test_serving_nothing(self):
        result = run("serve", "--export_dir=nowhere", cwd=self.directory)
        self.assert_refused(result, "nowhere.*kerasrnn-export")

    def test_serving_on_a_port_that_is_taken(self):
        model = self.directory / "models"
        fake_export.publish(model, 1)
        port = self.address.rpartition(":")[2]
        result = run(
            "serve",
            "--server=local",
            "--export_dir=models",
            f"--port={port}",
            cwd=self.directory,
        )
        said, refused = result.stderr.splitlines()
        self.assertEqual(said, "Serving with the local server.")
        self.assertRegex(refused, rf"^error: .*{port}: the port is taken")
        self.assertEqual(result.returncode, 1)


if __name__ == "__main__":
    absltest.main()
