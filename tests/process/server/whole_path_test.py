"""From a text file to served text, by the real programs alone.

One number ties the path: what the server's `score` says of the validation
text is what `kerasrnn-evaluate` says of it, to 1e-5 nats per character.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from absl.testing import absltest
from absl.testing import parameterized
from helpers.full_counts import FULL
from helpers.processes.forked_trainer import run_forked
from helpers.servers.serving_process import ServerProcess

_WORDS = (
    "the",
    "öld",
    "кот",
    "sat",
    "on",
    "a",
    "mat🙂",
    "while",
    "it",
    "rained",
)
_CHARACTERS = 24_000

# In the short form bytes are left to the tests of single programs.
VOCABULARIES = ("characters", "bytes")[: 2 if FULL else 1]
_VALIDATION_FRACTION = 0.1


def _text(seed):
    chance = random.Random(seed)
    text = ""
    while len(text) < _CHARACTERS:
        text += chance.choice(_WORDS) + chance.choice(" \n")
    return text


def _run(program, *flags):
    return run_forked(program, *flags).stdout


def _query(*flags):
    return subprocess.run(
        [sys.executable, "-m", "kerasrnn_serving.programs.query", *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    ).stdout


class WholePathTest(parameterized.TestCase):
    @parameterized.parameters((kind,) for kind in VOCABULARIES)
    def test_score_of_the_server_equals_evaluate(self, vocabulary):
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        text = _text(seed=1)
        data = directory / "text.txt"
        data.write_text(text, "utf-8", newline="")
        workdir = f"--workdir={directory / 'workdir'}"
        export_dir = directory / "export"
        _run(
            "kerasrnn.train",
            workdir,
            f"--data={data}",
            f"--vocabulary={vocabulary}",
            f"--validation_fraction={_VALIDATION_FRACTION}",
            "--units=24",
            "--batch_size=16",
            "--sequence_length=32",
            "--max_steps=40",
            "--sample_length=20",
            "--jit_compile=off",
        )
        evaluated = json.loads(
            _run(
                "kerasrnn.evaluate",
                workdir,
                "--streams=1",
                "--start_state=start_character",
                "--json",
            )
        )
        _run("kerasrnn_export.program", workdir, f"--export_dir={export_dir}")
        server = ServerProcess(export_dir)
        self.addCleanup(server.close)
        content = text.encode() if vocabulary == "bytes" else text
        first = len(content) - evaluated["characters"]
        self.assertAlmostEqual(
            first / len(content), 1 - _VALIDATION_FRACTION, delta=1e-3
        )
        held_out = directory / "held_out.txt"
        tail = content[first:]
        held_out.write_bytes(tail if vocabulary == "bytes" else tail.encode())
        scored = json.loads(
            _query(
                f"--server={server.target}",
                f"--score={held_out}",
                "--json",
            )
        )
        self.assertEqual(scored["length"], evaluated["characters"])
        nats = -scored["log_prob"] / scored["length"]
        self.assertLess(nats, math.log(60))
        self.assertAlmostEqual(nats, evaluated["loss"], delta=1e-5)

        flags = ["--prompt=кот sat", "--length=90", "--seed=5", "--noecho"]
        sampled = _run("kerasrnn.sample", workdir, *flags)
        queried = _query(f"--server={server.target}", *flags)
        self.assertEqual(queried, sampled)
        self.assertGreater(len(queried), 40)


if __name__ == "__main__":
    absltest.main()
