"""kerasrnn-query --interactive: turns, commands, and what does not end it."""

import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from absl.testing import absltest
from helpers.servers.fake_servable import FakeServer
from helpers.servers.fake_servable import expected

_TIMEOUT = 120


class InteractiveTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        # A job in a shell's background ignores it, and so do its children.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        self.server = FakeServer(directory)
        self.addCleanup(self.server.stop)

    def _command(self, *flags):
        return [
            sys.executable,
            "-m",
            "kerasrnn_serving.programs.query",
            f"--server={self.server.target}",
            "--interactive",
            *flags,
        ]

    def converse(self, *lines, flags=("--seed=0", "--length=5"), status=0):
        result = subprocess.run(
            self._command(*flags),
            input="".join(f"{line}\n" for line in lines).encode(),
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        errors = result.stderr.decode()
        self.assertEqual(result.returncode, status, errors)
        self.assertNotIn("Traceback", errors)
        return result.stdout.decode().splitlines(), errors

    def _prompts(self):
        return [inputs["prompt"][0].decode() for inputs in self.server.requests]

    def test_a_text_goes_on_turn_by_turn(self):
        output, errors = self.converse("ab", "", "cd?")
        self.assertEqual(
            output, [expected(1, 0, 5, draws=5 * turn) for turn in range(3)]
        )
        self.assertEqual(self._prompts(), ["ab", "", "cd?"])
        self.assertIn("seed 0", errors)
        self.assertIn("read as unknown: 1 character\n", errors)

    def test_settings_change_between_turns(self):
        output, _ = self.converse(
            "a",
            ":temperature 0.25",
            ":length 3",
            "b",
            ":top_k 7",
            ":top_p 0.5",
            ":stop \\nq",
            ":seed 9",
            "c",
            ":settings",
        )
        self.assertEqual(
            output[:3],
            [
                expected(1, 0, 5),
                expected(1, 0, 3, draws=5),
                expected(1, 9, 3, draws=8),
            ],
        )
        self.assertIn("temperature 0.25", output)
        names = ("temperature", "top_k", "top_p", "stop", "seed")
        self.assertEqual(
            [
                tuple(inputs[name][0] for name in names)
                for inputs in self.server.requests
            ],
            [
                (1.0, 0, 1.0, b"", 0),
                (0.25, 0, 1.0, b"", 0),
                (0.25, 7, 0.5, b"\nq", 9),
            ],
        )

    def test_turns_are_taken_back(self):
        output, _ = self.converse("ab", "cd", ":undo", "ef", ":show")
        first, again = expected(1, 0, 5), expected(1, 0, 5, draws=5)
        self.assertEqual(output, [first, again, again, f"ab{first}ef{again}"])

    def test_a_new_text(self):
        output, _ = self.converse("ab", ":reset", "cd", ":show")
        text = expected(1, 0, 5)
        self.assertEqual(output, [text, text, f"cd{text}"])

    def test_lines_may_hold_anything(self):
        self.converse("::a", "b\\nc", "d\\\\n", "é")
        self.assertEqual(self._prompts(), [":a", "b\nc", "d\\n", "é"])

    def test_the_prompt_is_the_first_turn(self):
        output, _ = self.converse(
            "cd", flags=("--seed=0", "--length=5", "--prompt=ab")
        )
        self.assertEqual(
            output, ["ab" + expected(1, 0, 5), expected(1, 0, 5, draws=5)]
        )

    def test_mistakes_do_not_end_it(self):
        output, errors = self.converse(
            ":temperature hot",
            ":temperature -1",
            ":length 1.5",
            ":undo",
            ":nothing",
            ":help",
            "a",
        )
        self.assertEqual(output, [expected(1, 0, 5)])
        for text in (
            ":temperature takes a number, not 'hot'",
            "temperature must be",
            ":length takes a whole number",
            "no turn to take back",
            "no command :nothing",
            ":undo    ",
        ):
            self.assertIn(text, errors)

    def test_quit_ends_it(self):
        output, _ = self.converse("a", ":quit", "b")
        self.assertEqual(output, [expected(1, 0, 5)])

    def test_flags_that_do_not_go_together(self):
        for flags, text in (
            (["--json"], "leave out"),
            (["--score=x"], "leave out"),
            (["--num_samples=2"], "leave out"),
            (["--prompt_file=-"], "standard input"),
        ):
            output, errors = self.converse("a", flags=flags, status=1)
            self.assertEqual(output, [])
            self.assertIn(text, errors)

    def _start(self, **options):
        process = subprocess.Popen(
            self._command("--seed=0", "--length=40"), **options
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_a_new_version_reads_the_text_so_far(self):
        pipe = subprocess.PIPE
        process = self._start(stdin=pipe, stdout=pipe, stderr=pipe)
        process.stdin.write(b"ab\n")
        process.stdin.flush()
        first = process.stdout.readline().decode().rstrip("\n")
        self.assertEqual(first, expected(1, 0, 40))

        # As a real model does with another's token.
        def foreign(**values):
            if values["state_bytes"] and not getattr(self, "seen", False):
                values["state_bytes"] = b"foreign"
                self.seen = True
            return generate(**values)

        self.server.publish(2)
        generate = self.server.loaded[2]._generate
        self.server.loaded[2]._generate = foreign
        output, errors = process.communicate(b"cd\n", timeout=_TIMEOUT)
        self.assertEqual(output.decode(), expected(2, 0, 40) + "\n")
        self.assertIn("a new version", errors.decode())
        self.assertEqual(self._prompts()[1], f"ab{first}cd")

    def test_ctrl_c_stops_a_continuation(self):
        predict = self.server.loaded[1].predict
        shown, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def held(request, timeout):
            if len(self.server.requests) == 1 and not release.is_set():
                shown.set()
                release.wait(_TIMEOUT)
            return predict(request, timeout)

        self.server.loaded[1].predict = held
        pipe = subprocess.PIPE
        process = self._start(stdin=pipe, stdout=pipe, stderr=pipe)
        process.stdin.write(b"ab\n")
        process.stdin.flush()
        self.assertTrue(shown.wait(_TIMEOUT))
        first = process.stdout.read(8).decode()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.stdout.readline(), b"\n")
        release.set()
        output, errors = process.communicate(b":show\n", timeout=_TIMEOUT)
        self.assertEqual(output.decode(), f"ab{first}\n")
        self.assertIn("stopped", errors.decode())
        self.assertEqual(process.returncode, 0)

    def test_what_the_model_refuses_is_no_new_version(self):
        output, errors = self.converse(
            "a", f":stop {'é' * 20}", "b", ":stop x", "c"
        )
        # Of a model of bytes these are 40 characters.
        self.assertIn("row 0: stop has more than 32 characters", errors)
        self.assertNotIn("new version", errors)
        self.assertEqual(
            output,
            [expected(1, 0, 5), "", expected(1, 0, 5, draws=5)],
        )

    def test_a_terminal_has_a_prompt_to_type_at(self):
        main, terminal = pty.openpty()
        process = self._start(stdin=terminal, stdout=terminal, stderr=terminal)
        os.close(terminal)

        def read_until_prompt():
            seen = ""
            while not seen.endswith("> "):
                seen += os.read(main, 1000).decode()
            return seen

        self.assertIn("seed 0", read_until_prompt())
        os.write(main, b"ab\n")
        self.assertIn(expected(1, 0, 40), read_until_prompt())
        os.write(main, b"\x04")
        self.assertEqual(process.wait(_TIMEOUT), 0)
        os.close(main)


if __name__ == "__main__":
    absltest.main()
