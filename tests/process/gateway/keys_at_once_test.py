"""Several who change the file of keys at once: no change is lost."""

import subprocess
import sys
from pathlib import Path

from absl.testing import absltest
from helpers.sources.repository import program_environment
from kerasrnn_serving.gateway.access import key_commands
from kerasrnn_serving.gateway.access import keys
from kerasrnn_serving.gateway.access.limits import Limits

_PROCESSES = 8
_ROUNDS = 3

# Adds keys and removes every other one, once it is told to begin.
_WORKER = f"""
import sys
from pathlib import Path
from kerasrnn_serving.gateway.access.key_commands import run_command
from kerasrnn_serving.gateway.access.limits import Limits

def run(command, name):
    run_command([command, name], Path(sys.argv[1]), Limits(), None)

print("ready", flush=True)
sys.stdin.readline()
for number in range({_ROUNDS}):
    run("add", f"{{sys.argv[2]}}-{{number}}-stays")
    run("add", f"{{sys.argv[2]}}-{{number}}")
    run("remove", f"{{sys.argv[2]}}-{{number}}")
"""


class KeysAtOnceTest(absltest.TestCase):
    def test_no_change_is_lost(self):
        path = Path(self.create_tempdir().full_path, "keys.json")
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", _WORKER, path, f"worker{number}"],
                env=program_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(_PROCESSES)
        ]
        for worker in workers:
            self.assertEqual(worker.stdout.readline(), "ready\n")
        for worker in workers:
            worker.stdin.write("begin\n")
            worker.stdin.flush()
        for worker in workers:
            self.assertEqual(worker.communicate(), ("", ""))
            self.assertEqual(worker.returncode, 0)
        self.assertCountEqual(
            [key.name for key in keys.read(path)],
            [
                f"worker{number}-{round_}-stays"
                for number in range(_PROCESSES)
                for round_ in range(_ROUNDS)
            ],
        )
        listed = key_commands.run_command(["list"], path, Limits(), None)
        self.assertLen(listed.splitlines(), _PROCESSES * _ROUNDS)


if __name__ == "__main__":
    absltest.main()
