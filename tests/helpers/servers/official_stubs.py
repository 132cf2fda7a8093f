"""TensorFlow Serving's official stubs, and tests that call by them."""

import grpc
import tensorflow as tf
from absl.testing import absltest
from grpc_health.v1 import health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

from helpers.servers import serving_process

TIMEOUT = 60


def predict_request(signature, inputs, version=None, model="kerasrnn"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


class Stub:
    """The official stubs over one channel."""

    def __init__(self, target):
        self._channel = grpc.insecure_channel(target)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self.model = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self.health = health_pb2_grpc.HealthStub(self._channel)

    def predict(self, signature, inputs, **options):
        timeout = options.pop("timeout", TIMEOUT)
        return self.prediction.Predict(
            predict_request(signature, inputs, **options), timeout=timeout
        )

    def close(self):
        self._channel.close()


def text_of(response, row=0):
    return response.outputs["text"].string_val[row].decode()


class ServerTestCase(absltest.TestCase):
    def assert_status(self, code, message, function, *arguments, **options):
        with self.assertRaises(grpc.RpcError) as raised:
            function(*arguments, **options)
        self.assertEqual(raised.exception.details(), message)
        self.assertEqual(raised.exception.code(), code)


class SharedServerTestCase(ServerTestCase):
    """Asks the server that all tests of a process share."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = serving_process.shared_server()
        cls.stub = Stub(cls.server.target)
        cls.addClassCleanup(cls.stub.close)
