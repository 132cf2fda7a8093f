"""How large calls may be, how they fail, and that closing ends them."""

import functools
import threading

import grpc
from absl.testing import absltest
from helpers.servers.channels import TIMEOUT
from helpers.servers.channels import ChannelTestCase
from helpers.servers.clients import AsyncInThread
from helpers.servers.fake_servable import UNITS
from helpers.servers.fake_servable import expected
from kerasrnn_serving.client.errors import ServingError
from kerasrnn_serving.server.rpc import StatusError

from kerasrnn.errors import UserError


class CallsTest(ChannelTestCase):
    def _answer_with_token(self, server, token):
        predict = server.loaded[1].predict

        def answer(request, timeout):
            response = predict(request, timeout)
            response.outputs["state_bytes"].string_val[0] = token
            return response

        server.loaded[1].predict = answer

    def test_closing_while_other_threads_call(self):
        server = self.serve()
        client, begun = self.connect(server.target), threading.Event()
        errors = []

        def ask():
            try:
                for seed in range(10**6):
                    client.generate("a", length=1, seed=seed)
                    begun.set()
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        self.assertTrue(begun.wait(TIMEOUT))
        client.close()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertLen(errors, 8)
        for error in errors:
            self.assertIsInstance(error, UserError)
            self.assertIn("The client is closed", str(error))

    def test_messages_may_be_larger_than_grpc_takes_by_default(self):
        server = self.serve()
        token = bytes(5 * 2**20)
        self._answer_with_token(server, token)
        (result,) = self.connect(server.target).generate("a", length=3)
        self.assertEqual(result.state_bytes, token)

    def test_messages_larger_than_allowed(self):
        server = self.serve()
        self._answer_with_token(server, bytes(20_000))
        client = self.connect(server.target, max_message_bytes=10_000)
        with self.assertRaises(ServingError) as raised:
            client.generate("a", length=3)
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        self.assertIn("larger messages", raised.exception.advice)
        with self.assertRaises(ServingError) as raised:
            client.generate(["a" * 4000] * 3, length=3)
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        with self.assertRaisesRegex(UserError, "max_message_bytes must be"):
            self.connect(server.target, max_message_bytes=0)

    def test_inspections_are_cut_to_fit_into_messages(self):
        server = self.serve()
        predict, calls = server.loaded[1].predict, []

        def noting(request, timeout):
            response = predict(request, timeout)
            calls.append((len(response.outputs["error"].string_val), response))
            return response

        server.loaded[1].predict = noting
        texts = [f"{index:02}é🙂{'x' * 299}" for index in range(40)]
        client = self.connect(server.target)
        wholes = client.inspect(texts)
        self.assertEqual([rows for rows, _ in calls], [32, 8])
        for limit in (200_000, 20_000, 3_000):
            calls.clear()
            client = self.connect(server.target, max_message_bytes=limit)
            for row, whole in zip(client.inspect(texts), wholes, strict=True):
                self.assertEqual(row.characters, whole.characters)
                self.assertEqual(row.top_characters, whole.top_characters)
                self.assertEqual(row.activations.shape, (303, UNITS))
                self.assertEqual(row.state_bytes, whole.state_bytes)
            sizes = [reply.ByteSize() for _, reply in calls]
            self.assertLessEqual(max(sizes), limit)
            self.assertGreater(max(sizes), limit / 4)
        # Of a large network less is asked for without being told to.
        definition = server.loaded[1].signatures["inspect"]
        definition.outputs["activations"].tensor_shape.dim[2].size = 4 * 4096
        calls.clear()
        self.connect(server.target).inspect(["x" * 9000] * 3)
        for rows, reply in calls:
            shape = reply.outputs["activations"].tensor_shape.dim
            self.assertLess(rows * shape[1].size * 4 * 4 * 4096, 2**24)

    def test_inspections_that_a_server_merges_with_longer_ones(self):
        """Its rows then have room for characters that are not theirs."""
        server = self.serve()
        servable = server.loaded[1]
        inspect, calls = servable._inspect, []

        def merged(times, **row):
            calls.append(row)
            outputs = inspect(**row)
            return {
                name: times * value if isinstance(value, list) else value
                for name, value in outputs.items()
            }

        text = "ab" * 1000
        (whole,) = self.connect(server.target).inspect(text)
        client = self.connect(server.target, max_message_bytes=20_000)
        servable._inspect = functools.partial(merged, 4)
        (row,) = client.inspect(text)
        self.assertEqual(row.characters, whole.characters)
        self.assertEqual(row.activations.shape, (2000, UNITS))
        self.assertEqual(row.state_bytes, whole.state_bytes)
        # There is an end to it.
        calls.clear()
        servable._inspect = functools.partial(merged, 1000)
        with self.assertRaises(ServingError) as raised:
            client.inspect(text)
        self.assertEqual(raised.exception.code, "RESOURCE_EXHAUSTED")
        self.assertIn("larger messages", raised.exception.advice)
        self.assertLen(calls, 5)

    def test_a_large_request_is_sent_again_too(self):
        server = self.serve()
        client = self.connect(server.target)
        client.generate("a", length=1)
        predict, calls = server.loaded[1].predict, []

        def failing(request, timeout):
            calls.append(request.ByteSize())
            if len(calls) <= 3:
                raise StatusError(grpc.StatusCode.UNAVAILABLE, "not now")
            # The stand-in's own tokens are short ones.
            tokens = request.inputs["state_bytes"].string_val
            tokens[:] = [b""] * len(tokens)
            return predict(request, timeout)

        server.loaded[1].predict = failing
        # As of 32 rows of an LSTM of 3x512, with prompts of 4,096 bytes.
        results = client.generate(
            ["🙂" * 1024] * 32, length=3, seed=1, state_bytes=bytes(12_500)
        )
        self.assertEqual({r.text for r in results}, {expected(1, 1, 3)})
        self.assertLen(calls, 4)
        # Above what gRPC keeps for a retry unless told otherwise.
        self.assertGreater(min(calls), 2 * 256 * 1024)

    def test_every_status_is_one_exception_with_advice(self):
        server = self.serve()
        for code in grpc.StatusCode:
            if code == grpc.StatusCode.OK:
                continue

            def failing(request, timeout, code=code):
                raise StatusError(code, f"said {code.name}")

            server.loaded[1].predict = failing
            with self.subTest(code.name):
                with self.assertRaises(ServingError) as raised:
                    self.connect(server.target).generate("a")
                error = raised.exception
                self.assertEqual(error.code, code.name)
                self.assertEqual(error.said, f"said {code.name}")
                self.assertNotEmpty(error.advice)
                self.assertIn(server.target, str(error))
                self.assertIn(error.advice, str(error))
                self.assertIsNone(error.row)

    def test_closing_ends_the_calls_that_run(self):
        server = self.serve()
        begun, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def held(request, timeout):
            begun.set()
            release.wait(TIMEOUT)
            raise StatusError(grpc.StatusCode.INTERNAL, "released")

        server.loaded[1].predict = held
        client = self.connect(server.target)
        errors = []

        def ask():
            try:
                client.generate("a")
            except UserError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        self.assertTrue(begun.wait(TIMEOUT))
        client.close()
        thread.join(TIMEOUT)
        self.assertFalse(thread.is_alive())
        self.assertLen(errors, 1)


class AsyncCallsTest(CallsTest):
    client_class = AsyncInThread


if __name__ == "__main__":
    absltest.main()
