"""`kerasrnn.TextGenerator`: text in this process, and on from any place."""

import contextlib
import dataclasses
import io
import os
import re
import tempfile
import textwrap
from pathlib import Path

import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.models import small_models
from helpers.models import trained_workdir

import kerasrnn
from kerasrnn.errors import UserError

_SAMPLING = {"seed": 3, "temperature": 1.3, "top_k": 12, "top_p": 0.95}


class ContinuationTest(parameterized.TestCase):
    def _generator(self, kind):
        vocabulary = small_models.make_vocabulary(kind)
        config = small_models.make_config(vocabulary)
        weights = list(map(tf.constant, small_models.random_weights(config)))
        return kerasrnn.TextGenerator(config, vocabulary), weights

    @parameterized.product(
        kind=["characters", "bytes"], lengths=[[1, 1, 98], [63, 37], [100, 0]]
    )
    def test_parts_are_the_text_that_one_call_gives(self, kind, lengths):
        generator, weights = self._generator(kind)
        whole = _joined(
            generator.stream(weights, prompt="é", length=100, **_SAMPLING)
        )
        text, log_prob, prompt, state = "", 0.0, "é", None
        for length in lengths:
            for chunk in generator.stream(
                weights, prompt=prompt, length=length, state=state, **_SAMPLING
            ):
                text += chunk.text
                log_prob += chunk.log_prob
            prompt, state = "", chunk.state
        self.assertEqual(text, whole.text)
        self.assertAlmostEqual(log_prob, whole.log_prob, delta=1e-3)
        self.assertEqual(state.unfinished, whole.state.unfinished)

    @parameterized.parameters(
        ("temperature", (float("nan"), float("inf"), -1.0, "1", True)),
        ("top_p", (float("nan"), 0.0, -1.0, 2.0)),
        ("top_k", (-3, 10**12, 1.5)),
        ("length", (-5, 3.5, 10**12)),
        ("seed", (2**64, 0.5)),
    )
    def test_numbers_out_of_range_are_refused(self, name, values):
        generator, weights = self._generator("characters")
        for value in values:
            options = {"length": 10, name: value}
            with self.assertRaisesRegex(UserError, f"^{name} must be "):
                next(generator.stream(weights, **options))

    def test_another_number_of_weights_is_refused(self):
        generator, weights = self._generator("characters")
        with self.assertRaisesRegex(UserError, "weights must be the"):
            next(generator.stream(weights[:-1], length=10))

    def test_a_prompt_may_be_read_in_parts(self):
        generator, weights = self._generator("characters")
        (whole,) = generator.stream(weights, prompt="a bad cab", length=30)
        (first,) = generator.stream(weights, prompt="a bad", length=0)
        (second,) = generator.stream(
            weights, prompt=" cab", length=30, state=first.state
        )
        self.assertEqual(second.text, whole.text)

    def test_a_stop_string_may_straddle_two_calls(self):
        generator, weights = self._generator("characters")
        (whole,) = generator.stream(weights, length=60, seed=1)
        stop = whole.text[29:32]
        end = whole.text.index(stop) + len(stop)
        (first,) = generator.stream(weights, length=end - 1, seed=1, stop=stop)
        (second,) = generator.stream(
            weights, length=60, seed=1, stop=stop, state=first.state
        )
        self.assertEqual(first.text + second.text, whole.text[:end])
        self.assertEqual(second.finish, "stop")

    def test_a_prompt_cuts_off_an_unfinished_character(self):
        generator, weights = self._generator("bytes")
        (first,) = generator.stream(weights, length=1)
        state = dataclasses.replace(first.state, unfinished=b"\xc3")
        (cut,) = generator.stream(weights, prompt="a", length=0, state=state)
        self.assertEqual(cut.text, "\ufffd")
        self.assertEqual(cut.state.unfinished, b"")


class ExampleTest(absltest.TestCase):
    def test_the_example_of_the_docstring_runs(self):
        (code,) = re.findall(
            r"```python\n(.*?)```", kerasrnn.TextGenerator.__doc__, re.DOTALL
        )
        folder = Path(self.enter_context(tempfile.TemporaryDirectory()))
        workdir, *_ = trained_workdir.make_workdir(
            folder, "a bad cab.\nfeed ade a head, é €.\n" * 12
        )
        os.rename(workdir, folder / "my_model")
        self.enter_context(contextlib.chdir(folder))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(textwrap.dedent(code), {"__name__": "example"})  # noqa: S102
        self.assertLen(printed.getvalue(), 200 + len("\n"))


def _joined(chunks):
    """Returns the chunks of a text as one."""
    chunks = list(chunks)
    return dataclasses.replace(
        chunks[-1],
        text="".join(chunk.text for chunk in chunks),
        log_prob=sum(chunk.log_prob for chunk in chunks),
    )


if __name__ == "__main__":
    absltest.main()
