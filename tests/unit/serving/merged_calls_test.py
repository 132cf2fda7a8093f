"""Calls that a served version merges, against the same calls alone."""

import concurrent.futures
import dataclasses
import pathlib
import tempfile
import threading
from unittest import mock

import grpc
import numpy as np
from absl.testing import absltest
from helpers.models import small_models
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import state_token
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler
from kerasrnn_serving.server.graph_functions import GraphFunction
from kerasrnn_serving.server.limits import Batching
from kerasrnn_serving.server.rpc import StatusError
from kerasrnn_serving.server.servable import Servable
from kerasrnn_serving.server.work import Call

from kerasrnn.contract import messages
from kerasrnn.contract import tensors

_CALLS = 48
_DTYPES = {
    "prompt": "string",
    "text": "string",
    "state_bytes": "string",
    "length": "int32",
    "temperature": "float32",
    "top_k": "int32",
    "top_p": "float32",
    "seed": "int64",
    "stop": "string",
}


@dataclasses.dataclass(frozen=True)
class Rows:
    """A request: a signature, and its inputs, lists of one value a row."""

    signature: str
    inputs: dict

    def message(self):
        """Returns it as it comes over the wire."""
        request = messages.PredictRequest()
        request.model_spec.signature_name = self.signature
        for name, values in self.inputs.items():
            dtype = _DTYPES[name]
            array = np.array(values, object if dtype == "string" else dtype)
            tensors.fill_tensor(request.inputs[name], array, dtype)
        return request


def some_rows(draws):
    """Returns a request of one row, seldom of more."""
    count = int(draws.choice([1, 1, 1, 1, 3]))

    def texts():
        return [
            "".join(draws.choice(list("abcdefg .\n"), draws.integers(0, 9)))
            for _ in range(count)
        ]

    if draws.random() < 0.3:
        text = [value.encode() for value in texts()]
        return Rows("score", {"text": text, "state_bytes": [b""] * count})
    return Rows(
        "generate",
        {
            "prompt": [value.encode() for value in texts()],
            "state_bytes": [b"" if draws.random() < 0.9 else b"bad"] * count,
            "length": draws.choice([1, 9, 20, 70], count),
            "temperature": draws.choice([0.0, 0.5, 1.0, -1.0], count),
            "top_k": draws.choice([0, 3], count),
            "top_p": draws.choice([1.0, 0.9], count),
            "seed": draws.integers(0, 100, count),
            "stop": [b""] * count,
        },
    )


def _contents(token):
    """Returns a token's integers and its states; see `state_token`."""
    payload = token[state_token.HEADER_LENGTH :]
    states = state_token.FIXED_WORDS * 4
    return (
        np.frombuffer(payload[:states], "<i4"),
        np.frombuffer(payload[states:], "<f4"),
    )


class MergedCallsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        vocabulary = small_models.make_vocabulary("characters")
        config = small_models.make_config(vocabulary)
        sampler = Sampler(
            config,
            small_models.random_weights(config),
            vocabulary,
            SamplerOptions(),
        )
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        path = pathlib.Path(folder, "1")
        archive.write(sampler, path)
        cls.merging = Servable(path)
        cls.alone = Servable(path, batching=Batching(max_batch_size=1))
        cls.addClassCleanup(cls.merging.close)
        cls.addClassCleanup(cls.alone.close)

    def setUp(self):
        super().setUp()
        self.batches = []
        run = GraphFunction.__call__

        def noted(function, arrays, manager):
            self.batches.append(len(arrays[0]))
            return run(function, arrays, manager)

        self.enterContext(mock.patch.object(GraphFunction, "__call__", noted))

    def all_at_once(self, requests, calls=None):
        """Returns futures of the replies to requests that come together."""
        barrier = threading.Barrier(len(requests))
        pool = self.enterContext(
            concurrent.futures.ThreadPoolExecutor(len(requests))
        )

        def run(index):
            barrier.wait()
            call = calls[index] if calls else Call()
            return self.merging.predict(requests[index].message(), call)

        return [pool.submit(run, index) for index in range(len(requests))]

    def test_any_calls_come_to_what_they_are_alone(self):
        draws = np.random.default_rng(0)
        requests = [some_rows(draws) for _ in range(_CALLS)]
        replies = self.all_at_once(requests)
        for request, reply in zip(requests, replies, strict=True):
            expected = self.alone.predict(request.message()).outputs
            for name, tensor in reply.result().outputs.items():
                one = tensors.to_array(tensor)
                other = tensors.to_array(expected[name])
                if name == "state_bytes":
                    self.assert_same_tokens(one, other)
                    continue
                if one.dtype.hasobject:
                    np.testing.assert_array_equal(one, other)
                    continue
                # What is behind a row's end is nobody's.
                one, other = (a.reshape(len(a), -1) for a in (one, other))
                width = min(one.shape[1], other.shape[1])
                np.testing.assert_allclose(
                    one[:, :width], other[:, :width], rtol=1e-4, atol=1e-4
                )
        self.assertGreater(max(self.batches), 3)

    def assert_same_tokens(self, tokens, others):
        """Asserts that they are equal but for the rounding of the states.

        A product of several rows rounds otherwise than one of a single row on
        some processors.
        """
        for token, other in zip(tokens, others, strict=True):
            self.assertEqual(len(token), len(other))
            if token:
                counts, states = _contents(token)
                other_counts, other_states = _contents(other)
                np.testing.assert_array_equal(counts, other_counts)
                np.testing.assert_allclose(states, other_states, atol=1e-4)

    def test_replies_are_as_long_as_their_own_rows(self):
        """What is read beside a call takes no room in its reply."""
        for signature in ("inspect", "score"):
            self.batches.clear()
            requests = [
                Rows(
                    signature,
                    {"text": [b"a" * n, b"b"], "state_bytes": [b""] * 2},
                )
                for n in range(1, 25)
            ]
            replies = self.all_at_once(requests)
            for request, reply in zip(requests, replies, strict=True):
                expected = self.alone.predict(request.message()).outputs
                for name, tensor in reply.result().outputs.items():
                    self.assertEqual(
                        tensor.tensor_shape, expected[name].tensor_shape
                    )
            self.assertGreater(max(self.batches), 2)

    def test_one_malformed_call_fails_alone(self):
        requests = [
            Rows(
                "score",
                {"text": [b"a" * (i + 1)], "state_bytes": [b""]},
            )
            for i in range(12)
        ]
        # Two rows of one input and one of another: the graph refuses it.
        requests[5] = Rows(
            "score", {"text": [b"a", b"b", b"c"], "state_bytes": [b"", b""]}
        )
        replies = self.all_at_once(requests)
        for index, reply in enumerate(replies):
            if index == 5:
                with self.assertRaises(StatusError) as caught:
                    reply.result()
                self.assertEqual(
                    caught.exception.code, grpc.StatusCode.INVALID_ARGUMENT
                )
                continue
            outputs = reply.result().outputs
            self.assertEqual(tensors.to_array(outputs["error"]), [b""])

    def test_who_is_cancelled_leaves_the_others_alone(self):
        draws = np.random.default_rng(1)
        requests = [some_rows(draws) for _ in range(20)]
        calls = [Call() for _ in requests]
        for call in calls[::3]:
            call.cancel()
        replies = self.all_at_once(requests, calls)
        for index, reply in enumerate(replies):
            if index % 3:
                expected = self.alone.predict(requests[index].message())
                self.assertEqual(
                    reply.result().outputs["error"], expected.outputs["error"]
                )
                continue
            with self.assertRaises(StatusError) as caught:
                reply.result()
            self.assertEqual(caught.exception.code, grpc.StatusCode.CANCELLED)


if __name__ == "__main__":
    absltest.main()
