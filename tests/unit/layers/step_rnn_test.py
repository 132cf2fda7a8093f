"""The blog post's object against the blog post's equations."""

import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from kerasrnn.errors import UserError
from kerasrnn.layers import StepRNN


class _BlogRNN:
    """The post's network, in numpy."""

    def __init__(self, rnn):
        self.w_xh, self.w_hh, self.w_hy = rnn.W_xh, rnn.W_hh, rnn.W_hy
        self.h = np.zeros(len(self.w_hh))

    def step(self, x):
        self.h = np.tanh(np.dot(self.w_hh, self.h) + np.dot(self.w_xh, x))
        return np.dot(self.w_hy, self.h)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _with_random_weights(*arguments, **options):
    rnn = StepRNN(*arguments, **options)
    rnn.W_xh = _random(*rnn.W_xh.shape, seed=1)
    rnn.W_hh = _random(*rnn.W_hh.shape, seed=2)
    rnn.W_hy = _random(*rnn.W_hy.shape, seed=3)
    return rnn


class StepRNNTest(parameterized.TestCase):
    def test_equals_the_posts_equations(self):
        rnn = _with_random_weights(5, 7, 3)
        blog = _BlogRNN(rnn)
        for x in _random(20, 5):
            np.testing.assert_allclose(rnn.step(x), blog.step(x), atol=1e-4)

    def test_stacks(self):
        rnn1 = _with_random_weights(5, 7, 6)
        rnn2 = _with_random_weights(6, 4, 3)
        blog1, blog2 = _BlogRNN(rnn1), _BlogRNN(rnn2)
        for x in _random(10, 5):
            np.testing.assert_allclose(
                rnn2.step(rnn1.step(x)), blog2.step(blog1.step(x)), atol=1e-4
            )

    @parameterized.parameters("simple_rnn", "lstm", "gru")
    def test_hello(self, cell):
        rnn = StepRNN(4, 3, 4, cell=cell, seed=0)
        letters = dict(zip("helo", np.eye(4), strict=True))
        answers = [rnn.step(letters[letter]) for letter in "hell"]
        self.assertGreater(np.max(np.abs(answers[2] - answers[3])), 1e-3)
        rnn.reset()
        again = [rnn.step(letters[letter]) for letter in "hell"]
        np.testing.assert_array_equal(again, answers)

    @parameterized.parameters("simple_rnn", "lstm", "gru")
    def test_rows_are_independent(self, cell):
        inputs = _random(6, 3, 5)  # [T, B, input]
        rnn = StepRNN(5, 4, 2, cell=cell, seed=1)
        batch = np.stack([rnn.step(x) for x in inputs])
        for row in range(3):
            rnn.reset()
            alone = np.stack([rnn.step(x) for x in inputs[:, row]])
            np.testing.assert_allclose(batch[:, row], alone, atol=1e-6)

    def test_seed(self):
        weights = [
            [rnn.W_xh, rnn.W_hh, rnn.W_hy]
            for rnn in (StepRNN(3, 3, 3, seed=seed) for seed in (1, 1, 2))
        ]
        np.testing.assert_array_equal(weights[0], weights[1])
        self.assertFalse(np.any(np.equal(weights[0], weights[2])))
        self.assertFalse(np.any(np.equal(weights[0][0], weights[0][2])))

    def test_shapes(self):
        rnn = StepRNN(4, 3, 2, cell="lstm")
        self.assertEqual(rnn.W_xh.shape, (12, 4))
        self.assertEqual(rnn.W_hh.shape, (12, 3))
        self.assertEqual(rnn.W_hy.shape, (2, 3))
        self.assertEqual(rnn.step([1, 0, 0, 0]).shape, (2,))
        self.assertEqual(rnn.step([[1, 0, 0, 0]]).shape, (1, 2))

    def test_bad_arguments(self):
        with self.assertRaisesRegex(UserError, "cell must be one of .*'rnn'"):
            StepRNN(4, 3, 2, cell="rnn")
        with self.assertRaisesRegex(UserError, "units must be at least 1"):
            StepRNN(4, 0, 2)
        rnn = StepRNN(4, 3, 2)
        for x in ([1, 0, 0], 1.0, np.zeros((1, 1, 4))):
            with self.assertRaisesRegex(UserError, "vector of 4 numbers"):
                rnn.step(x)
        rnn.step(np.zeros((2, 4)))
        with self.assertRaisesRegex(UserError, "reset"):
            rnn.step(np.zeros(4))


if __name__ == "__main__":
    absltest.main()
