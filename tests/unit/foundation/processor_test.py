"""What is read of the processor is what Linux lists."""

import os
import platform

from absl.testing import absltest

from kerasrnn.foundation.processor import cpu_flags
from kerasrnn.foundation.processor import prefer_onednn


class ProcessorTest(absltest.TestCase):
    def test_flags_of_the_first_processor(self):
        file = self.create_tempfile(
            content=(
                "processor\t: 0\n"
                "model name\t: Some CPU with amx_bf16 in its name\n"
                "flags\t\t: fpu amx_tile avx512_bf16\n"
                "bugs\t\t:\n\n"
                "processor\t: 1\n"
                "flags\t\t: fpu amx_bf16\n"
            )
        )
        self.assertEqual(
            cpu_flags(file.full_path), {"fpu", "amx_tile", "avx512_bf16"}
        )

    def test_no_flags(self):
        file = self.create_tempfile(content="processor : 0\nFeatures : neon\n")
        self.assertEmpty(cpu_flags(file.full_path))
        self.assertEmpty(cpu_flags(os.path.join(file.full_path, "missing")))

    def test_onednn_is_for_processors_with_avx2(self):
        for flags, before, after in (
            ("fpu avx avx2", {}, "1"),
            ("fpu avx avx2 avx512_vnni", {}, "1"),
            ("fpu avx", {}, None),
            ("", {}, None),
            # The user has decided.
            ("fpu avx avx2", {"TF_ENABLE_ONEDNN_OPTS": "0"}, "0"),
            ("fpu avx", {"TF_ENABLE_ONEDNN_OPTS": "1"}, "1"),
        ):
            file = self.create_tempfile(content=f"flags : {flags}\n")
            prefer_onednn(before, file.full_path)
            self.assertEqual(before.get("TF_ENABLE_ONEDNN_OPTS"), after)

    def test_this_machine(self):
        if platform.machine() == "x86_64" and os.path.exists("/proc/cpuinfo"):
            self.assertIn("fpu", cpu_flags("/proc/cpuinfo"))


if __name__ == "__main__":
    absltest.main()
