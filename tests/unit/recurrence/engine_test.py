"""What of a loop is compiled follows from its shape, dtype and threads."""

import os
from unittest import mock

import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.recurrence import engine as engines
from kerasrnn.recurrence.engine import COMPILED_LOOPS
from kerasrnn.recurrence.engine import COMPILED_STEPS
from kerasrnn.recurrence.engine import PACKED
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.engine import TILED_STEPS
from kerasrnn.recurrence.engine import choose_engine
from kerasrnn.recurrence.engine import cpu_engine
from kerasrnn.recurrence.engine import lowering_for


class CpuEngineTest(parameterized.TestCase):
    @parameterized.parameters(
        (128, 50, 50, "float32", COMPILED_LOOPS),
        (512, 64, 100, "float32", COMPILED_LOOPS),
        (512, 64, 100, "float16", COMPILED_STEPS),
        (512, None, None, "float32", COMPILED_STEPS),
        (128, None, None, "float32", PLAIN),
        (8, 50, 50, "float32", PLAIN),
    )
    def test_threads_as_tensorflow_has_them(self, *shape_and_engine):
        *shape, engine = shape_and_engine
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "2"}):
            self.assertIs(cpu_engine(*shape), engine)

    @parameterized.parameters((False, COMPILED_STEPS), (True, TILED_STEPS))
    def test_bfloat16_by_processor(self, has_tiles, engine):
        with mock.patch.object(
            engines, "multiplies_bfloat16_in_tiles", lambda: has_tiles
        ):
            self.assertIs(cpu_engine(512, 64, 100, "bfloat16"), engine)

    @parameterized.parameters(
        (128, COMPILED_LOOPS), (256, COMPILED_STEPS), (512, COMPILED_STEPS)
    )
    def test_one_thread_an_operation(self, units, engine):
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "1"}):
            self.assertIs(cpu_engine(units, 50, 50, "float32"), engine)


class DeviceTest(parameterized.TestCase):
    @parameterized.parameters(
        ("CPU", True, PLAIN),
        ("TPU", True, PLAIN),
        ("GPU", True, PACKED),
        ("CPU", False, COMPILED_LOOPS),
        ("TPU", False, PLAIN),
        ("GPU", False, PLAIN),
    )
    def test_inside_a_function(self, device, jit_compile, engine):
        chosen = []

        @tf.function(jit_compile=jit_compile, autograph=False)
        def function():
            chosen.append(choose_engine(128, 50, 50, "float32"))
            return tf.zeros([])

        with lowering_for(device):
            function.get_concrete_function()
        self.assertEqual(chosen, [engine])
        self.assertIs(choose_engine(128, 50, 50, "float32"), PLAIN)


if __name__ == "__main__":
    absltest.main()
