"""The programs that compute the most have TensorFlow multiply by oneDNN."""

import subprocess
import sys

from absl.testing import absltest
from helpers.processes.user_environment import user_environment
from helpers.sources.repository import ROOT

from kerasrnn.foundation.processor import cpu_flags

_WORDS = "oneDNN custom operations are on"


class OnednnTest(absltest.TestCase):
    def test_unless_the_user_has_decided(self):
        if "avx2" not in cpu_flags("/proc/cpuinfo"):
            self.skipTest("another processor: TensorFlow decides")
        workdir = f"--workdir={self.create_tempdir().full_path}/model"
        training = (
            *("kerasrnn.train", f"--data={ROOT / 'README.md'}"),
            *("--units=8", "--batch_size=4", "--max_steps=1"),
        )
        for command in (training, ("kerasrnn.evaluate",)):
            for wish, expected in ((None, True), ("0", False)):
                environment = user_environment() | {"TF_CPP_MIN_LOG_LEVEL": "0"}
                environment.pop("TF_ENABLE_ONEDNN_OPTS", None)
                if wish:
                    environment["TF_ENABLE_ONEDNN_OPTS"] = wish
                run = subprocess.run(
                    [sys.executable, "-m", *command, workdir + (wish or "")],
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertEqual(_WORDS in run.stderr, expected, command)


if __name__ == "__main__":
    absltest.main()
