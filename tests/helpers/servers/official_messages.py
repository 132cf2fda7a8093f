"""TensorFlow Serving's official messages, and values to put into both."""

import numpy as np
from grpc_health.v1 import health_pb2
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_log_pb2

NUMERIC = (
    "float32",
    "float64",
    "float16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
)
OFFICIAL = {
    "Tensor": tensor_pb2.TensorProto,
    "ModelSpec": model_pb2.ModelSpec,
    "PredictRequest": predict_pb2.PredictRequest,
    "PredictResponse": predict_pb2.PredictResponse,
    "GetModelStatusRequest": get_model_status_pb2.GetModelStatusRequest,
    "GetModelStatusResponse": get_model_status_pb2.GetModelStatusResponse,
    "GetModelMetadataRequest": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelMetadataResponse": get_model_metadata_pb2.GetModelMetadataResponse,
    "SignatureDef": meta_graph_pb2.SignatureDef,
    "SignatureDefMap": get_model_metadata_pb2.SignatureDefMap,
    "PredictionLog": prediction_log_pb2.PredictionLog,
    "HealthCheckRequest": health_pb2.HealthCheckRequest,
    "HealthCheckResponse": health_pb2.HealthCheckResponse,
}

quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

shapes = hypothesis_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0)
numbers = st.sampled_from(NUMERIC).flatmap(
    lambda dtype: hypothesis_numpy.arrays(dtype, shapes)
)
strings = shapes.flatmap(
    lambda shape: st.lists(
        st.binary(max_size=300),
        min_size=int(np.prod(shape)),
        max_size=int(np.prod(shape)),
    ).map(lambda values: _object_array(values, shape))
)
arrays = st.one_of(numbers, strings)
names = st.text(max_size=8)


def _object_array(values, shape):
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def dtype_of(array):
    return "string" if array.dtype.hasobject else array.dtype.name


def assert_equal(test, read, array):
    if array.dtype.hasobject:
        read = np.asarray(read, object)  # A scalar string comes as bytes.
        test.assertEqual(read.tolist(), array.tolist())
    else:
        test.assertEqual(read.dtype, array.dtype)
        np.testing.assert_array_equal(read, array)
    test.assertEqual(read.shape, array.shape)


def as_official(message, kind):
    return OFFICIAL[kind].FromString(message.SerializeToString())


def assert_same_bytes(test, ours, theirs):
    test.assertEqual(
        ours.SerializeToString(deterministic=True),
        theirs.SerializeToString(deterministic=True),
    )
