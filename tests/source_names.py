"""The names of this repository: its folders, packages, stages and wheels."""

# Folders of programs and of what they share, imported by file name.
FOLDERS = ("examples", "tests")

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
    "hypothesis": "hypothesis",
    "keras": "keras",
    "kubernetes_validate": "kubernetes_validate",
    "numpy": "numpy",
    "packaging": "packaging",
    "pytest": "pytest",
    "rich": "rich",
    "sklearn": "scikit_learn",
    "tensorboard": "tensorboard",
    "tensorflow": "tensorflow",
    "tensorflow_serving": "tensorflow_serving_api",
    "yaml": "pyyaml",
}

# Stages in the order in which text flows: a module may import modules of its
# own stage and of those above it. The longest prefix that fits counts.
STAGES = (
    (
        "ground",
        (
            "kerasrnn.activity",
            "kerasrnn.config",
            "kerasrnn.config_flags",
            "kerasrnn.constraints",
            "kerasrnn.dataclass_json",
            "kerasrnn.docstrings",
            "kerasrnn.errors",
            "kerasrnn.escapes",
            "kerasrnn.extras",
            "kerasrnn.keras_backend",
            "kerasrnn.locks",
            "kerasrnn.familiar_names",
            "kerasrnn.flag_types",
            "kerasrnn.paths",
            "kerasrnn.phrases",
            "kerasrnn.presets",
            "kerasrnn.program",
            "kerasrnn.program_flags",
            "kerasrnn.program_help",
            "kerasrnn.program_setup",
            "kerasrnn.tensorflow_noise",
            "kerasrnn.sampling_flags",
            "kerasrnn.version",
        ),
    ),
    ("reporting", ("kerasrnn.reporting",)),
    ("text", ("kerasrnn.text",)),
    ("layers", ("kerasrnn.layers",)),
    ("sampling", ("kerasrnn.gumbel", "kerasrnn.sampling")),
    (
        "model",
        (
            "kerasrnn.generator",
            "kerasrnn.dropout",
            "kerasrnn.initialization",
            "kerasrnn.model",
            "kerasrnn.model_weights",
            "kerasrnn.step_model",
        ),
    ),
    ("training", ("kerasrnn.training",)),
    ("package", ("kerasrnn",)),
    ("export", ("kerasrnn_export",)),
    ("serving", ("kerasrnn_serving",)),
)
