"""Our messages and TensorFlow Serving's official ones, both ways."""

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from google.protobuf import wrappers_pb2
from grpc_health.v1 import health_pb2
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_log_pb2

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import tensors

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


def _dtype(array):
    return "string" if array.dtype.hasobject else array.dtype.name


def _assert_equal(test, read, array):
    if array.dtype.hasobject:
        read = np.asarray(read, object)  # A scalar string comes as bytes.
        test.assertEqual(read.tolist(), array.tolist())
    else:
        test.assertEqual(read.dtype, array.dtype)
        np.testing.assert_array_equal(read, array)
    test.assertEqual(read.shape, array.shape)


def _official(message, kind):
    return OFFICIAL[kind].FromString(message.SerializeToString())


def _same(test, ours, theirs):
    test.assertEqual(
        ours.SerializeToString(deterministic=True),
        theirs.SerializeToString(deterministic=True),
    )


class DescriptorTest(absltest.TestCase):
    def test_fields_are_the_official_ones(self):
        seen = set()
        for kind, official in OFFICIAL.items():
            self._compare(
                getattr(messages, kind).DESCRIPTOR, official.DESCRIPTOR, seen
            )
        self.assertIn("kerasrnn.wire.Status", seen)

    def _compare(self, ours, theirs, seen):
        if ours.full_name in seen:
            return
        seen.add(ours.full_name)
        for field in ours.fields:
            other = theirs.fields_by_name[field.name]
            self.assertEqual(field.number, other.number, field.full_name)
            self.assertEqual(field.is_repeated, other.is_repeated)
            self.assertEqual(field.is_packed, other.is_packed)
            if other.type == other.TYPE_ENUM:
                self.assertEqual(field.type, field.TYPE_INT32)
            else:
                self.assertEqual(field.type, other.type, field.full_name)
            if field.message_type is not None:
                self._compare(field.message_type, other.message_type, seen)

    def test_numbers_of_types_are_the_official_ones(self):
        for name in (*NUMERIC, "string"):
            number = tensors.to_tensor([], name).dtype
            self.assertEqual(number, tf.as_dtype(name).as_datatype_enum)
            self.assertEqual(
                "DT_" + tensors.dtype_name(number).upper(),
                types_pb2.DataType.Name(number),
            )


class TensorTest(absltest.TestCase):
    @quick
    @given(arrays, st.booleans())
    def test_what_we_write_they_read(self, array, content):
        tensor = tensors.to_tensor(array, _dtype(array), content=content)
        read = tf.make_ndarray(_official(tensor, "Tensor"))
        _assert_equal(self, read, array)

    @quick
    @given(arrays)
    def test_what_they_write_we_read(self, array):
        official = tf.make_tensor_proto(array)
        ours = messages.Tensor.FromString(official.SerializeToString())
        read = tensors.to_array(ours)
        _assert_equal(self, read, array)
        _same(self, ours, official)

    @quick
    @given(arrays)
    def test_what_the_runtime_writes_we_read(self, array):
        # C++ writes strings as raw bytes too, which Python never does.
        read = [
            tensors.to_array(messages.Tensor.FromString(content))
            for content in (
                tf.io.serialize_tensor(tf.constant(array)).numpy(),
                tensors.to_tensor(
                    array, _dtype(array), content=False
                ).SerializeToString(),
            )
        ]
        for entry in read:
            _assert_equal(self, entry, array)

    @quick
    @given(arrays, st.booleans())
    def test_what_we_write_the_runtime_reads(self, array, content):
        tensor = tensors.to_tensor(array, _dtype(array), content=content)
        read = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(array.dtype)
        )
        _assert_equal(self, read.numpy(), array)

    @quick
    @given(numbers, shapes)
    def test_values_too_few_or_too_many_are_read_as_the_runtime_does(
        self, values, shape
    ):
        tensor = tensors.to_tensor(
            values.ravel(), _dtype(values), content=False
        )
        del tensor.tensor_shape.dim[:]
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        read = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(values.dtype)
        )
        _assert_equal(self, tensors.to_array(tensor), read.numpy())

    def test_raw_strings_of_the_runtime(self):
        # `--enable_serialization_as_tensor_content`: lengths, then the text.
        tensor = messages.Tensor(dtype=tensors.DT_STRING)
        tensor.tensor_shape.dim.add(size=3)
        tensor.tensor_content = b"\x01\x00\xac\x02" + b"a" + b"b" * 300
        read = tf.io.parse_tensor(tensor.SerializeToString(), tf.string)
        self.assertEqual(
            tensors.to_array(tensor).tolist(), read.numpy().tolist()
        )
        for content in (b"\x01", b"\x05\x00\x00ab", b"\x00\x00\x00a", b"\xff"):
            tensor.tensor_content = content
            with self.assertRaises(tensors.WireError):
                tensors.to_array(tensor)

    @quick
    @given(st.binary(max_size=200))
    def test_any_bytes_are_an_array_or_an_error_of_ours(self, content):
        try:
            tensor = messages.Tensor.FromString(content)
        except messages.DecodeError:
            return
        try:
            tensors.to_array(tensor)
        except tensors.WireError:
            return

    def test_claims_that_are_too_large(self):
        tensor = tensors.to_tensor([1.0], "float32", content=False)
        tensor.tensor_shape.dim[0].size = 2**62
        with self.assertRaisesRegex(tensors.WireError, "at most"):
            tensors.to_array(tensor)
        tensor.tensor_shape.dim[0].size = -1
        with self.assertRaisesRegex(tensors.WireError, "definite shape"):
            tensors.to_array(tensor)
        tensor = tensors.to_tensor([1.0, 2.0], "float32")
        tensor.tensor_shape.dim[0].size = 3
        with self.assertRaisesRegex(tensors.WireError, "8 bytes; expected 12"):
            tensors.to_array(tensor)
        tensor.dtype = types_pb2.DT_RESOURCE
        with self.assertRaisesRegex(tensors.WireError, "DataType 20"):
            tensors.to_array(tensor)


specs = st.builds(
    lambda name, version, label, signature: (name, version, label, signature),
    names,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    names,
    names,
)


def _fill_spec(spec, values):
    name, version, label, signature = values
    spec.name, spec.signature_name = name, signature
    if version is not None:
        spec.version.value = version
    elif label:
        spec.version_label = label


class MessageTest(absltest.TestCase):
    @quick
    @given(specs, st.dictionaries(names, arrays, max_size=3), st.lists(names))
    def test_requests(self, spec, inputs, output_filter):
        request = messages.PredictRequest(output_filter=output_filter)
        official = predict_pb2.PredictRequest(output_filter=output_filter)
        for message in (request, official):
            _fill_spec(message.model_spec, spec)
        for name, array in inputs.items():
            tensor = tensors.to_tensor(array, _dtype(array))
            request.inputs[name].CopyFrom(tensor)
            official.inputs[name].CopyFrom(_official(tensor, "Tensor"))
        _same(self, request, official)
        back = messages.PredictRequest.FromString(official.SerializeToString())
        self.assertEqual(back, request)
        self.assertEqual(_official(request, "PredictRequest"), official)

    @quick
    @given(specs, st.dictionaries(names, arrays, max_size=3))
    def test_responses(self, spec, outputs):
        official = predict_pb2.PredictResponse()
        _fill_spec(official.model_spec, spec)
        for name, array in outputs.items():
            official.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        ours = messages.PredictResponse.FromString(official.SerializeToString())
        _same(self, ours, official)
        self.assertEqual(set(ours.outputs), set(outputs))
        for name, array in outputs.items():
            _assert_equal(self, tensors.to_array(ours.outputs[name]), array)

    @quick
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 2**62),
                st.sampled_from(sorted(api.STATE_NAMES)),
                st.integers(0, 16),
                names,
            )
        )
    )
    def test_statuses(self, entries):
        official = get_model_status_pb2.GetModelStatusResponse()
        for version, state, code, text in entries:
            entry = official.model_version_status.add(
                version=version, state=state
            )
            entry.status.error_code = code
            entry.status.error_message = text
        ours = messages.GetModelStatusResponse.FromString(
            official.SerializeToString()
        )
        _same(self, ours, official)
        for entry, (version, state, code, text) in zip(
            ours.model_version_status, entries, strict=True
        ):
            self.assertEqual(entry.version, version)
            self.assertEqual(entry.state, state)
            self.assertEqual(entry.status.error_code, code)
            self.assertEqual(entry.status.error_message, text)

    def test_states_have_the_official_names(self):
        states = get_model_status_pb2.ModelVersionStatus.State
        self.assertEqual(
            api.STATE_NAMES, {number: name for name, number in states.items()}
        )

    def test_metadata(self):
        official = get_model_metadata_pb2.SignatureDefMap()
        definition = official.signature_def["generate"]
        definition.method_name = "tensorflow/serving/predict"
        definition.inputs["prompt"].name = "generate_prompt:0"
        definition.inputs["prompt"].dtype = types_pb2.DT_STRING
        definition.inputs["prompt"].tensor_shape.dim.add(size=-1)
        definition.defaults["prompt"].CopyFrom(tf.make_tensor_proto(["a"]))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.version.CopyFrom(wrappers_pb2.Int64Value(value=3))
        response.metadata["signature_def"].Pack(official)
        ours = messages.GetModelMetadataResponse.FromString(
            response.SerializeToString()
        )
        _same(self, ours, response)
        metadata = ours.metadata[api.SIGNATURE_DEF_FIELD]
        self.assertEqual(metadata.type_url, api.SIGNATURE_DEF_MAP_URL)
        read = messages.SignatureDefMap.FromString(metadata.value)
        _same(self, read, official)
        default = tensors.to_array(
            read.signature_def["generate"].defaults["prompt"]
        )
        self.assertEqual(default.tolist(), [b"a"])

    def test_fields_unknown_here_are_carried_along(self):
        official = predict_pb2.PredictRequest(client_id=b"me")
        ours = messages.PredictRequest.FromString(official.SerializeToString())
        _same(self, ours, official)


if __name__ == "__main__":
    absltest.main()
