"""What of a loop is compiled follows from its shape, dtype and threads."""

import os
from unittest import mock

import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import choose_engine
from kerasrnn.recurrence.engine import cpu_engine
from kerasrnn.recurrence.engine import lowering_for


class CpuEngineTest(parameterized.TestCase):
    @parameterized.parameters(
        (128, 50, 50, "float32", Engine.LOOPS),
        (512, 64, 100, "float32", Engine.LOOPS),
        (512, 64, 100, "bfloat16", Engine.STEPS),
        (512, None, None, "float32", Engine.STEPS),
        (128, None, None, "float32", Engine.PLAIN),
        (8, 50, 50, "float32", Engine.PLAIN),
    )
    def test_threads_as_tensorflow_has_them(self, *shape_and_engine):
        *shape, engine = shape_and_engine
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "2"}):
            self.assertIs(cpu_engine(*shape), engine)

    @parameterized.parameters(
        (128, Engine.LOOPS), (256, Engine.STEPS), (512, Engine.STEPS)
    )
    def test_one_thread_an_operation(self, units, engine):
        with mock.patch.dict(os.environ, {"TF_NUM_INTRAOP_THREADS": "1"}):
            self.assertIs(cpu_engine(units, 50, 50, "float32"), engine)


class DeviceTest(parameterized.TestCase):
    @parameterized.parameters(
        ("CPU", True, Engine.PLAIN),
        ("TPU", True, Engine.PLAIN),
        ("GPU", True, Engine.PACKED),
        ("CPU", False, Engine.LOOPS),
        ("TPU", False, Engine.PLAIN),
        ("GPU", False, Engine.PLAIN),
    )
    def test_inside_a_function(self, device, jit_compile, engine):
        chosen = []

        @tf.function(jit_compile=jit_compile)
        def function():
            chosen.append(choose_engine(128, 50, 50, "float32"))
            return tf.zeros([])

        with lowering_for(device):
            function.get_concrete_function()
        self.assertEqual(chosen, [engine])
        self.assertIs(choose_engine(128, 50, 50, "float32"), Engine.PLAIN)


if __name__ == "__main__":
    absltest.main()
