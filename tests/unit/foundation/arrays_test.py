"""Files of arrays: what is written is read again, and no objects are."""

import pathlib

import hypothesis
import numpy as np
from absl.testing import absltest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays_of

from kerasrnn.errors import UserError
from kerasrnn.foundation.files import read_arrays
from kerasrnn.foundation.files import write_arrays

_TYPES = [np.dtype(name) for name in ("f4", "f8", "f2", "i4", "i8", "u1", "?")]
_ARRAYS = strategies.dictionaries(
    strategies.text("abc/_.", min_size=1),
    arrays_of.arrays(
        strategies.sampled_from(_TYPES),
        arrays_of.array_shapes(min_dims=0, min_side=0),
    ),
)


class ArraysTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.create_tempdir().full_path)
        self.path = folder / "arrays.npz"

    @hypothesis.settings(deadline=None, max_examples=100)
    @hypothesis.given(arrays=_ARRAYS, transposed=strategies.booleans())
    def test_what_is_written_is_read_again(self, arrays, transposed):
        if transposed:  # They lie in another order in memory.
            arrays = {name: array.T for name, array in arrays.items()}
        write_arrays(self.path, arrays)
        found = read_arrays(self.path)
        self.assertEqual(list(found), list(arrays))
        for name, array in arrays.items():
            self.assertEqual(found[name].dtype, array.dtype)
            np.testing.assert_array_equal(found[name], array)

    def test_numpy_reads_it_too(self):
        array = np.arange(6, dtype=np.float32).reshape(2, 3)
        write_arrays(self.path, {"a": array, "b": array.T})
        with np.load(self.path, allow_pickle=False) as found:
            self.assertEqual(found.files, ["a", "b"])
            np.testing.assert_array_equal(found["a"], array)
            np.testing.assert_array_equal(found["b"], array.T)

    def test_objects_are_refused(self):
        objects = np.asarray([{}], dtype=object)
        with self.assertRaisesRegex(ValueError, "[Oo]bject"):
            write_arrays(self.path, {"a": objects})
        np.savez(self.path, a=objects)
        with self.assertRaisesRegex(UserError, "not a file of arrays"):
            read_arrays(self.path)


if __name__ == "__main__":
    absltest.main()
