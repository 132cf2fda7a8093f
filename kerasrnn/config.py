"""Configuration: frozen dataclasses, written as JSON beside every result.

Whoever holds a `Config` can rebuild the vocabulary, the model and the
training run that it describes. Each field is checked when the dataclass is
made, so a `Config` that exists is one that can be run.
"""

import dataclasses

from kerasrnn import dataclass_json
from kerasrnn.errors import UserError

CELLS = ("simple_rnn", "lstm", "gru")
INITIALIZERS = ("keras", "charrnn", "torchrnn")
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
SCHEDULES = ("constant", "exponential", "step", "cosine")
ON_NAN = ("stop", "rollback")
SPLITS = ("tail", "interleaved")
VOCABULARIES = ("characters", "bytes")
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def _check_at_least(config, name, minimum):
    value = getattr(config, name)
    if not value >= minimum:
        raise UserError(f"{name} must be at least {minimum}, not {value}.")


def _check_fraction(config, name):
    value = getattr(config, name)
    if not 0 <= value < 1:
        raise UserError(f"{name} must be in [0, 1), not {value}.")


def _check_separator(separator, vocabulary):
    if len(separator) > 1:
        raise UserError(
            "document_separator must be one character, or an escape of one "
            f"as in \\n, not {separator!r}."
        )
    if vocabulary == "bytes" and separator > "\xff":
        raise UserError(
            f"document_separator must be one byte, not {separator!r}."
        )


def _check_choice(config, name, choices):
    value = getattr(config, name)
    if value not in choices:
        raise UserError(
            f"{name} must be one of {', '.join(choices)}, not {value!r}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What `kerasrnn.model.CharRNN` is built from.

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

    vocabulary_size: int
    cell: str = "lstm"
    units: int = 128
    num_layers: int = 2
    embedding_size: int = 0
    dropout: float = 0.1
    initializer: str = "keras"
    dtype_policy: str = "float32"
    separator_id: int = 0

    def __post_init__(self):
        _check_at_least(self, "vocabulary_size", 2)
        _check_at_least(self, "separator_id", 0)
        if self.separator_id >= self.vocabulary_size:
            raise UserError(
                f"separator_id must be below {self.vocabulary_size}, the "
                f"vocabulary's size, not {self.separator_id}."
            )
        _check_at_least(self, "units", 1)
        _check_at_least(self, "num_layers", 1)
        _check_at_least(self, "embedding_size", 0)
        _check_fraction(self, "dropout")
        _check_choice(self, "cell", CELLS)
        _check_choice(self, "initializer", INITIALIZERS)
        _check_choice(self, "dtype_policy", DTYPE_POLICIES)

    @property
    def num_weights(self) -> int:
        """Numbers in all weights of the model."""
        units, size = self.units, self.vocabulary_size
        gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[self.cell]
        biases = 2 if self.cell == "gru" else 1

        def layer(width):
            return gates * units * (width + units + biases)

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

    data: tuple[str, ...] = ()
    vocabulary: str = "characters"
    min_count: int = 1
    normalize_newlines: bool = False
    document_separator: str = ""
    split: str = "tail"
    split_streams: int = 50
    validation_fraction: float = 0.05
    test_fraction: float = 0.0

    def __post_init__(self):
        _check_choice(self, "vocabulary", VOCABULARIES)
        _check_choice(self, "split", SPLITS)
        _check_at_least(self, "min_count", 1)
        _check_at_least(self, "split_streams", 1)
        _check_fraction(self, "validation_fraction")
        _check_fraction(self, "test_fraction")
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
        checkpoint_every: Steps between checkpoints; 0 is with validation.
        sample_every: Steps between samples; 0 is with validation.
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

    batch_size: int = 50
    sequence_length: int = 50
    accumulation_steps: int = 1
    epochs: int = 50
    optimizer: str = "adamw"
    learning_rate: float = 4e-3
    schedule: str = "cosine"
    warmup_steps: int = 200
    decay_rate: float = 0.97
    decay_after: int = 10
    beta_1: float = 0.9
    beta_2: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    clip_value: float = 0.0
    averaging: float = 0.999
    evaluate_every: int = 0
    checkpoint_every: int = 0
    sample_every: int = 0
    sample_length: int = 300
    keep: int = 3
    patience: int = 0
    init_from: str = ""
    on_nan: str = "stop"
    seed: int = 0
    jit_compile: str = "auto"

    def __post_init__(self):
        for name in (
            "batch_size",
            "sequence_length",
            "accumulation_steps",
            "epochs",
            "keep",
        ):
            _check_at_least(self, name, 1)
        for name in (
            "learning_rate",
            "warmup_steps",
            "decay_rate",
            "decay_after",
            "epsilon",
            "weight_decay",
            "clip_norm",
            "clip_value",
            "evaluate_every",
            "checkpoint_every",
            "sample_every",
            "sample_length",
            "patience",
        ):
            _check_at_least(self, name, 0)
        for name in ("beta_1", "beta_2", "averaging"):
            _check_fraction(self, name)
        _check_choice(self, "optimizer", OPTIMIZERS)
        _check_choice(self, "schedule", SCHEDULES)
        _check_choice(self, "on_nan", ON_NAN)
        _check_choice(self, "jit_compile", ("auto", "on", "off"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that a working directory's results follow from."""

    model: ModelConfig
    data: DataConfig = DataConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self):
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
