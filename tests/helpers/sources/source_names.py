"""The names of this repository: its folders, packages, stages and wheels."""

# Folders of programs and of what they share, imported by file name.
FOLDERS = ("examples", "tests")

# What every room stands on, as one library.
GROUND = (
    "kerasrnn",
    "kerasrnn.errors",
    "kerasrnn.extras",
    "kerasrnn.keras_backend",
    "kerasrnn.version",
)

# Modules that are libraries of their own.
APART = ("kerasrnn.config",)

# All folders that hold code.
CODE = (
    "kerasrnn",
    "export",
    "serving",
    "examples",
    "tests",
    "benchmarks",
    "scripts",
)

# The packages, and the folders that they are imported from.
SOURCE_ROOTS = {
    "kerasrnn": ".",
    "kerasrnn_export": "export",
    "kerasrnn_serving": "serving",
}

# Import name -> name of the wheel, as Bazel spells it.
WHEELS = {
    "PIL": "pillow",
    "absl": "absl_py",
    "check_jsonschema": "check_jsonschema",
    "google": "protobuf",
    "grpc": "grpcio",
    "grpc_health": "grpcio_health_checking",
    "h11": "h11",
    "hypothesis": "hypothesis",
    "keras": "keras",
    "kubernetes_validate": "kubernetes_validate",
    "langchain_openai": "langchain_openai",
    "mypy": "mypy",
    "numpy": "numpy",
    "openai": "openai",
    "packaging": "packaging",
    "prometheus_client": "prometheus_client",
    "pytest": "pytest",
    "rich": "rich",
    "sklearn": "scikit_learn",
    "starlette": "starlette",
    "tensorboard": "tensorboard",
    "tensorflow": "tensorflow",
    "tensorflow_serving": "tensorflow_serving_api",
    "uvicorn": "uvicorn",
    "yaml": "pyyaml",
}

# Stages in the order in which text flows: a module may import modules of its
# own stage and of those above it. The longest prefix that fits counts.
STAGES = (
    (
        "ground",
        GROUND[1:],
    ),
    ("foundation", ("kerasrnn.foundation",)),
    ("config", ("kerasrnn.config",)),
    ("command line", ("kerasrnn.command_line",)),
    ("reporting", ("kerasrnn.reporting",)),
    ("contract", ("kerasrnn.contract",)),
    ("text", ("kerasrnn.text",)),
    ("recurrence", ("kerasrnn.recurrence",)),
    ("layers", ("kerasrnn.layers",)),
    ("sampling", ("kerasrnn.sampling",)),
    ("model", ("kerasrnn.model",)),
    ("a training step", ("kerasrnn.training.step",)),
    ("evaluation", ("kerasrnn.training.evaluation",)),
    ("checkpoints", ("kerasrnn.training.checkpoints",)),
    ("records", ("kerasrnn.training.records",)),
    ("several workers", ("kerasrnn.training.multi_worker",)),
    ("training", ("kerasrnn.training",)),
    ("package", ("kerasrnn",)),
    ("an export's graph", ("kerasrnn_export.graph",)),
    ("an export's release", ("kerasrnn_export.release",)),
    ("export", ("kerasrnn_export",)),
    ("client", ("kerasrnn_serving.client", "kerasrnn_serving.async_client")),
    ("gateway", ("kerasrnn_serving.gateway",)),
    ("server", ("kerasrnn_serving.server",)),
    ("serving", ("kerasrnn_serving",)),
)
