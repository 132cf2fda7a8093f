"""What the client says of servers, models and answers that do not fit."""

import fractions
import threading

import numpy as np
from absl.testing import absltest
from helpers.servers.client_cases import ClientTestCase
from helpers.servers.clients import AsyncInThread
from kerasrnn_serving.client import Tls
from kerasrnn_serving.gateway.settings import Settings

from kerasrnn.contract import messages
from kerasrnn.contract import tensors
from kerasrnn.errors import UserError

# Of more digits than Python spells.
HUGE = 10**5000


class ErrorsTest(ClientTestCase):
    def test_no_server(self):
        with self.client_class("127.0.0.1:1") as client:
            error = self.assert_serving_error(
                "UNAVAILABLE",
                "No server answers at 127.0.0.1:1",
                client.generate,
                "a",
            )
        self.assertIn("kerasrnn-serve", error.advice)

    def test_no_such_model_or_version(self):
        with self.client_class(self.server.target, "m") as client:
            self.assert_serving_error(
                "NOT_FOUND", "Latest(m)", client.generate, "a"
            )
            self.assert_serving_error(
                "NOT_FOUND", "any versions of model m", client.versions
            )
        with self.client_class(self.server.target, version=7) as client:
            self.assert_serving_error(
                "NOT_FOUND", "Specific(kerasrnn, 7)", client.generate, "a"
            )

    def test_a_model_that_is_not_ours(self):
        servable = self.server.loaded[1]
        for break_it, text in (
            (lambda s: s.pop("generate"), "no signature 'generate'"),
            (lambda s: s["generate"].inputs.pop("stop"), "no input 'stop'"),
            (
                lambda s: s["generate"].outputs.pop("error"),
                "no output 'error'",
            ),
            (_retype_seed, "'seed' is float32, expected int64"),
            (_add_input, "its input 'new' is unknown here"),
        ):
            before = {
                name: messages.SignatureDef.FromString(d.SerializeToString())
                for name, d in servable.signatures.items()
            }
            break_it(servable.signatures)
            with self.client_class(self.server.target) as client:
                self.assert_serving_error(
                    "FAILED_PRECONDITION", text, client.generate, "a"
                )
            servable.signatures = before
        self.assertEqual(servable.requests, [])

    def test_a_model_with_an_input_of_later(self):
        definition = self.server.loaded[1].signatures["generate"]
        _add_input({"generate": definition})
        definition.defaults["new"].CopyFrom(tensors.to_tensor([2.5], "float32"))
        self.client.generate(["a", "b"], length=3)
        (inputs,) = self.server.requests
        self.assertEqual(inputs["new"].tolist(), [2.5, 2.5])
        self.assertEqual(inputs["new"].dtype, np.float32)

    def test_answers_that_break_the_contract(self):
        servable = self.server.loaded[1]
        predict = servable.predict
        for break_it, text in (
            (lambda outputs: outputs.pop("text"), "'text' is missing"),
            (
                lambda outputs: outputs["text"].CopyFrom(
                    tensors.to_tensor([b"a", b"b"], "string")
                ),
                "'text' has 2 rows, expected 1",
            ),
            (
                lambda outputs: outputs["length"].CopyFrom(
                    tensors.to_tensor([1.0], "float32")
                ),
                "'length' is float32",
            ),
            (
                lambda outputs: outputs["length"].CopyFrom(
                    tensors.to_tensor([0], "int32")
                ),
                "nothing was generated",
            ),
            (
                lambda outputs: outputs["text"].tensor_shape.dim.add(size=-1),
                "definite shape",
            ),
        ):

            def broken(request, call, break_it=break_it):
                response = predict(request, call)
                break_it(response.outputs)
                return response

            servable.predict = broken
            self.assert_serving_error(
                "INTERNAL", text, self.client.generate, "a"
            )

    def test_settings_that_cannot_work(self):
        for options, text in (
            ({"timeout": 0}, "timeout must be a number above 0"),
            ({"timeout": None}, "timeout must be .*, not None"),
            ({"timeout": "60"}, "timeout must be .*, not '60'"),
            ({"timeout": float("nan")}, "timeout must be .*, not nan"),
            ({"timeout": float("inf")}, "timeout must be .*, not inf"),
            ({"timeout": HUGE}, "timeout must be .*, not a number of"),
            ({"timeout": 10**400}, "timeout must be .* at most 1,000,000,000"),
            ({"timeout": 1e10}, "timeout must be .*, not 10000000000.0"),
            ({"max_message_bytes": HUGE}, "max_message_bytes must be .*digits"),
            ({"version": HUGE}, "version must be 0 to .*digits"),
            ({"version": "1"}, "version must be a whole number, not '1'"),
            ({"version": -1}, "version must be 0 to"),
            ({"model": None}, "model must be text, not None"),
            ({"max_message_bytes": "1"}, "max_message_bytes must be .*'1'"),
            ({"token": b"secret"}, "token must be text"),
            ({"token": "secret"}, "over TLS only"),
            ({"tls": Tls(ca="/nowhere.pem")}, "Cannot read /nowhere.pem"),
        ):
            with self.assertRaisesRegex(UserError, text):
                self.client_class(self.server.target, **options)
        for target in ("http://localhost:8500", "localhost:99999", None):
            with self.assertRaisesRegex(UserError, "as in localhost:8500"):
                self.client_class(target)
        with self.assertRaisesRegex(UserError, "certificate and its key"):
            Tls(certificate="client.pem")

    def test_numbers_that_no_float_holds(self):
        for name in ("temperature", "top_p"):
            for value in (10**400, -HUGE, fractions.Fraction(HUGE), 1e39):
                for given in (value, [value]):
                    with self.assertRaisesRegex(UserError, f"^{name} must be"):
                        self.client.generate("a", **{name: given})
                with self.assertRaisesRegex(UserError, f"^{name} must be"):
                    self.client.stream("a", **{name: value})
        self.assertEmpty(self.server.requests)

    def test_numbers_that_python_does_not_spell(self):
        for name in ("length", "top_k", "seed", "version"):
            for value in (HUGE, -HUGE):
                with self.assertRaisesRegex(UserError, f"^{name} must be"):
                    self.client.generate("a", **{name: value})
        for name in ("chunk", "first_chunk"):
            with self.assertRaisesRegex(UserError, f"^{name} must be 1 to"):
                self.client.stream("a", **{name: HUGE})
        with self.assertRaisesRegex(UserError, "^max_tokens must be"):
            Settings(max_tokens=HUGE)
        for given in (HUGE, [HUGE]):
            with self.assertRaisesRegex(UserError, "^prompts must be"):
                self.client.generate(given)

    def test_a_timeout_may_be_any_kind_of_number(self):
        for timeout in (fractions.Fraction(61, 2), np.float32(30), 10**9):
            with self.client_class(
                self.server.target, timeout=timeout
            ) as client:
                (result,) = client.generate("a", length=2, seed=0)
                self.assertEqual(result.length, 2)
        release = threading.Event()
        self.addCleanup(release.set)
        self.server.loaded[1].predict = lambda *_: release.wait(60)
        timeout = fractions.Fraction(3, 2)
        with self.client_class(self.server.target, timeout=timeout) as client:
            self.assert_serving_error(
                "DEADLINE_EXCEEDED",
                "did not answer within 1.5 seconds",
                client.generate,
                "a",
            )

    def test_deadline(self):
        release = threading.Event()
        self.addCleanup(release.set)
        with self.client_class(self.server.target, timeout=2) as client:
            client.versions()
            self.server.loaded[1].predict = lambda *_: release.wait(60)
            self.assert_serving_error(
                "DEADLINE_EXCEEDED",
                "did not answer within 2 seconds",
                client.generate,
                "a",
            )


def _retype_seed(definitions):
    definitions["generate"].inputs["seed"].dtype = 1


def _add_input(definitions):
    definitions["generate"].inputs["new"].dtype = 1


class AsyncErrorsTest(ErrorsTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
