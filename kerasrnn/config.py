"""Configuration: frozen dataclasses, written as JSON beside every result.

A `Config` is enough to rebuild the vocabulary, the model and the training run
that it describes. Each field is checked when the dataclass is made, so every
`Config` that exists can be run.
"""

import dataclasses
from typing import Annotated
from typing import NamedTuple

from kerasrnn.errors import UserError
from kerasrnn.foundation import dataclass_json
from kerasrnn.foundation.constraints import AMOUNT
from kerasrnn.foundation.constraints import COUNT
from kerasrnn.foundation.constraints import FRACTION
from kerasrnn.foundation.constraints import INT32_MAX
from kerasrnn.foundation.constraints import POSITIVE_COUNT
from kerasrnn.foundation.constraints import Choice
from kerasrnn.foundation.constraints import LocalPath
from kerasrnn.foundation.constraints import Range
from kerasrnn.foundation.constraints import check_fields


class CellSizes(NamedTuple):
    """The sizes of a kind of cell, and the learning rate that suits it.

    Attributes:
        gates: Blocks of `units` columns in each kernel.
        states: Tensors [B, units] from step to step; the first is the output.
        biases: 2 if the inputs' and the state's products have one each.
        learning_rate: The highest that suits Adam, at 128 units.
        few_steps: Its largest factor in runs of few steps.
    """

    gates: int
    states: int = 1
    biases: int = 1
    learning_rate: float = 4e-3
    few_steps: float = 1.0


# The kinds of cells; all else is found by its name in `layers.kinds`.
CELL_SIZES = {
    "simple_rnn": CellSizes(gates=1, learning_rate=0.008),
    "lstm": CellSizes(gates=4, states=2, learning_rate=0.012, few_steps=1.41),
    "gru": CellSizes(gates=3, biases=2, learning_rate=0.012),
}
CELLS = tuple(CELL_SIZES)
INITIALIZERS = ("keras", "charrnn", "torchrnn")
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "exponential", "step", "cosine")
ON_NAN = ("stop", "rollback")
SPLITS = ("tail", "interleaved")
VOCABULARIES = ("characters", "bytes")
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
JIT_COMPILE = ("auto", "on", "off")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")

# Of a configuration as JSON; a larger one is never read.
MOST_BYTES = 2**20
# The values of fields that a configuration of an older version lacks.
_OLDER = {"training": {"segment_length": 0, "validation_context": 0}}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network: what `kerasrnn.CharRNN` is built from.

    Attributes:
        vocabulary_size: Number of ids, the unknown character's id 0 included.
        cell: Kind of the recurrent layers.
        units: Width of each recurrent layer.
        num_layers: Number of recurrent layers.
        embedding_size: Width of the character embedding; 0 feeds the first
            layer one-hot characters, as char-rnn does.
        dropout: Share of each layer's outputs dropped; a new run chooses it.
        recurrent_kernel_dropout: Share of each recurrent kernel a step drops.
        dropout_warmup_steps: Training steps over which both rise from 0.
        initializer: "keras" (Glorot, orthogonal, forget bias 1, with larger
            weights for characters), "charrnn" (uniform in [-0.08, 0.08]) or
            "torchrnn" (normal, variance 1 / (input + units)).
        dtype_policy: Keras dtype policy of all layers; with the mixed policies,
            weights and states stay float32 and products have 16 bits.
        separator_id: Id of the character that precedes every document: it is
            read from the zero state, whatever came before. 0 means none.
    """

    vocabulary_size: Annotated[int, Range(2, INT32_MAX)]
    cell: Annotated[str, Choice(CELLS)] = "lstm"
    units: Annotated[int, Range(1, 2**20)] = 128
    num_layers: Annotated[int, Range(1, 1000)] = 2
    embedding_size: Annotated[int, Range(0, 2**20)] = 0
    dropout: Annotated[float, FRACTION] = 0.1
    recurrent_kernel_dropout: Annotated[float, FRACTION] = 0.0
    dropout_warmup_steps: Annotated[int, COUNT] = 0
    initializer: Annotated[str, Choice(INITIALIZERS)] = "keras"
    dtype_policy: Annotated[str, Choice(DTYPE_POLICIES)] = "float32"
    separator_id: Annotated[int, COUNT] = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.separator_id >= self.vocabulary_size:
            raise UserError(
                f"separator_id must be below {self.vocabulary_size}, the "
                f"vocabulary's size, not {self.separator_id}."
            )
        if self.num_weights > INT32_MAX:
            raise UserError(
                f"The model would have {self.num_weights:,} weights, more than "
                f"the {INT32_MAX:,} that are possible; choose smaller --units, "
                "--num_layers or --embedding_size."
            )

    @property
    def num_weights(self) -> int:
        """Number of parameters of the model."""
        units, size = self.units, self.vocabulary_size
        cell = CELL_SIZES[self.cell]

        def layer(width: int) -> int:
            return cell.gates * units * (width + units + cell.biases)

        return (
            size * self.embedding_size
            + layer(self.embedding_size or size)
            + (self.num_layers - 1) * layer(units)
            + (units + 1) * size
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    r"""The text: which files, how they are read, and how the text is split.

    Attributes:
        data: Paths and glob patterns; empty is Python's own standard library.
        vocabulary: "characters" (UTF-8 text) or "bytes".
        min_count: Characters that occur less often become unknown (id 0).
        normalize_newlines: Read \r\n and \r as \n, and drop a byte order mark
            at the start of a file. Otherwise, they are ordinary characters.
        document_separator: Character (or escape, such as \n) that ends a
            document. No state is carried across it in training, evaluation
            and sampling. The end of a file also ends a document. Empty reads
            the text as one document.
        split: "tail" holds out the end of the text, "interleaved" the end
            of each of `split_streams` equal pieces, as char-rnn does.
        split_streams: Number of pieces of the interleaved split.
        validation_fraction: Share of the text held out for validation.
        test_fraction: Share of the text held out in addition, for testing.
    """

    data: Annotated[tuple[str, ...], LocalPath()] = ()
    vocabulary: Annotated[str, Choice(VOCABULARIES)] = "characters"
    min_count: Annotated[int, POSITIVE_COUNT] = 1
    normalize_newlines: bool = False
    document_separator: str = ""
    split: Annotated[str, Choice(SPLITS)] = "tail"
    split_streams: Annotated[int, POSITIVE_COUNT] = 50
    validation_fraction: Annotated[float, FRACTION] = 0.05
    test_fraction: Annotated[float, FRACTION] = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
        dataclass_json.check_size(self, MOST_BYTES, "configuration")
        separator = self.document_separator
        if len(separator) > 1:
            raise UserError(
                "document_separator must be one character, or an escape such "
                f"as \\n, not {separator!r}."
            )
        if self.vocabulary == "bytes" and separator > "\xff":
            raise UserError(
                f"document_separator must be one byte, not {separator!r}."
            )
        if self.validation_fraction + self.test_fraction >= 1:
            raise UserError(
                "No text is left to train on: validation_fraction "
                f"({self.validation_fraction}) and test_fraction "
                f"({self.test_fraction}) must add up to less than 1."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the network is trained. Every loss is in nats per character.

    Attributes:
        batch_size: Streams of text read side by side, over all replicas.
        sequence_length: Characters between two truncations of the gradient.
        segment_length: Characters that a stream reads in order; then it starts
            elsewhere, from the zero state, every other time where a line, a
            paragraph or a document begins. 0 reads all in order, as char-rnn.
        accumulation_steps: Parts into which the streams of a replica are
            divided, to be computed one after another and save memory. The
            update is the same as for all streams at once.
        epochs: Passes over the training text; fewer by default if it is long.
        optimizer: How a gradient changes the weights.
        learning_rate: Highest rate of the schedule; chosen by rule with Adam.
        schedule: "constant"; "exponential" (times `decay_rate` per epoch, from
            epoch `decay_after` on, as in char-rnn); "step" (times `decay_rate`
            every `decay_after` epochs, as in torch-rnn); "cosine" (down to 0 at
            the last step). All start with `warmup_steps`.
        warmup_steps: Steps over which the rate rises linearly from 0.
        decay_rate: Factor of the exponential and step schedules.
        decay_after: Epochs; see `schedule`.
        beta_1: First-moment decay of Adam, momentum of SGD.
        beta_2: Second-moment decay of Adam, decay (alpha) of RMSprop.
        epsilon: Added to the root of the second moment.
        weight_decay: AdamW's decay of kernels, decoupled; a new run chooses it.
        clip_norm: Largest global norm of the gradient; 0 turns this off.
        clip_value: Largest absolute value of each element of the gradient of
            the mean loss; 0 turns this off.
        averaging: Momentum of the moving average of the weights, which
            evaluation, samples and export use; 0 turns averaging off.
        validation_context: Characters read, unscored, before each stream of a
            validation. 0 scores from the zero state on, as char-rnn does.
        evaluate_every: Steps between validations; 0 validates once per epoch.
        validation_cost: Time that validation may take, as a share of the time
            for the steps. If the held-out text is longer than that allows, a
            sample of it is read, the same one each time: the start of each of
            some equal pieces. 0 always reads all of it.
        checkpoint_every: Steps between checkpoints, in addition to one after
            ten minutes without any. 0 writes one every minute, and with each
            validation if `evaluate_every` is given.
        sample_every: Steps between samples; 0 writes one with each validation,
            and at most one per minute unless `evaluate_every` is given.
        sample_length: Characters in each sample.
        keep: How many of the newest checkpoints to keep.
        patience: Validations in a row without a better loss after which
            training stops; 0 never stops early; a new run chooses it.
        init_from: Working directory of a trained model to start from: its
            network, dropout and kind of vocabulary are kept, and weights follow
            their characters; all others are random.
        on_nan: What to do if the loss explodes or is not finite: "stop", or
            "rollback" to the last good checkpoint and continue with half the
            learning rate, at most five times.
        seed: Seed of weights, dropout and samples.
        jit_compile: What XLA compiles: "on" the loss and its gradient as a
            whole, "off" nothing, "auto" what runs faster on this device.
    """

    batch_size: Annotated[int, POSITIVE_COUNT] = 50
    sequence_length: Annotated[int, POSITIVE_COUNT] = 50
    segment_length: Annotated[int, COUNT] = 5_000
    accumulation_steps: Annotated[int, POSITIVE_COUNT] = 1
    epochs: Annotated[int, POSITIVE_COUNT] = 50
    optimizer: Annotated[str, Choice(OPTIMIZERS)] = "adamw"
    learning_rate: Annotated[float, AMOUNT] = 4e-3
    schedule: Annotated[str, Choice(SCHEDULES)] = "cosine"
    warmup_steps: Annotated[int, COUNT] = 200
    decay_rate: Annotated[float, Range(0, 1)] = 0.97
    decay_after: Annotated[int, COUNT] = 10
    beta_1: Annotated[float, FRACTION] = 0.9
    beta_2: Annotated[float, FRACTION] = 0.99
    epsilon: Annotated[float, Range(1e-18, 3.4e38)] = 1e-8
    weight_decay: Annotated[float, AMOUNT] = 0.01
    clip_norm: Annotated[float, AMOUNT] = 1.0
    clip_value: Annotated[float, AMOUNT] = 0.0
    averaging: Annotated[float, FRACTION] = 0.999
    validation_context: Annotated[int, COUNT] = 256
    evaluate_every: Annotated[int, COUNT] = 0
    validation_cost: Annotated[float, Range(0, 1)] = 0.1
    checkpoint_every: Annotated[int, COUNT] = 0
    sample_every: Annotated[int, COUNT] = 0
    sample_length: Annotated[int, COUNT] = 300
    keep: Annotated[int, POSITIVE_COUNT] = 3
    patience: Annotated[int, COUNT] = 0
    init_from: Annotated[str, LocalPath()] = ""
    on_nan: Annotated[str, Choice(ON_NAN)] = "stop"
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    jit_compile: Annotated[str, Choice(JIT_COMPILE)] = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        # How many replicas share the streams is known only later.
        if self.batch_size % self.accumulation_steps:
            raise UserError(
                f"batch_size {self.batch_size:,} cannot be divided into "
                f"accumulation_steps {self.accumulation_steps:,} equal parts: "
                f"choose a divisor of {self.batch_size:,}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """All settings that the results in a working directory depend on.

    Attributes:
        model: The network.
        data: The text, and how it is split.
        training: How the network is trained.
    """

    model: ModelConfig
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        dataclass_json.check_size(self, MOST_BYTES, "configuration")
        if bool(self.data.document_separator) != bool(self.model.separator_id):
            raise UserError(
                "The model's separator_id must be the id of the data's "
                "document_separator, and 0 if that is empty; they are "
                f"{self.model.separator_id} and "
                f"{self.data.document_separator!r}."
            )

    def to_json(self) -> str:
        """Returns the configuration as indented JSON text."""
        return dataclass_json.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Returns the configuration that `to_json` wrote.

        Raises:
            UserError: The text is not a configuration of this version.
        """
        return dataclass_json.from_json(cls, text, "configuration", _OLDER)
