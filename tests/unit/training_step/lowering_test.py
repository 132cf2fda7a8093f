"""The whole training step lowers to one XLA module of static shapes.

That is what a TPU needs. Compiling it with the TPU compiler takes another
environment: docs/accelerators.md has the commands.
"""

import itertools
import re

from absl.testing import absltest
from absl.testing import parameterized
from helpers.covering_rows import covering

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.step import lowering

STEPS = {
    "charrnn": lowering.charrnn_step,
    "sequential": lowering.sequential_step,
}
PRODUCTS = {"float32": "f32", "mixed_bfloat16": "bf16"}


class LoweringTest(parameterized.TestCase):
    @parameterized.parameters(
        *covering(
            itertools.product(
                STEPS, ("simple_rnn", "lstm", "gru"), PRODUCTS, ("TPU", "GPU")
            )
        )
    )
    def test_shapes_are_static(self, step, cell, policy, device):
        config = Config(
            model=ModelConfig(
                vocabulary_size=7,
                cell=cell,
                units=8,
                num_layers=2,
                dtype_policy=policy,
            ),
            training=TrainingConfig(batch_size=4, sequence_length=6),
        )
        text = lowering.lower(*STEPS[step](config), stage="hlo", device=device)
        # A dynamic dimension is written <=6, one without a bound as ?.
        self.assertNotRegex(text, r"\[[^\]]*(<=|\?)")
        for operation in ("set-dimension-size", "get-dimension-size"):
            self.assertNotIn(operation, text)
        # Four loops: forward and backward of two layers, and each runs as
        # often as the sequence is long.
        self.assertLen(re.findall(r" while\(", text), 4)
        # Adam's moments leave the module as they entered it: the optimizer
        # is in it.
        results = re.search(r"->\((.*)\)}", text)[1]
        kernels = re.findall(r"\[8,\d+\]|\[\d{3,}\]", results)
        self.assertGreaterEqual(len(kernels), 3)
        # Products are as narrow as the policy says.
        product = re.search(r"= (\w+)\[\S+ dot\(", text)[1]
        self.assertEqual(product, PRODUCTS[policy])
        # For a GPU, what the steps keep is one array: of five, 8 units each.
        kept = "[6,4,40]" in text
        self.assertEqual(kept, device == "GPU" and cell != "simple_rnn")


if __name__ == "__main__":
    absltest.main()
