"""Tests of mixed precision and loss scaling, by training."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.config import Config
from kerasrnn.config import ModelConfig
from kerasrnn.config import TrainingConfig
from kerasrnn.training.step import loss_scaling
from kerasrnn.training.step.devices import make_strategy
from kerasrnn.training.step.flat_weights import initial_weights
from kerasrnn.training.step.trainer import Trainer

B, T, V, UNITS = 4, 8, 9, 16


def make_trainer(policy, **training):
    config = Config(
        model=ModelConfig(
            vocabulary_size=V, units=UNITS, num_layers=1, dtype_policy=policy
        ),
        training=TrainingConfig(
            batch_size=B,
            sequence_length=T,
            **{"jit_compile": "off", **training},
        ),
    )
    return Trainer(
        config, make_strategy("one_device"), *initial_weights(config.model, 1)
    )


def run(trainer, steps, first_step=0, rate=0.01):
    """Trains on a text that repeats; returns its records."""
    ids = np.arange(steps * B * T).reshape([steps, B, T]) % (V - 1) + 1
    ids = ids.astype(np.int32)
    _, records = trainer.run(
        tf.constant(ids),
        tf.constant(np.roll(ids, -1, axis=2)),
        [tf.zeros([B, UNITS])] * 2,
        first_step,
        [rate] * steps,
    )
    return records


class MixedPrecisionTest(parameterized.TestCase):
    @parameterized.parameters(
        ("mixed_bfloat16", "on"), ("mixed_float16", "off")
    )
    def test_learns_what_float32_learns(self, policy, jit_compile):
        expected = run(make_trainer("float32"), 40)
        trainer = make_trainer(policy, jit_compile=jit_compile)
        records = run(trainer, 40)
        self.assertLess(expected.nats[-1], 0.5 * expected.nats[0])
        np.testing.assert_allclose(records.nats, expected.nats, rtol=0.1)
        # In other precision, not the same computation under another name.
        self.assertFalse(np.array_equal(records.nats, expected.nats))
        self.assertEqual(trainer.snapshot()["weights"].dtype, np.float32)

    def test_small_gradients_survive_in_float16_by_scaling(self):
        """The loss scale is what keeps them: without it they are 0."""
        scaled = make_trainer("mixed_float16", clip_norm=0.0)
        plain = make_trainer("float32", clip_norm=0.0)
        norms = {}
        for name, trainer in (("scaled", scaled), ("plain", plain)):
            # So confident that all gradients are tiny.
            arrays = trainer.snapshot()
            weights = trainer.layout.unpack(arrays["weights"])
            weights = {k: v.copy() for k, v in weights.items()}
            weights["logits/bias"][1:] = -19.0
            weights["logits/bias"][3] = 0.0
            arrays["weights"] = trainer.layout.pack(weights)
            trainer.restore(arrays)
            ids = tf.fill([1, B, T], 3)
            _, records = trainer.run(
                ids, ids, [tf.zeros([B, UNITS])] * 2, 0, [0.0]
            )
            norms[name] = records.gradient_norm[0]
        self.assertGreater(norms["plain"], 0)
        np.testing.assert_allclose(norms["scaled"], norms["plain"], rtol=0.02)

    def test_an_overflow_skips_the_step_and_halves_the_scale(self):
        trainer = make_trainer("mixed_float16")
        arrays = trainer.snapshot()
        arrays["loss_scale"] = np.float32(2.0**30)
        trainer.restore(arrays)
        records = run(trainer, 30)
        self.assertEqual(records.skipped[:3].tolist(), [1.0] * 3)
        self.assertBetween(records.skipped.sum(), 3, 25)
        self.assertTrue(np.isfinite(records.gradient_norm).all())
        np.testing.assert_array_equal(
            records.gradient_norm == 0, records.skipped == 1
        )
        self.assertLess(records.nats[-1], records.nats[0])
        after = trainer.snapshot()
        self.assertEqual(
            after["loss_scale"], 2.0 ** (30 - records.skipped.sum())
        )
        self.assertEqual(
            after["loss_scale_good_steps"],
            np.argmax(records.skipped[::-1] == 1),
        )

    def test_a_skipped_step_changes_nothing_but_the_scale(self):
        trainer = make_trainer("mixed_float16")
        run(trainer, 3)
        before = trainer.snapshot()
        before["loss_scale"] = np.float32(2.0**40)
        trainer.restore(before)
        records = run(trainer, 1, first_step=3)
        self.assertEqual(records.skipped.tolist(), [1.0])
        for name, array in trainer.snapshot().items():
            if not name.startswith("loss_scale"):
                np.testing.assert_array_equal(array, before[name], name)

    def test_a_gradient_that_no_scale_saves_is_seen(self):
        trainer = make_trainer("mixed_float16")
        arrays = trainer.snapshot()
        arrays["weights"] = np.full_like(arrays["weights"], np.nan)
        arrays["loss_scale"] = np.float32(1.0)
        trainer.restore(arrays)
        records = run(trainer, 1)
        self.assertEqual(records.skipped.tolist(), [0.0])
        self.assertFalse(np.isfinite(records.gradient_norm).any())

    def test_the_scale_goes_on_where_it_was(self):
        whole = make_trainer("mixed_float16")
        run(whole, 6)
        first = make_trainer("mixed_float16")
        run(first, 3)
        second = make_trainer("mixed_float16")
        second.restore(first.snapshot())
        self.assertEqual(second.snapshot()["loss_scale_good_steps"], 3)
        other = make_trainer("float32")
        self.assertNotIn("loss_scale", other.snapshot())
        # A checkpoint from before there was a scale.
        old = first.snapshot()
        del old["loss_scale"], old["loss_scale_good_steps"]
        third = make_trainer("mixed_float16")
        third.restore(old)
        self.assertEqual(
            third.snapshot()["loss_scale"], loss_scaling.INITIAL_SCALE
        )

    def test_scales_follow_those_of_keras(self):
        """Against `keras.mixed_precision.LossScaleOptimizer`."""
        reference = keras.mixed_precision.LossScaleOptimizer(
            keras.optimizers.SGD(0.0),
            initial_scale=loss_scaling.INITIAL_SCALE,
            dynamic_growth_steps=3,
        )
        variable = keras.Variable([1.0])
        reference.build([variable])
        scale, good_steps = loss_scaling.INITIAL_SCALE, 0
        growth = loss_scaling.GROWTH_STEPS
        self.addCleanup(setattr, loss_scaling, "GROWTH_STEPS", growth)
        loss_scaling.GROWTH_STEPS = 3
        seen = set()
        for finite in np.random.default_rng(0).random(60) < 0.8:
            gradient = 0.0 if finite else np.inf
            reference.apply([tf.constant([gradient])], [variable])
            scale, good_steps = loss_scaling.next_scale(
                tf.constant(scale), tf.constant(good_steps), tf.constant(finite)
            )
            self.assertEqual(scale, reference.dynamic_scale.numpy())
            self.assertEqual(good_steps, reference.step_counter.numpy())
            seen.add(float(scale))
        self.assertGreater(len(seen), 3)


if __name__ == "__main__":
    absltest.main()
