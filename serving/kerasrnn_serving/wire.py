"""TensorFlow Serving's messages on the wire, without TensorFlow.

The messages are described here at run time, under a package name of our own
and in a descriptor pool of our own, so that they live beside the official
ones in one process. What counts on the wire is the field numbers and types,
which are those of `tensorflow/core/framework/tensor.proto`,
`tensorflow_serving/apis/*.proto` and `grpc/health/v1/health.proto`; a field
that is not listed is carried along unread. Enumerations are plain int32.
"""

import math

import numpy as np
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message
from google.protobuf import message_factory

from kerasrnn.errors import UserError

PREDICT = "/tensorflow.serving.PredictionService/Predict"
GET_MODEL_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
GET_MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"

SIGNATURE_DEF_FIELD = "signature_def"
SIGNATURE_DEF_MAP_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

# States of a version, of ModelVersionStatus.
START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50
STATE_NAMES = {
    0: "UNKNOWN",
    START: "START",
    LOADING: "LOADING",
    AVAILABLE: "AVAILABLE",
    UNLOADING: "UNLOADING",
    END: "END",
}

# Of HealthCheckResponse.
HEALTH_UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = 0, 1, 2, 3

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

# A message may claim a huge shape in a few bytes; more elements than this
# are not believed.
_MAX_ELEMENTS = 2**28

# Message: {field: (number, type)}. "*" repeats, "{}" is a map from strings,
# "|" is a member of the message's oneof; a capital begins a message's name.
_MESSAGES = {
    "Dimension": {"size": (1, "int64"), "name": (2, "string")},
    "Shape": {"dim": (2, "*Dimension"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "version_number": (3, "int32"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "Int64": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "|Int64"),
        "version_label": (4, "|string"),
        "signature_name": (3, "string"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "{}Tensor"),
        "output_filter": (3, "*string"),
    },
    "PredictResponse": {
        "outputs": (1, "{}Tensor"),
        "model_spec": (2, "ModelSpec"),
    },
    "Status": {"error_code": (1, "int32"), "error_message": (2, "string")},
    "VersionStatus": {
        "version": (1, "int64"),
        "state": (2, "int32"),
        "status": (3, "Status"),
    },
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "GetModelStatusResponse": {"model_version_status": (1, "*VersionStatus")},
    "GetModelMetadataRequest": {
        "model_spec": (1, "ModelSpec"),
        "metadata_field": (2, "*string"),
    },
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataResponse": {
        "model_spec": (1, "ModelSpec"),
        "metadata": (2, "{}Any"),
    },
    "TensorInfo": {
        "name": (1, "string"),
        "dtype": (2, "int32"),
        "tensor_shape": (3, "Shape"),
    },
    "SignatureDef": {
        "inputs": (1, "{}TensorInfo"),
        "outputs": (2, "{}TensorInfo"),
        "method_name": (3, "string"),
        "defaults": (4, "{}Tensor"),
    },
    "SignatureDefMap": {"signature_def": (1, "{}SignatureDef")},
    # Of a warmup file's records.
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
    "HealthCheckRequest": {"service": (1, "string")},
    "HealthCheckResponse": {"status": (1, "int32")},
}

_PACKAGE = "kerasrnn.wire"
_Field = descriptor_pb2.FieldDescriptorProto


def _add_field(message_type, name, number, kind):
    field = message_type.field.add(name=name, number=number)
    field.label = _Field.LABEL_OPTIONAL
    if kind.startswith("{}"):
        entry_name = name.title().replace("_", "") + "Entry"
        entry = message_type.nested_type.add(name=entry_name)
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string")
        _add_field(entry, "value", 2, kind[2:])
        kind = f"*{message_type.name}.{entry_name}"
    if kind.startswith("*"):
        field.label = _Field.LABEL_REPEATED
    elif kind.startswith("|"):
        if not message_type.oneof_decl:
            message_type.oneof_decl.add(name="choice")
        field.oneof_index = 0
    kind = kind.lstrip("*|")
    if kind[0].isupper():
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(_Field, f"TYPE_{kind.upper()}")


def _build():
    file = descriptor_pb2.FileDescriptorProto(
        name="kerasrnn/wire.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message_type = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message_type, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in _MESSAGES
    }


_CLASSES = _build()
Tensor = _CLASSES["Tensor"]
ModelSpec = _CLASSES["ModelSpec"]
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
GetModelStatusRequest = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["GetModelStatusResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
SignatureDef = _CLASSES["SignatureDef"]
SignatureDefMap = _CLASSES["SignatureDefMap"]
PredictionLog = _CLASSES["PredictionLog"]
HealthCheckRequest = _CLASSES["HealthCheckRequest"]
HealthCheckResponse = _CLASSES["HealthCheckResponse"]
DecodeError = message.DecodeError


class WireError(UserError):
    """A tensor that arrived does not hold what it says it holds."""


def dtype_name(number: int) -> str:
    """Returns TensorFlow's name of a DataType, such as "float"."""
    return _DTYPES[number][1] if number in _DTYPES else f"DataType {number}"


def numpy_dtype(number: int) -> np.dtype:
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


def to_tensor(values, dtype: str, *, content: bool = True):
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


def fill_tensor(tensor, values, dtype: str, *, content: bool = True) -> None:
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


def _packed(field, content):
    """Returns a repeated field of fixed width as it is on the wire."""
    head, length = bytearray(), len(content)
    number = _MESSAGES["Tensor"][field][0]
    head.append(number << 3 | _LENGTH_DELIMITED)
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + content


def to_array(tensor) -> np.ndarray:
    """Returns the array of a `Tensor` message; strings are bytes objects.

    Values come as raw bytes or in the field of their type; there, fewer
    values than elements mean that the last one repeats, and none zeros.

    Raises:
        WireError: The values do not fill the shape.
    """
    number = tensor.dtype
    dtype = numpy_dtype(number)
    shape = _shape(tensor.tensor_shape)
    size = math.prod(shape)
    content = tensor.tensor_content
    if content and dtype.hasobject:
        return _strings(list(_decode_strings(content, size)), shape)
    if content:
        if len(content) != size * dtype.itemsize:
            raise WireError(
                f"A tensor of shape {shape} and type {dtype} arrived with "
                f"{len(content)} bytes; expected {size * dtype.itemsize}."
            )
        array = np.frombuffer(content, dtype.newbyteorder("<"))
        return array.astype(dtype).reshape(shape)
    field = _DTYPES[number][2]
    values = getattr(tensor, field)
    if len(values) > size:
        raise WireError(
            f"A tensor of shape {shape} arrived with {len(values)} values; "
            f"expected at most {size}."
        )
    if dtype == np.float16:
        values = np.array(values, np.uint16).view(np.float16)
    elif field == "int_val" and dtype != np.int32:
        values = np.array(values, np.int32)
    if len(values) == size and dtype.hasobject:
        return _strings(values[:], shape)
    if len(values) == size:
        return np.array(values).astype(dtype, copy=False).reshape(shape)
    last = values[-1] if len(values) else (b"" if dtype.hasobject else 0)
    array = np.full(size, last, dtype)
    array[: len(values)] = values
    return array.reshape(shape)


def _strings(values, shape):
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)


def _decode_strings(content, count):
    """Reads strings as raw bytes: their lengths as varints, then the text."""
    position, lengths = 0, []
    while len(lengths) < count and position < len(content):
        length = shift = 0
        while position < len(content):
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if len(lengths) != count or position + sum(lengths) != len(content):
        raise WireError(
            f"A tensor of {count} strings arrived with raw bytes that do not "
            "hold as many."
        )
    for length in lengths:
        yield content[position : position + length]
        position += length


def _little_endian(array):
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _shape(shape):
    sizes = tuple([dimension.size for dimension in shape.dim])
    if shape.unknown_rank or min(sizes, default=0) < 0:
        raise WireError(f"A tensor arrived without a definite shape: {sizes}.")
    if math.prod(sizes) > _MAX_ELEMENTS:
        raise WireError(
            f"A tensor of shape {sizes} arrived; at most {_MAX_ELEMENTS} "
            "elements are read here."
        )
    return sizes
