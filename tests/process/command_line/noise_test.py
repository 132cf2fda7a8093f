"""A program's output is without TensorFlow's noise, and with all else."""

import select
import subprocess
import sys
import textwrap

from absl.testing import absltest
from helpers.processes.user_environment import user_environment


class NoiseTest(absltest.TestCase):
    def test_a_child_that_outlives_the_filtered_block_is_not_waited_for(self):
        # It ends when its standard input does, which is after the program.
        code = textwrap.dedent("""
            import os, subprocess, sys
            from kerasrnn.command_line.quiet_tensorflow import filtered_stderr
            with filtered_stderr():
                os.write(2, b"before, no line")
                subprocess.Popen(
                    ["sh", "-c", "read x; echo from the child >&2"],
                    stdout=subprocess.DEVNULL,
                )
            os.write(2, b" and after\\n")
            os.write(1, b"left\\n")
            os.close(1)
        """)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=user_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        readable, _, _ = select.select([process.stdout], [], [], 60)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        self.assertTrue(readable, "it waits for the child")
        self.assertEqual(process.stdout.read(), b"left\n")
        self.assertEqual(process.wait(60), 0)
        process.stdin.close()
        self.assertEqual(
            process.stderr.read(),
            b"before, no line and after\nfrom the child\n",
        )

    def test_only_noise_is_filtered(self):
        script = textwrap.dedent("""\
            import os
            from kerasrnn.command_line.quiet_tensorflow import filtered_stderr
            os.write(2, b"I0000 00:00:17.0 1 a.cc:1] before\\n")
            with filtered_stderr():
                os.write(2, b"WARNING: All log messages before "
                            b"absl::InitializeLog() is called are ...\\n")
                os.write(2, b"I0000 00:00:17.0 1 a.cc:1] oneDNN\\n")
                os.write(2, b"something that matters\\n")
                os.write(2, b"E0000 00:00:17.0 1 a.cc:1] an error\\n")
                os.write(2, b"F0000 00:00:17.0 1 a.cc:1] no AVX\\n")
                os.abort()
            """)
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=user_environment(),
        )
        self.assertEqual(result.returncode, -6)
        self.assertEqual(
            result.stderr,
            "I0000 00:00:17.0 1 a.cc:1] before\n"
            "something that matters\n"
            "E0000 00:00:17.0 1 a.cc:1] an error\n"
            "F0000 00:00:17.0 1 a.cc:1] no AVX\n",
        )

    def test_a_program_of_the_users_own_is_quiet_if_it_asks_for_it(self):
        script = textwrap.dedent("""\
            from kerasrnn import tensorflow_noise
            tensorflow_noise.install()
            import keras
            from kerasrnn.layers import LSTM
            print(LSTM(2)(keras.ops.ones([1, 3, 4])).shape)
            """)
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env=user_environment(),
        )
        self.assertEqual(result.stderr, "")
        self.assertEqual(result.stdout, "(1, 2)\n")

    def test_so_are_its_children_and_notebooks(self):
        script = textwrap.dedent("""\
            import subprocess
            import sys
            from kerasrnn import tensorflow_noise
            tensorflow_noise.install()
            if len(sys.argv) == 1:
                subprocess.run([sys.executable, __file__, "child"], check=True)
            else:
                sys.ps1 = ""  # What TensorFlow knows a notebook by.
                from tensorflow.python.platform import tf_logging
                tf_logging.warning("a note")
            """)
        path = self.create_tempfile("starts.py", script).full_path
        result = subprocess.run(
            [sys.executable, path],
            capture_output=True,
            text=True,
            env=user_environment(),
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((result.stdout, result.stderr), ("", ""))


if __name__ == "__main__":
    absltest.main()
