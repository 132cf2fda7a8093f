"""Arrays to TensorFlow's tensor messages and back, without TensorFlow."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from kerasrnn.contract import messages
from kerasrnn.contract.messages import Tensor
from kerasrnn.errors import UserError

DT_STRING = 7
# DataType: (NumPy's name, TensorFlow's name, field of the values).
_DTYPES = {
    1: ("float32", "float", "float_val"),
    2: ("float64", "double", "double_val"),
    3: ("int32", "int32", "int_val"),
    4: ("uint8", "uint8", "int_val"),
    5: ("int16", "int16", "int_val"),
    6: ("int8", "int8", "int_val"),
    DT_STRING: ("object", "string", "string_val"),
    9: ("int64", "int64", "int64_val"),
    10: ("bool", "bool", "bool_val"),
    17: ("uint16", "uint16", "int_val"),
    19: ("float16", "half", "half_val"),
    22: ("uint32", "uint32", "uint32_val"),
    23: ("uint64", "uint64", "uint64_val"),
}
_NUMBERS = {entry[0]: number for number, entry in _DTYPES.items()}
_NUMPY_DTYPES = {n: np.dtype(entry[0]) for n, entry in _DTYPES.items()}
# Fields whose values are on the wire as they are in memory.
_PACKED_AS_THEY_ARE = ("float_val", "double_val")
_LENGTH_DELIMITED = 2

# A message may claim a huge shape in a few bytes. What it costs to read is
# in proportion to what was sent, and to so many values more: enough to send
# one value for all rows.
_MAX_REPEATS = 2**16
# Elements that any array may have; a message of 2 GiB holds fewer.
_MAX_ELEMENTS = 2**31
# Of NumPy's arrays.
_MAX_DIMENSIONS = 64
# Of a number of 32 bits.
_MAX_VARINT = 5

Array = NDArray[Any]


class WireError(UserError):
    """A tensor that arrived does not hold what it says it holds."""


def dtype_name(number: int) -> str:
    """Returns TensorFlow's name of a DataType, such as "float"."""
    return _DTYPES[number][1] if number in _DTYPES else f"DataType {number}"


def numpy_dtype(number: int) -> np.dtype[Any]:
    """Returns NumPy's type of a DataType; strings are objects.

    Raises:
        WireError: The type is none of those read here.
    """
    if number not in _DTYPES:
        raise WireError(
            f"A tensor arrived of DataType {number}, which is none of those "
            f"read here ({', '.join(entry[1] for entry in _DTYPES.values())})."
        )
    return _NUMPY_DTYPES[number]


def to_tensor(values: ArrayLike, dtype: str, *, content: bool = True) -> Tensor:
    """Returns the `Tensor` message of an array.

    Args:
        values: Array of any shape, or nested sequences; of strings, bytes.
        dtype: NumPy's name of the type, or "string".
        content: Whether to send numbers as raw bytes (`tensor_content`), as
            clients do, or in the field of their type, as the server does.
    """
    tensor = Tensor()
    fill_tensor(tensor, values, dtype, content=content)
    return tensor


def fill_tensor(
    tensor: Tensor, values: ArrayLike, dtype: str, *, content: bool = True
) -> None:
    """Does what `to_tensor` does, in a new `Tensor` that is there already."""
    name = "object" if dtype == "string" else dtype
    number = _NUMBERS[name]
    array = np.asarray(values, _NUMPY_DTYPES[number])
    tensor.dtype = number
    shape = tensor.tensor_shape
    # Of a scalar too: a shape without dimensions is not one left out.
    shape.SetInParent()
    for size in array.shape:
        shape.dim.add(size=size)
    field = _DTYPES[number][2]
    if content and name != "object":
        tensor.tensor_content = _little_endian(array).tobytes()
    elif field in _PACKED_AS_THEY_ARE:
        # Without an object of Python's for each number.
        tensor.MergeFromString(_packed(field, _little_endian(array).tobytes()))
    else:
        if array.dtype == np.float16:
            array = np.ascontiguousarray(array).view(np.uint16)
        getattr(tensor, field).extend(array.ravel().tolist())


def _packed(field: str, content: bytes) -> bytes:
    """Returns a repeated field of fixed width as it is on the wire."""
    head, length = bytearray(), len(content)
    number = messages.MESSAGES["Tensor"][field][0]
    head.append(number << 3 | _LENGTH_DELIMITED)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def to_array(tensor: Tensor) -> Array:
    """Returns the array of a `Tensor` message; strings are bytes objects.

    Values come as raw bytes or in the field of their type; there, fewer
    values than elements mean that the last one repeats, none zeros, and
    values beyond the last element are left out. Time and memory are in
    proportion to the message, and to at most `_MAX_REPEATS` values more.

    Raises:
        WireError: The values do not fill the shape.
    """
    number = tensor.dtype
    dtype = numpy_dtype(number)
    shape = _shape(tensor.tensor_shape)
    size = math.prod(shape)
    content = tensor.tensor_content
    if size == 0:
        return np.zeros(shape, dtype)
    if content and dtype.hasobject:
        return _strings(_decode_strings(content, size), shape)
    if content:
        if len(content) != size * dtype.itemsize:
            raise WireError(
                f"A tensor of shape {shape} and type {dtype} arrived with "
                f"{len(content)} bytes; expected {size * dtype.itemsize}."
            )
        array = np.frombuffer(content, dtype.newbyteorder("<"))
        return array.astype(dtype).reshape(shape)
    values = getattr(tensor, _DTYPES[number][2])
    if size > len(values) + _MAX_REPEATS:
        raise WireError(
            f"A tensor of shape {shape} arrived with {len(values)} values; "
            f"at most {_MAX_REPEATS} more than were sent are read here."
        )
    values = _converted(values[:size], number)
    if len(values) < size:
        last = values[-1] if len(values) else (b"" if dtype.hasobject else 0)
        filled = np.full(size, last, dtype)
        filled[: len(values)] = values
        values = filled
    return values.reshape(shape)


def _converted(values: Sequence[Any], number: int) -> Array:
    """Returns the values of a message's field as an array."""
    dtype, field = _NUMPY_DTYPES[number], _DTYPES[number][2]
    if dtype.hasobject:
        return _strings(values, len(values))
    # These fields hold 32 bits, whose upper ones the runtime leaves out too.
    if field == "half_val":
        bits = np.array(values, np.int32).astype(np.uint16)
        return bits.view(np.float16)
    if field == "int_val":
        return np.array(values, np.int32).astype(dtype, copy=False)
    return np.array(values, dtype)


def _strings(values: Sequence[bytes], shape: int | tuple[int, ...]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _decode_strings(content: bytes, count: int) -> list[bytes]:
    """Reads strings as raw bytes: their lengths as varints, then the text."""
    octets = np.frombuffer(content, np.uint8)
    # A varint ends with the first octet below 128.
    ends = np.flatnonzero(octets < 0x80)[:count] + 1
    starts = np.append(0, ends[:-1])
    widths = ends - starts
    complaint = WireError(
        f"A tensor of {count} strings arrived with raw bytes that do not "
        "hold as many."
    )
    if len(ends) < count or widths.max() > _MAX_VARINT:
        raise complaint
    head = octets[: ends[-1]].astype(np.int64) & 0x7F
    shifts = 7 * (np.arange(len(head)) - np.repeat(starts, widths))
    lengths = np.add.reduceat(head << shifts, starts)
    bounds = np.cumsum(np.append(ends[-1], lengths)).tolist()
    if bounds[-1] != len(content) or lengths.max() > len(content):
        raise complaint
    return [content[begin:end] for begin, end in itertools.pairwise(bounds)]


def _little_endian(array: Array) -> Array:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _shape(shape: messages.Shape) -> tuple[int, ...]:
    if len(shape.dim) > _MAX_DIMENSIONS:
        raise WireError(
            f"A tensor of {len(shape.dim)} dimensions arrived; at most "
            f"{_MAX_DIMENSIONS} are read here."
        )
    sizes = tuple([dimension.size for dimension in shape.dim])
    if shape.unknown_rank or min(sizes, default=0) < 0:
        raise WireError(f"A tensor arrived without a definite shape: {sizes}.")
    # NumPy wants the others to fit even where one of them is 0.
    if math.prod(filter(None, sizes)) > _MAX_ELEMENTS:
        raise WireError(
            f"A tensor of shape {sizes} arrived; at most {_MAX_ELEMENTS} "
            "elements are read here."
        )
    return sizes
