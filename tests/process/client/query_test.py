"""kerasrnn-query as a user runs it, against a server in this process."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from absl.testing import absltest
from helpers.processes import program_runner
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected

_TIMEOUT = 120


class QueryTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        (self.directory / "export").mkdir()
        self.server = FakeServer(self.directory / "export")
        self.addCleanup(self.server.stop)

    def _command(self, *arguments):
        return [
            sys.executable,
            "-m",
            "kerasrnn_serving.programs.query",
            f"--server={self.server.target}",
            *arguments,
        ]

    def query(self, *arguments, status=0, stdin=b""):
        result = subprocess.run(
            self._command(*arguments),
            input=stdin,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        errors = result.stderr.decode()
        self.assertEqual(result.returncode, status, errors)
        self.assertNotIn("Traceback", errors)
        return result.stdout.decode(), errors

    def test_text_of_a_prompt(self):
        output, errors = self.query("--prompt=ab", "--seed=3")
        self.assertEqual(output, "ab" + expected(1, 3, 500) + "\n")
        self.assertEqual(errors, "seed 3\n")

    def test_all_parameters_arrive(self):
        output, _ = self.query(
            "--prompt=é",
            "--length=20",
            "--temperature=0.5",
            "--top_k=4",
            "--top_p=0.75",
            "--seed=-1",
            "--stop=\\x66",
            "--noecho",
        )
        text = expected(1, -1, 20)
        self.assertEqual(output, text[: text.index("f") + 1] + "\n")
        inputs = self.server.requests[0]
        self.assertEqual(inputs["prompt"].tolist(), ["é".encode()])
        self.assertEqual(inputs["temperature"].tolist(), [0.5])
        self.assertEqual(inputs["top_k"].tolist(), [4])
        self.assertEqual(inputs["top_p"].tolist(), [0.75])
        self.assertEqual(inputs["seed"].tolist(), [-1])

    def test_prompts_from_files_and_pipes(self):
        path = self.directory / "prompt.txt"
        path.write_bytes("é\n".encode())
        options = ("--length=3", "--seed=0")
        text = expected(1, 0, 3) + "\n"
        output, _ = self.query(f"--prompt_file={path}", *options)
        self.assertEqual(output, "é\n" + text)
        for arguments in ((), ("--prompt_file=-",)):
            output, _ = self.query(*arguments, *options, stdin=b"x\r\n")
            self.assertEqual(output.encode(), b"x\r\n" + text.encode())
        output, _ = self.query("--prompt=", *options, stdin=b"unread")
        self.assertEqual(output, text)

    def test_a_seed_that_was_drawn_gives_the_text_again(self):
        output, errors = self.query("--length=30")
        seed = errors.split()[1]
        self.assertEqual(output, expected(1, int(seed), 30) + "\n")
        again, _ = self.query("--length=30", f"--seed={seed}")
        self.assertEqual(again, output)

    def test_text_comes_as_it_is_generated(self):
        servable = self.server.loaded[1]
        predict, wait = servable.predict, threading.Event()
        self.addCleanup(wait.set)

        def held(request, timeout):
            # All calls but the first wait until the first text was seen.
            if servable.requests:
                wait.wait(_TIMEOUT)
            return predict(request, timeout)

        servable.predict = held
        environment = dict(os.environ)
        environment.pop("PYTHONUNBUFFERED", None)
        process = subprocess.Popen(
            self._command("--prompt=ab", "--seed=0", "--length=40"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        first = process.stdout.read(10)
        self.assertEqual(first.decode(), "ab" + expected(1, 0, 8))
        wait.set()
        rest, _ = process.communicate(timeout=_TIMEOUT)
        self.assertEqual(rest.decode(), expected(1, 0, 32, draws=8) + "\n")

    def test_several_samples(self):
        output, errors = self.query(
            "--prompt=ab", "--num_samples=2", "--seed=5", "--length=4"
        )
        self.assertEqual(
            output, f"ab{expected(1, 5, 4)}\nab{expected(1, 6, 4)}\n"
        )
        self.assertEqual(errors, "seed 5\nseed 6\n")

    def test_json(self):
        output, _ = self.query(
            "--prompt=a?",
            "--num_samples=2",
            "--seed=5",
            "--length=600",
            "--stop=é",
            "--json",
        )
        records = [json.loads(line) for line in output.splitlines()]
        self.assertEqual(
            records,
            [
                {
                    "prompt": "a?",
                    "text": expected(1, seed, 600),
                    "length": 600,
                    "log_prob": -600.0,
                    "unknown": 1,
                    "finish": "length",
                    "seed": seed,
                }
                for seed in (5, 6)
            ],
        )

    def test_unknown_characters_are_told(self):
        _, errors = self.query("--prompt=a??", "--seed=0", "--length=1")
        self.assertIn("2 characters", errors)

    def test_score(self):
        path = self.directory / "text.txt"
        path.write_text("ab?" * 5000)
        output, errors = self.query(f"--score={path}")
        self.assertEqual(
            output,
            "bits per character: 0.721348\n"
            "nats per character: 0.500000\n"
            "characters scored: 10000\n",
        )
        self.assertIn("5,000 characters", errors)
        output, _ = self.query("--score=-", "--json", stdin=b"abcd")
        record = json.loads(output)
        self.assertEqual(record["nats_per_character"], 0.5)
        self.assertEqual(record["length"], 4)

    def test_mistakes_are_told_in_a_sentence(self):
        missing = self.directory / "missing"
        foreign = self.directory / "foreign"
        foreign.write_bytes("sécret".encode())
        two_lines = self.directory / "two_lines"
        two_lines.write_bytes(b"secret\nsecret\n")
        for arguments, text in (
            (
                ["--temperature=-1"],
                "--temperature=-1: expected a number",
            ),
            (["--temperature=nan"], "--temperature=nan: expected a number"),
            (["--top_k=-1"], "--top_k=-1: expected an integer from 0"),
            (["--top_p=0"], "--top_p=0: expected a number above 0"),
            (["--length=-1"], "--length=-1: expected an integer from 0"),
            (["--num_samples=0"], "--num_samples=0: expected an integer"),
            ([f"--stop={'x' * 33}"], "stop may have at most 32"),
            ([f"--seed={2**63}"], "expected an integer from"),
            (["--prompt=a", "--prompt_file=b"], "give one of them"),
            ([f"--prompt_file={missing}"], "cannot read"),
            ([f"--prompt_file={self.directory}"], "directory"),
            ([f"--score={missing}"], "cannot read"),
            (["--score=-"], "Nothing to score"),
            (["--score=-", "--prompt=a"], "give one of them"),
            (["--score=-", "--prompt_file=-"], "give one of them"),
            (["--timeout=0"], "--timeout=0: expected a number above 0"),
            (["--model=other"], "model"),
            (["--model_version=8"], "version"),
            (["--server=127.0.0.1:1"], "kerasrnn-serve"),
            (["--server=http://localhost:8500"], "is a URL"),
            (["--server=localhost:99999"], "from 1 to 65535"),
            (["--tls_ca=/nowhere"], "--tls_ca: cannot read /nowhere"),
            (["--tls_key=/nowhere"], "--tls_key: cannot read /nowhere"),
            ([f"--token_file={__file__}"], "--tls"),
            (["--token_file=/nowhere"], "/nowhere"),
            (["--tls", f"--token_file={foreign}"], "expected printable ASCII"),
            (["--tls", f"--token_file={two_lines}"], "in one line"),
            (["--length=many"], "length"),
            (["prompt"], "prompt"),
        ):
            result = program_runner.run(
                "kerasrnn-query",
                f"--server={self.server.target}",
                *arguments,
                cwd="/",
            )
            self.assertEqual((result.status, result.output), (1, ""))
            self.assertIn(text, result.errors)
            self.assertStartsWith(result.errors, "error: ")
            self.assertLen(result.errors.splitlines(), 1)

    def test_a_server_that_goes_in_the_middle_of_a_text(self):
        process = subprocess.Popen(
            self._command(
                "--length=100000", "--seed=0", "--prompt=ab", "--timeout=6"
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.read(10)[:2], b"ab")
        self.server.stop()
        _, errors = process.communicate(timeout=_TIMEOUT)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(
            errors.decode(),
            rf"^seed 0\nnote: No server answers at {self.server.target} any "
            r"more \(.*\); trying again for up to 6 seconds\.\n"
            rf"error: No server answers at {self.server.target} .*\n$",
        )

    def test_a_reader_that_went_away(self):
        process = subprocess.Popen(
            self._command("--length=100000", "--seed=0", "--prompt="),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.read(3)
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.stderr.close()
        process.wait(_TIMEOUT)
        self.assertNotIn("Traceback", errors)


if __name__ == "__main__":
    absltest.main()
