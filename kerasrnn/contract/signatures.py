"""The served contract: signatures, inputs, outputs, defaults and limits.

This is the one place that names them. The exporter builds the SavedModel's
signatures from it, the client its requests. It imports no TensorFlow.

Glossary of shapes: N rows (the batch), T the longest row's characters, which
may be more than a row's own, since a server may merge requests; L layers, U
units of a layer. Every tensor has the rows as its dimension 0.
"""

import dataclasses
import re
from collections.abc import Mapping
from types import MappingProxyType

# Characters that one call generates at most, unless an export raises it.
MAX_LENGTH = 512
# Characters of a prompt, or of a text to score or inspect, in one call,
# unless an export raises it.
MAX_PROMPT = 4096
# Characters of a stop string.
MAX_STOP = 32
# Rows that a client sends in one call: what the batching file that ships lets
# through unsplit.
MAX_ROWS = 32
# Candidates that `inspect` lists for each character.
TOP_CHARACTERS = 5

FINISH_LENGTH = "length"
FINISH_STOP = "stop"
FINISH_ERROR = "error"

# What `tensorflow_model_server` calls a signature that is not named.
DEFAULT_NAME = "serving_default"

# Types of the contract by NumPy's names; strings are bytes on the wire.
DTYPES = ("string", "int32", "int64", "float32")


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of a signature, of shape [N].

    Attributes:
        name: Its name in the request.
        dtype: One of `DTYPES`.
        default: The value that the server takes for every row of a request
            of one row that leaves the input out; None: it must be sent.
        doc: What it means.
    """

    name: str
    dtype: str
    default: str | int | float | None
    doc: str


@dataclasses.dataclass(frozen=True)
class Output:
    """An output of a signature.

    Attributes:
        name: Its name in the response.
        dtype: One of `DTYPES`.
        shape: Names or sizes of its dimensions; the first is "N".
        doc: What it means.
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]
    doc: str

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


@dataclasses.dataclass(frozen=True)
class Signature:
    """One function of the SavedModel.

    Attributes:
        name: Its key in the SavedModel.
        inputs: Its inputs; the first has no default.
        outputs: Its outputs.
        doc: What it does.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    doc: str

    def input(self, name: str) -> Input:
        """Returns the input called `name`; raises KeyError."""
        return {entry.name: entry for entry in self.inputs}[name]

    def output(self, name: str) -> Output:
        """Returns the output called `name`; raises KeyError."""
        return {entry.name: entry for entry in self.outputs}[name]


def units_name(num_layers: int, units: int) -> str:
    """Returns the name of the dimension that holds all layers' units.

    The served metadata has it, so that a reader can tell the layers apart.
    """
    return f"layers*units={num_layers}*{units}"


def num_layers_named(name: str) -> int | None:
    """Returns the number of layers in such a name; None is any other name."""
    match = re.fullmatch(r"layers\*units=([1-9]\d{0,5})\*\d{1,9}", name)
    return int(match[1]) if match else None


_ROWS = ("N",)

_STATE_IN = Input(
    "state_bytes",
    "string",
    "",
    "The token that an earlier call returned; empty starts a new text.",
)
_STATE_OUT = Output(
    "state_bytes",
    "string",
    _ROWS,
    "The state after all characters, for the next call; of a refused row the "
    "token received.",
)
_ERROR = Output(
    "error",
    "string",
    _ROWS,
    "Empty, or why this row was refused; then its other strings are empty "
    "and its numbers 0.",
)
_UNKNOWN = Output(
    "unknown",
    "int32",
    _ROWS,
    "Characters of the given text that are not in the vocabulary, including "
    "invalid UTF-8; they are read as the unknown character.",
)

_PROMPT = Input(
    "prompt", "string", None, "UTF-8 text read before generating; may be empty."
)

GENERATE = Signature(
    "generate",
    (
        _PROMPT,
        _STATE_IN,
        Input(
            "length",
            "int32",
            200,
            f"Characters to generate, 0 to {MAX_LENGTH} by default.",
        ),
        Input(
            "temperature",
            "float32",
            1.0,
            "Divides the logits; 0 takes the most likely character.",
        ),
        Input(
            "top_k",
            "int32",
            0,
            "Draw from the k most likely characters; 0 turns this off.",
        ),
        Input(
            "top_p",
            "float32",
            1.0,
            "Draw from the most likely characters whose probabilities add up "
            "to this; 1 turns this off.",
        ),
        Input("seed", "int64", 0, "The same seed gives the same text."),
        Input(
            "stop",
            "string",
            "",
            "Ends the row once its text ends with this; at most 32 "
            "characters; empty is off.",
        ),
    ),
    (
        Output(
            "text",
            "string",
            _ROWS,
            "What was generated, without the prompt, with the stop string.",
        ),
        _STATE_OUT,
        Output(
            "log_prob",
            "float32",
            _ROWS,
            "Sum of log p(character) in nats, at temperature 1.",
        ),
        Output("length", "int32", _ROWS, "Characters generated."),
        _UNKNOWN,
        Output("finish", "string", _ROWS, '"length", "stop" or "error".'),
        _ERROR,
    ),
    "Reads each row's prompt, then generates text.",
)

_TEXT = Input("text", "string", None, "UTF-8 text to read; may be empty.")

SCORE = Signature(
    "score",
    (_TEXT, _STATE_IN),
    (
        Output(
            "log_prob",
            "float32",
            _ROWS,
            "Sum of log p(character) in nats over the characters scored.",
        ),
        Output(
            "length",
            "int32",
            _ROWS,
            "Characters scored: all but the unknown ones.",
        ),
        Output(
            "bits_per_character",
            "float32",
            _ROWS,
            "-log_prob / (length * ln 2); 0 where nothing was scored.",
        ),
        Output(
            "character_log_probs",
            "float32",
            ("N", "T"),
            "log p of each character, in nats; 0 for unknown ones and past "
            "the row's end.",
        ),
        _STATE_OUT,
        _UNKNOWN,
        _ERROR,
    ),
    "Computes how likely each row's text is, each character given those "
    "before it.",
)

INSPECT = Signature(
    "inspect",
    (_TEXT, _STATE_IN),
    (
        Output(
            "characters",
            "string",
            ("N", "T"),
            "Each character read; a byte from 0x80 on is \\xNN.",
        ),
        Output(
            "activations",
            "float32",
            ("N", "T", "L*U"),
            "h of every layer after the character was read.",
        ),
        Output(
            "top_characters",
            "string",
            ("N", "T", TOP_CHARACTERS),
            "The most likely next characters, most likely first; empty if the "
            "vocabulary has fewer.",
        ),
        Output(
            "top_log_probs",
            "float32",
            ("N", "T", TOP_CHARACTERS),
            "Their log probabilities, in nats; 0 where a character is missing.",
        ),
        Output("length", "int32", _ROWS, "Characters read."),
        _STATE_OUT,
        _ERROR,
    ),
    "Reads each row's text and shows what the network does.",
)

SERVING_DEFAULT = Signature(
    DEFAULT_NAME,
    (_PROMPT,),
    (Output("text", "string", _ROWS, "What was generated."),),
    "Generates text with the length, temperature and seed fixed at export: "
    "the signature that REST calls in one line. The text is empty where "
    "`generate` has an error.",
)

SIGNATURES: Mapping[str, Signature] = MappingProxyType(
    {
        signature.name: signature
        for signature in (GENERATE, SCORE, INSPECT, SERVING_DEFAULT)
    }
)
