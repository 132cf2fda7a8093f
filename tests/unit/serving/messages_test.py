"""Our messages and TensorFlow Serving's official ones, both ways."""

import tensorflow as tf
from absl.testing import absltest
from google.protobuf import wrappers_pb2
from helpers.servers.official_messages import NUMERIC
from helpers.servers.official_messages import OFFICIAL
from helpers.servers.official_messages import arrays
from helpers.servers.official_messages import as_official
from helpers.servers.official_messages import assert_equal
from helpers.servers.official_messages import assert_same_bytes
from helpers.servers.official_messages import dtype_of
from helpers.servers.official_messages import names
from helpers.servers.official_messages import quick
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import predict_pb2

from kerasrnn.contract import api
from kerasrnn.contract import messages
from kerasrnn.contract import tensors


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
            tensor = tensors.to_tensor(array, dtype_of(array))
            request.inputs[name].CopyFrom(tensor)
            official.inputs[name].CopyFrom(as_official(tensor, "Tensor"))
        assert_same_bytes(self, request, official)
        back = messages.PredictRequest.FromString(official.SerializeToString())
        self.assertEqual(back, request)
        self.assertEqual(as_official(request, "PredictRequest"), official)

    @quick
    @given(specs, st.dictionaries(names, arrays, max_size=3))
    def test_responses(self, spec, outputs):
        official = predict_pb2.PredictResponse()
        _fill_spec(official.model_spec, spec)
        for name, array in outputs.items():
            official.outputs[name].CopyFrom(tf.make_tensor_proto(array))
        ours = messages.PredictResponse.FromString(official.SerializeToString())
        assert_same_bytes(self, ours, official)
        self.assertEqual(set(ours.outputs), set(outputs))
        for name, array in outputs.items():
            assert_equal(self, tensors.to_array(ours.outputs[name]), array)

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
        assert_same_bytes(self, ours, official)
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
        assert_same_bytes(self, ours, response)
        metadata = ours.metadata[api.SIGNATURE_DEF_FIELD]
        self.assertEqual(metadata.type_url, api.SIGNATURE_DEF_MAP_URL)
        read = messages.SignatureDefMap.FromString(metadata.value)
        assert_same_bytes(self, read, official)
        default = tensors.to_array(
            read.signature_def["generate"].defaults["prompt"]
        )
        self.assertEqual(default.tolist(), [b"a"])

    def test_fields_unknown_here_are_carried_along(self):
        official = predict_pb2.PredictRequest(client_id=b"me")
        ours = messages.PredictRequest.FromString(official.SerializeToString())
        assert_same_bytes(self, ours, official)


if __name__ == "__main__":
    absltest.main()
