"""What of a loop is compiled follows from its shape, dtype and threads."""

import os
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.layers.engine import Engine
from kerasrnn.layers.engine import cpu_engine


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


if __name__ == "__main__":
    absltest.main()
