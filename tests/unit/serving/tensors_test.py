"""Our tensors and those of TensorFlow and its runtime, both ways."""

import tensorflow as tf
from absl.testing import absltest
from helpers.servers.official_messages import arrays
from helpers.servers.official_messages import as_official
from helpers.servers.official_messages import assert_equal
from helpers.servers.official_messages import assert_same_bytes
from helpers.servers.official_messages import dtype_of
from helpers.servers.official_messages import numbers
from helpers.servers.official_messages import quick
from helpers.servers.official_messages import shapes
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.framework import types_pb2

from kerasrnn.contract import messages
from kerasrnn.contract import tensors


class TensorTest(absltest.TestCase):
    @quick
    @given(arrays, st.booleans())
    def test_what_we_write_they_read(self, array, content):
        tensor = tensors.to_tensor(array, dtype_of(array), content=content)
        read = tf.make_ndarray(as_official(tensor, "Tensor"))
        assert_equal(self, read, array)

    @quick
    @given(arrays)
    def test_what_they_write_we_read(self, array):
        official = tf.make_tensor_proto(array)
        ours = messages.Tensor.FromString(official.SerializeToString())
        read = tensors.to_array(ours)
        assert_equal(self, read, array)
        assert_same_bytes(self, ours, official)

    @quick
    @given(arrays)
    def test_what_the_runtime_writes_we_read(self, array):
        # C++ writes strings as raw bytes too, which Python never does.
        read = [
            tensors.to_array(messages.Tensor.FromString(content))
            for content in (
                tf.io.serialize_tensor(tf.constant(array)).numpy(),
                tensors.to_tensor(
                    array, dtype_of(array), content=False
                ).SerializeToString(),
            )
        ]
        for entry in read:
            assert_equal(self, entry, array)

    @quick
    @given(arrays, st.booleans())
    def test_what_we_write_the_runtime_reads(self, array, content):
        tensor = tensors.to_tensor(array, dtype_of(array), content=content)
        read = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(array.dtype)
        )
        assert_equal(self, read.numpy(), array)

    @quick
    @given(numbers, shapes)
    def test_values_too_few_or_too_many_are_read_as_the_runtime_does(
        self, values, shape
    ):
        tensor = tensors.to_tensor(
            values.ravel(), dtype_of(values), content=False
        )
        del tensor.tensor_shape.dim[:]
        for size in shape:
            tensor.tensor_shape.dim.add(size=size)
        read = tf.io.parse_tensor(
            tensor.SerializeToString(), tf.as_dtype(values.dtype)
        )
        assert_equal(self, tensors.to_array(tensor), read.numpy())

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


if __name__ == "__main__":
    absltest.main()
