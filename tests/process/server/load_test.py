"""Swaps under load: no request fails, and each is answered by one version.

Counted with the official stub, which here does not retry: 16 clients, 20,000
requests and 20 swaps of a real export in full (`make reliability`), fewer of
a stand-in model in short.
"""

import collections
import os
import shutil
import tempfile
import threading
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest
from helpers.full_counts import FULL
from helpers.models import small_models
from helpers.servers import fake_export
from helpers.servers import serving_process
from kerasrnn_export.graph import archive
from kerasrnn_export.graph.options import SamplerOptions
from kerasrnn_export.graph.sampler import Sampler
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from kerasrnn.model.text_generator import TextGenerator

_CLIENTS = 16
_REQUESTS, _SWAPS = (20_000, 20) if FULL else (600, 3)
_SEEDS = 20
_LENGTH = 40
_TIMEOUT = 120


class StandIns:
    """Versions of `fake_export`."""

    def prepare(self, directory, version):
        """Writes the version; returns where, and its text for each seed."""
        path = fake_export.publish(directory / "aside", version)
        texts = [
            fake_export.expected(version, seed, _LENGTH)
            for seed in range(_SEEDS)
        ]
        return path, texts


class Exports:
    """Exports of random weights; their text is the live model's."""

    def __init__(self):
        self._vocabulary = small_models.make_vocabulary("characters")
        self._config = small_models.make_config(self._vocabulary)
        self._generator = TextGenerator(self._config, self._vocabulary)

    def prepare(self, directory, version):
        """Writes the version; returns where, and its text for each seed."""
        weights = small_models.random_weights(self._config, version)
        sampler = Sampler(
            self._config, weights, self._vocabulary, SamplerOptions()
        )
        path = directory / "aside"
        archive.write(sampler, path)
        weights = [tf.constant(weight) for weight in weights]
        texts = [
            "".join(
                chunk.text
                for chunk in self._generator.stream(
                    weights, length=_LENGTH, seed=seed
                )
            )
            for seed in range(_SEEDS)
        ]
        return path, texts


class Load:
    """Clients that ask until they are told to stop, and what they got."""

    def __init__(self, target, expected):
        self._target = target
        self._expected = expected
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self.failures = []
        self.answers = collections.Counter()
        self._threads = [
            threading.Thread(target=self._work, args=[index])
            for index in range(_CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, index):
        options = [("grpc.enable_retries", 0), ("grpc.client_id", index)]
        with grpc.insecure_channel(self._target, options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            seed = index
            while not self._stop.is_set():
                seed = (seed + 1) % _SEEDS
                self._count(*self._ask(stub, seed))

    def _ask(self, stub, seed):
        """Returns the version and what is wrong with its answer."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "kerasrnn"
        request.model_spec.signature_name = "generate"
        for name, value in (
            ("prompt", [b""]),
            ("seed", np.int64([seed])),
            ("length", np.int32([_LENGTH])),
        ):
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        try:
            response = stub.Predict(request, timeout=_TIMEOUT)
        except grpc.RpcError as error:
            return 0, f"{error.code()}: {error.details()}"
        version = response.model_spec.version.value
        text = response.outputs["text"].string_val[0].decode()
        if text != self._expected[version][seed]:
            return version, f"version {version}, seed {seed}: {text!r}"
        return version, None

    def _count(self, version, failure):
        with self._changed:
            self.answers[version] += 1
            if failure is not None:
                self.failures.append(failure)
                self._stop.set()
            self._changed.notify_all()

    def wait_for(self, count):
        """Returns once so many requests were answered, or one has failed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.answers.total() >= count or self.failures
            )

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class SwapsUnderLoadTest(absltest.TestCase):
    def test_no_request_fails_while_versions_are_swapped(self):
        directory = Path(self.enter_context(tempfile.TemporaryDirectory()))
        versions = Exports() if FULL else StandIns()
        prepared, expected = {}, {}
        for version in range(1, _SWAPS + 2):
            path, expected[version] = versions.prepare(directory, version)
            prepared[version] = directory / f"prepared-{version}"
            os.rename(path, prepared[version])
            # The next one gets a number of its own all the same.
            shutil.rmtree(directory / "aside", ignore_errors=True)
        texts = [tuple(texts) for texts in expected.values()]
        self.assertLen(set(texts), len(texts))

        os.rename(prepared.pop(1), directory / "1")
        server = serving_process.ServerProcess(directory, fake_export.FLAG)
        self.addCleanup(server.close)
        load = Load(server.target, expected)
        self.addCleanup(load.stop)
        for index, (version, path) in enumerate(prepared.items(), 1):
            load.wait_for(index * _REQUESTS // (_SWAPS + 1))
            os.rename(path, directory / str(version))
            serving_process.wait_for_version(server.target, version)
        load.wait_for(_REQUESTS)
        # The newest one has had its share too.
        load.wait_for(load.answers.total() + _CLIENTS)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreaterEqual(load.answers.total(), _REQUESTS)
        self.assertEqual(set(load.answers), set(expected))
        self.assertEqual(server.terminate(), 0)
        self.assertNotIn("Traceback", server.errors())
        print(
            f"{load.answers.total()} requests, {_SWAPS} swaps, "
            f"{len(load.failures)} failed"
        )


if __name__ == "__main__":
    absltest.main()
