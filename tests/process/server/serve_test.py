"""kerasrnn-serve: which server, with what command, and the files for Docker."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from absl.testing import absltest
from absl.testing import parameterized
from google.protobuf import text_format
from helpers.sources.repository import ROOT
from kerasrnn_serving.programs import serve
from tensorflow_serving.config import model_server_config_pb2

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError

_DOCKER = ROOT / "serving" / "docker"
_TIMEOUT = 120

# A stand-in for TensorFlow Serving's binary: it tells how it was called.
_BINARY = f"""#!{sys.executable}
import sys
print(*sys.argv[1:], sep="\\n")
"""


class ServeTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.export = self.directory / "export"
        (self.export / "1").mkdir(parents=True)
        self.path = self.directory / "bin"
        self.path.mkdir()

    def serve(self, *arguments):
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "kerasrnn_serving.programs.serve",
                *arguments,
            ],
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            cwd=self.directory,
            env={**os.environ, "PATH": str(self.path)},
        )
        errors = result.stderr.decode()
        self.assertNotIn("Traceback", errors)
        return result.returncode, result.stdout.decode(), errors

    def _install(self, name):
        path = self.path / name
        path.write_text(_BINARY)
        path.chmod(0o755)

    def test_auto_takes_the_binary(self):
        self._install(serve.BINARY)
        status, output, errors = self.serve(
            "--export_dir=export",
            "--port=8555",
            "--model=m",
            "--",
            "--enable_batching=true",
        )
        self.assertEqual(status, 0)
        self.assertEqual(
            output.splitlines(),
            [
                "--port=8555",
                "--rest_api_port=0",
                "--model_name=m",
                f"--model_base_path={self.export.resolve()}",
                "--enable_grpc_healthcheck_service=true",
                "--grpc_max_threads=256",
                "--enable_batching=true",
            ],
        )
        self.assertIn(f"Serving with {serve.BINARY} from PATH", errors)

    def test_a_free_port_is_chosen_for_the_binary(self):
        self._install(serve.BINARY)
        _, output, errors = self.serve("--export_dir=export", "--port=0")
        port = re.search(r"--port=(\d+)", output)[1]
        self.assertNotEqual(port, "0")
        self.assertIn(port, errors)

    def test_docker_without_rights(self):
        self._install("docker")
        status, output, errors = self.serve(
            "--export_dir=export", "--server=docker", "--rest_port=8556"
        )
        self.assertEqual(status, 0)
        arguments = output.splitlines()
        self.assertEqual(arguments[0], "run")
        for argument in (
            "--publish=127.0.0.1:8500:8500",
            "--publish=127.0.0.1:8556:8501",
            f"--mount=type=bind,source={self.export.resolve()},"
            "target=/models/kerasrnn,readonly",
            f"--user={os.getuid()}:{os.getgid()}",
            "--read-only",
            "--cap-drop=ALL",
            "--init",
            "--port=8500",
            "--rest_api_port=8501",
            "--model_base_path=/models/kerasrnn",
        ):
            self.assertIn(argument, arguments)
        self.assertLess(
            arguments.index(serve.IMAGE), arguments.index("--port=8500")
        )
        self.assertIn("in Docker at 127.0.0.1:8500", errors)

    def test_docker_at_an_address_of_ipv6(self):
        self._install("docker")
        status, output, errors = self.serve(
            "--export_dir=export",
            "--server=docker",
            "--rest_port=8556",
            "--host=::1",
        )
        self.assertEqual(status, 0)
        arguments = output.splitlines()
        self.assertIn("--publish=[::1]:8500:8500", arguments)
        self.assertIn("--publish=[::1]:8556:8501", arguments)
        self.assertIn("in Docker at [::1]:8500", errors)

    def test_mistakes_are_told_in_a_sentence(self):
        empty = self.directory / "empty"
        empty.mkdir()
        file = self.directory / "file"
        file.write_text("")
        version = self.directory / "other" / "1"
        version.mkdir(parents=True)
        (version / "saved_model.pb").write_text("")
        for arguments, text in (
            ([], "--export_dir"),
            (["--export_dir=missing"], "No version to serve"),
            ([f"--export_dir={empty}"], "kerasrnn-export"),
            ([f"--export_dir={file}"], "Cannot read"),
            ([f"--export_dir={version}"], f"give {version.parent}"),
            (["--export_dir=export", "--server=binary"], serve.BINARY),
            (["--export_dir=export", "--server=docker"], "needs docker"),
            (["--export_dir=export", "--rest_port=1"], "has no REST"),
            (["--export_dir=export", "--", "--x"], "no further arguments"),
            (["--export_dir=export", "--port=70000"], "port"),
            (["--export_dir=export", "--server=best"], "server"),
        ):
            status, output, errors = self.serve(*arguments)
            self.assertEqual(status, 1, errors)
            self.assertEqual(output, "")
            self.assertIn(text, errors.splitlines()[-1])
            self.assertStartsWith(errors.splitlines()[-1], "error: ")

    def test_what_the_local_server_cannot_do(self):
        # Version 1 is an empty directory.
        status, output, errors = self.serve(
            "--export_dir=export", "--server=local"
        )
        self.assertEqual(status, 1)
        self.assertEqual(output, "")
        self.assertIn("export/1, has no saved_model.pb", errors)


class ChoiceTest(absltest.TestCase):
    def test_local_is_always_there(self):
        self.assertEqual(serve.chosen_server("local"), "local")

    def test_what_is_missing(self):
        with self.assertRaisesRegex(UserError, "--server=local"):
            serve.chosen_server("binary")


class DockerFilesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        compose = yaml.safe_load((_DOCKER / "compose.yaml").read_text())
        self.services = compose["services"]
        self.serving = self.services["serving"]

    def test_ports_are_this_machine_s_only(self):
        for service in self.services.values():
            for port in service["ports"]:
                self.assertStartsWith(port, "127.0.0.1:")

    def test_no_rights(self):
        self.assertEqual(self.serving["cap_drop"], ["ALL"])
        self.assertTrue(self.serving["read_only"])
        self.assertTrue(self.serving["init"])
        self.assertNotIn("root", self.serving["user"])
        for service in self.services.values():
            for volume in service.get("volumes", ()):
                self.assertTrue(volume["read_only"])

    def test_the_files_that_it_names_are_there(self):
        command = self.serving["command"]
        files = [
            argument.partition("=/config/")[2]
            for argument in command
            if "=/config/" in argument
        ]
        self.assertLen(files, 3)
        for file in files:
            self.assertTrue((_DOCKER / file).exists(), file)
        self.assertTrue((_DOCKER / "prometheus.yaml").exists())

    def test_the_image_is_the_one_that_the_program_takes(self):
        image = self.serving["image"].replace("${TAG:-", "").rstrip("}")
        self.assertEqual(image, serve.IMAGE)
        text = (_DOCKER / "compose.yaml").read_text()
        for tag in serve.FALLBACK_TAGS:
            self.assertIn(tag, text)

    def test_a_batch_can_gather_while_batches_run(self):
        text = (_DOCKER / "batching.config").read_text()
        values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", text, re.M))
        rows = int(values["max_batch_size"])
        running = int(values["num_batch_threads"])
        # Each call holds a thread from its coming until it is answered.
        self.assertGreaterEqual(serve.GRPC_THREADS, rows * (running + 1))
        command = self.serving["command"]
        self.assertIn(f"--grpc_max_threads={serve.GRPC_THREADS}", command)
        self.assertIn("--tensorflow_intra_op_parallelism=1", command)

    def test_models(self):
        config = text_format.Parse(
            (_DOCKER / "models.config").read_text(),
            model_server_config_pb2.ModelServerConfig(),
        )
        (model,) = config.model_config_list.config
        self.assertEqual(model.name, "kerasrnn")
        self.assertEqual(model.base_path, self.serving["volumes"][0]["target"])
        policy = model.model_version_policy
        self.assertEqual(policy.latest.num_versions, 2)

    def test_batching_takes_what_a_client_sends(self):
        # The message is of the server, and in none of its Python packages.
        text = (_DOCKER / "batching.config").read_text()
        values = dict(re.findall(r"^(\w+) \{ value: (\w+) \}$", text, re.M))
        self.assertEqual(
            values,
            {
                "max_batch_size": str(signatures.MAX_ROWS),
                "batch_timeout_micros": "0",
                "num_batch_threads": "4",
                "max_enqueued_batches": "1000",
                "enable_large_batch_splitting": "false",
            },
        )

    def test_health_check(self):
        """The check's script, against servers of either answer."""
        *_, script = self.serving["healthcheck"]["test"]
        for state, status in (("AVAILABLE", 0), ("LOADING", 1)):
            with _HttpServer(f'{{"state": "{state}"}}') as port:
                result = subprocess.run(
                    ["bash", "-c", script.replace("8501", str(port))],
                    timeout=_TIMEOUT,
                    check=False,
                )
            self.assertEqual(result.returncode, status)


class _HttpServer:
    def __init__(self, body):
        import http.server

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                if self.path == "/v1/models/kerasrnn":
                    self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), Handler
        )

    def __enter__(self):
        import threading

        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self._server.server_address[1]

    def __exit__(self, *exception):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


if __name__ == "__main__":
    absltest.main()
