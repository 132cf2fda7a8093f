"""Configuration: frozen dataclasses, written as JSON beside every result.

Whoever holds a `Config` can rebuild the vocabulary, the model and the
training run that it describes. Each field is checked when the dataclass is
made, so a `Config` that exists is one that can be run.
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
    """What there is of a kind of cell, in numbers.

    Attributes:
        gates: Blocks of `units` columns in each kernel.
        states: Tensors [B, units] from step to step; the first is the output.
        biases: 1 for one that is added to the sum of the inputs' and the
            state's products, 2 for one of each.
    """

    gates: int
    states: int = 1
    biases: int = 1


# The kinds of cells. All else that depends on the kind is found by its name,
# see `kerasrnn.layers.kinds`.
CELL_SIZES = {
    "simple_rnn": CellSizes(gates=1),
    "lstm": CellSizes(gates=4, states=2),
    "gru": CellSizes(gates=3, biases=2),
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


def _check_separator(separator: str, vocabulary: str) -> None:
    if len(separator) > 1:
        raise UserError(
            "document_separator must be one character, or an escape of one "
            f"as in \\n, not {separator!r}."
        )
    if vocabulary == "bytes" and separator > "\xff":
        raise UserError(
            f"document_separator must be one byte, not {separator!r}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What `kerasrnn.model.char_rnn.CharRNN` is built from.

    Attributes:
        vocabulary_size: Number of ids, the unknown character's id 0 included.
        cell: Kind of the recurrent layers.
        units: Width of each recurrent layer.
        num_layers: Number of recurrent layers.
        embedding_size: Width of the character embedding; 0 feeds the first
            layer one-hot characters, as char-rnn does.
        dropout: Share of each recurrent layer's outputs dropped in training.
        initializer: "keras" (Glorot, orthogonal, forget bias 1), "charrnn"
            (uniform in [-0.08, 0.08]) or "torchrnn" (normal, variance
            1 / (input + units)).
        dtype_policy: Keras dtype policy of all layers; with the mixed ones
            weights and states stay float32, products have 16 bits.
        separator_id: Id of the character that every document follows: it is
            read from the zero state, whatever came before. 0 is none.
    """

    vocabulary_size: Annotated[int, Range(2, INT32_MAX)]
    cell: Annotated[str, Choice(CELLS)] = "lstm"
    units: Annotated[int, Range(1, 2**20)] = 128
    num_layers: Annotated[int, Range(1, 1000)] = 2
    embedding_size: Annotated[int, Range(0, 2**20)] = 0
    dropout: Annotated[float, FRACTION] = 0.1
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
                f"The model would have {self.num_weights:,} weights, more "
                f"than the {INT32_MAX:,} that there may be; give smaller "
                "--units, --num_layers or --embedding_size."
            )

    @property
    def num_weights(self) -> int:
        """Numbers in all weights of the model."""
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
    r"""Which text is read, as what, and how it is split.

    Attributes:
        data: Paths and glob patterns; empty means the source code of
            Python's standard library on this machine.
        vocabulary: "characters" (UTF-8 text) or "bytes".
        min_count: Characters that occur less often in the text become
            unknown (id 0).
        normalize_newlines: Read \r\n and \r as \n, and leave out a byte
            order mark at the start of a file. Otherwise they are characters
            as any other.
        document_separator: Character (or escape, as in \n) that ends a
            document: no state is carried across it, in training, evaluation
            and sampling. Of several files, each ends a document too. Empty
            reads the text as one.
        split: "tail" holds out the end of the text, "interleaved" the end
            of each of `split_streams` equal pieces, as char-rnn does.
        split_streams: Number of pieces of the interleaved split.
        validation_fraction: Share of the text held out for validation.
        test_fraction: Share of the text held out beyond that, for tests.
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
        _check_separator(self.document_separator, self.vocabulary)
        if self.validation_fraction + self.test_fraction >= 1:
            raise UserError(
                "Nothing is left to train on: validation_fraction "
                f"({self.validation_fraction}) and test_fraction "
                f"({self.test_fraction}) must add up to less than 1."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the model is trained. Every loss is in nats a character.

    Attributes:
        batch_size: Streams of text read side by side, over all replicas.
        sequence_length: Characters between two truncations of the gradient.
        accumulation_steps: Pieces that a replica's streams are cut into and
            computed one after another, to save memory. The update is that of
            all streams at once.
        epochs: Passes over the training text.
        optimizer: How a gradient changes the weights.
        learning_rate: Highest learning rate of the schedule.
        schedule: "constant"; "exponential" (times `decay_rate` an epoch,
            from epoch `decay_after` on, as char-rnn); "step" (times
            `decay_rate` every `decay_after` epochs, as torch-rnn); "cosine"
            (down to 0 at the last step). All start with `warmup_steps`.
        warmup_steps: Steps over which the rate rises linearly from 0.
        decay_rate: Factor of the exponential and the step schedule.
        decay_after: Epochs, see `schedule`.
        beta_1: First-moment decay of Adam, momentum of SGD.
        beta_2: Second-moment decay of Adam, decay (alpha) of RMSprop.
        epsilon: Added to the root of the second moment.
        weight_decay: AdamW's decoupled weight decay, on kernels only.
        clip_norm: Largest global norm of the gradient; 0 is off.
        clip_value: Largest absolute value of a gradient's element, of the
            loss averaged over batch and time; 0 is off.
        averaging: Momentum of the exponential moving average of the weights
            that evaluation, samples and export use; 0 is off.
        evaluate_every: Steps between validations; 0 is once an epoch.
        validation_cost: Largest share of the time for the steps that
            validation may take. Where the held-out text is longer than that
            allows, a sample of it is validated, the same one each time: the
            start of each of `batch_size` equal pieces. 0 always reads all.
        checkpoint_every: Steps between checkpoints; 0 is with validation
            where `evaluate_every` is given. There is one every minute
            anyway, or every ten minutes where `checkpoint_every` is given.
        sample_every: Steps between samples; 0 is with validation, and at
            most once a minute unless `evaluate_every` is given.
        sample_length: Characters in such a sample.
        keep: Number of newest checkpoints kept.
        patience: Validations without a better loss before training stops;
            0 never stops early.
        init_from: Working directory of a trained model whose best weights
            this one starts from, character by character; a character new to
            them starts afresh. Its network, dropout and kind of vocabulary
            are taken over. Empty starts afresh.
        on_nan: When the loss is not a finite number or explodes: "stop", or
            "rollback" to the last good checkpoint with half the learning
            rate, five times at most.
        seed: Of weights, dropout and samples.
        jit_compile: What XLA compiles: "on" the whole step, "off" nothing,
            "auto" what makes it faster on the device at hand.
    """

    batch_size: Annotated[int, POSITIVE_COUNT] = 50
    sequence_length: Annotated[int, POSITIVE_COUNT] = 50
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
    epsilon: Annotated[float, AMOUNT] = 1e-8
    weight_decay: Annotated[float, AMOUNT] = 0.01
    clip_norm: Annotated[float, AMOUNT] = 1.0
    clip_value: Annotated[float, AMOUNT] = 0.0
    averaging: Annotated[float, FRACTION] = 0.999
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
        # How many replicas share the streams shows later.
        if self.batch_size % self.accumulation_steps:
            raise UserError(
                f"batch_size {self.batch_size:,} cannot be cut into "
                f"accumulation_steps {self.accumulation_steps:,} equal "
                f"pieces: choose a divisor of {self.batch_size:,}."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a working directory's results follow from."""

    model: ModelConfig
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        if bool(self.data.document_separator) != bool(self.model.separator_id):
            raise UserError(
                "The model's separator_id must be the id of the data's "
                "document_separator, and 0 where that is empty; they are "
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
            UserError: The text is none that this version knows.
        """
        return dataclass_json.from_json(cls, text, "configuration")
