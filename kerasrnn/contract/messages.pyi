# Made by scripts/message_types.py from the table in messages.py.
from collections.abc import Iterable
from collections.abc import Mapping

from google.protobuf.internal.containers import MessageMap
from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import DecodeError as DecodeError
from google.protobuf.message import Message

MESSAGES: dict[str, dict[str, tuple[int, str]]]

class Dimension(Message):
    size: int
    name: str
    def __init__(
        self,
        *,
        size: int | None = ...,
        name: str | None = ...,
    ) -> None: ...

class Shape(Message):
    @property
    def dim(self) -> RepeatedCompositeFieldContainer[Dimension]: ...
    unknown_rank: bool
    def __init__(
        self,
        *,
        dim: Iterable[Dimension] | None = ...,
        unknown_rank: bool | None = ...,
    ) -> None: ...

class Tensor(Message):
    dtype: int
    @property
    def tensor_shape(self) -> Shape: ...
    version_number: int
    tensor_content: bytes
    @property
    def float_val(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def double_val(self) -> RepeatedScalarFieldContainer[float]: ...
    @property
    def int_val(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def string_val(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def int64_val(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def bool_val(self) -> RepeatedScalarFieldContainer[bool]: ...
    @property
    def half_val(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def uint32_val(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def uint64_val(self) -> RepeatedScalarFieldContainer[int]: ...
    def __init__(
        self,
        *,
        dtype: int | None = ...,
        tensor_shape: Shape | None = ...,
        version_number: int | None = ...,
        tensor_content: bytes | None = ...,
        float_val: Iterable[float] | None = ...,
        double_val: Iterable[float] | None = ...,
        int_val: Iterable[int] | None = ...,
        string_val: Iterable[bytes] | None = ...,
        int64_val: Iterable[int] | None = ...,
        bool_val: Iterable[bool] | None = ...,
        half_val: Iterable[int] | None = ...,
        uint32_val: Iterable[int] | None = ...,
        uint64_val: Iterable[int] | None = ...,
    ) -> None: ...

class Int64(Message):
    value: int
    def __init__(self, *, value: int | None = ...) -> None: ...

class ModelSpec(Message):
    name: str
    @property
    def version(self) -> Int64: ...
    version_label: str
    signature_name: str
    def __init__(
        self,
        *,
        name: str | None = ...,
        version: Int64 | None = ...,
        version_label: str | None = ...,
        signature_name: str | None = ...,
    ) -> None: ...

class PredictRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def inputs(self) -> MessageMap[str, Tensor]: ...
    @property
    def output_filter(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = ...,
        inputs: Mapping[str, Tensor] | None = ...,
        output_filter: Iterable[str] | None = ...,
    ) -> None: ...

class PredictResponse(Message):
    @property
    def outputs(self) -> MessageMap[str, Tensor]: ...
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(
        self,
        *,
        outputs: Mapping[str, Tensor] | None = ...,
        model_spec: ModelSpec | None = ...,
    ) -> None: ...

class Status(Message):
    error_code: int
    error_message: str
    def __init__(
        self,
        *,
        error_code: int | None = ...,
        error_message: str | None = ...,
    ) -> None: ...

class VersionStatus(Message):
    version: int
    state: int
    @property
    def status(self) -> Status: ...
    def __init__(
        self,
        *,
        version: int | None = ...,
        state: int | None = ...,
        status: Status | None = ...,
    ) -> None: ...

class GetModelStatusRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(self, *, model_spec: ModelSpec | None = ...) -> None: ...

class GetModelStatusResponse(Message):
    @property
    def model_version_status(
        self,
    ) -> RepeatedCompositeFieldContainer[VersionStatus]: ...
    def __init__(
        self,
        *,
        model_version_status: Iterable[VersionStatus] | None = ...,
    ) -> None: ...

class GetModelMetadataRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata_field(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = ...,
        metadata_field: Iterable[str] | None = ...,
    ) -> None: ...

class ClassificationRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(self, *, model_spec: ModelSpec | None = ...) -> None: ...

class RegressionRequest(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    def __init__(self, *, model_spec: ModelSpec | None = ...) -> None: ...

class InferenceTask(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    method_name: str
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = ...,
        method_name: str | None = ...,
    ) -> None: ...

class MultiInferenceRequest(Message):
    @property
    def tasks(self) -> RepeatedCompositeFieldContainer[InferenceTask]: ...
    def __init__(
        self,
        *,
        tasks: Iterable[InferenceTask] | None = ...,
    ) -> None: ...

class ModelConfigList(Message):
    def __init__(self) -> None: ...

class ModelServerConfig(Message):
    @property
    def model_config_list(self) -> ModelConfigList: ...
    def __init__(
        self,
        *,
        model_config_list: ModelConfigList | None = ...,
    ) -> None: ...

class ReloadConfigRequest(Message):
    @property
    def config(self) -> ModelServerConfig: ...
    def __init__(self, *, config: ModelServerConfig | None = ...) -> None: ...

class Any(Message):
    type_url: str
    value: bytes
    def __init__(
        self,
        *,
        type_url: str | None = ...,
        value: bytes | None = ...,
    ) -> None: ...

class GetModelMetadataResponse(Message):
    @property
    def model_spec(self) -> ModelSpec: ...
    @property
    def metadata(self) -> MessageMap[str, Any]: ...
    def __init__(
        self,
        *,
        model_spec: ModelSpec | None = ...,
        metadata: Mapping[str, Any] | None = ...,
    ) -> None: ...

class TensorInfo(Message):
    name: str
    dtype: int
    @property
    def tensor_shape(self) -> Shape: ...
    def __init__(
        self,
        *,
        name: str | None = ...,
        dtype: int | None = ...,
        tensor_shape: Shape | None = ...,
    ) -> None: ...

class SignatureDef(Message):
    @property
    def inputs(self) -> MessageMap[str, TensorInfo]: ...
    @property
    def outputs(self) -> MessageMap[str, TensorInfo]: ...
    method_name: str
    @property
    def defaults(self) -> MessageMap[str, Tensor]: ...
    def __init__(
        self,
        *,
        inputs: Mapping[str, TensorInfo] | None = ...,
        outputs: Mapping[str, TensorInfo] | None = ...,
        method_name: str | None = ...,
        defaults: Mapping[str, Tensor] | None = ...,
    ) -> None: ...

class SignatureDefMap(Message):
    @property
    def signature_def(self) -> MessageMap[str, SignatureDef]: ...
    def __init__(
        self,
        *,
        signature_def: Mapping[str, SignatureDef] | None = ...,
    ) -> None: ...

class PredictLog(Message):
    @property
    def request(self) -> PredictRequest: ...
    def __init__(self, *, request: PredictRequest | None = ...) -> None: ...

class PredictionLog(Message):
    @property
    def predict_log(self) -> PredictLog: ...
    def __init__(self, *, predict_log: PredictLog | None = ...) -> None: ...

class HealthCheckRequest(Message):
    service: str
    def __init__(self, *, service: str | None = ...) -> None: ...

class HealthCheckResponse(Message):
    status: int
    def __init__(self, *, status: int | None = ...) -> None: ...
