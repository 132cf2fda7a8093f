"""The messages of TensorFlow Serving: their fields, and classes for them.

The messages are described here at run time, under a package name of our own
and in a descriptor pool of our own, so that they live beside the official
ones in one process. What counts on the wire is the field numbers and types,
which are those of `tensorflow/core/framework/tensor.proto`,
`tensorflow_serving/apis/*.proto` and `grpc/health/v1/health.proto`; a field
that is not listed is carried along unread. Enumerations are plain int32.
Type checkers read `messages.pyi`, which `scripts/message_types.py` makes from
the table.
"""

from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message
from google.protobuf import message_factory

# Message: {field: (number, type)}. "*" repeats, "{}" is a map from strings,
# "|" is a member of the message's oneof; a capital begins a message's name.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
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
    "ClassificationRequest": {"model_spec": (1, "ModelSpec")},
    "RegressionRequest": {"model_spec": (1, "ModelSpec")},
    "InferenceTask": {
        "model_spec": (1, "ModelSpec"),
        "method_name": (2, "string"),
    },
    "MultiInferenceRequest": {"tasks": (1, "*InferenceTask")},
    "ModelConfigList": {},
    "ModelServerConfig": {"model_config_list": (1, "ModelConfigList")},
    "ReloadConfigRequest": {"config": (1, "ModelServerConfig")},
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


def _add_field(
    message_type: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    kind: str,
) -> None:
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


def _build() -> dict[str, Any]:
    """Returns the classes of the messages, by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="kerasrnn/wire.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message_type = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add_field(message_type, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in MESSAGES
    }


DecodeError = message.DecodeError
_CLASSES = _build()
Dimension = _CLASSES["Dimension"]
Shape = _CLASSES["Shape"]
Tensor = _CLASSES["Tensor"]
Int64 = _CLASSES["Int64"]
ModelSpec = _CLASSES["ModelSpec"]
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
Status = _CLASSES["Status"]
VersionStatus = _CLASSES["VersionStatus"]
GetModelStatusRequest = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["GetModelStatusResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
ClassificationRequest = _CLASSES["ClassificationRequest"]
RegressionRequest = _CLASSES["RegressionRequest"]
InferenceTask = _CLASSES["InferenceTask"]
MultiInferenceRequest = _CLASSES["MultiInferenceRequest"]
ModelConfigList = _CLASSES["ModelConfigList"]
ModelServerConfig = _CLASSES["ModelServerConfig"]
ReloadConfigRequest = _CLASSES["ReloadConfigRequest"]
Any = _CLASSES["Any"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
TensorInfo = _CLASSES["TensorInfo"]
SignatureDef = _CLASSES["SignatureDef"]
SignatureDefMap = _CLASSES["SignatureDefMap"]
PredictLog = _CLASSES["PredictLog"]
PredictionLog = _CLASSES["PredictionLog"]
HealthCheckRequest = _CLASSES["HealthCheckRequest"]
HealthCheckResponse = _CLASSES["HealthCheckResponse"]
