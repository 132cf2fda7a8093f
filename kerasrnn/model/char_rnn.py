"""CharRNN: a stack of recurrent layers that predicts the next character.

Glossary of shapes: B batch, T sequence length, V vocabulary size, U units,
G gates, E embedding size, S states (2 a layer for an LSTM, else 1).

The arithmetic is in pure functions of `(config, weights)`, where `weights`
is a flat list in the order of `CharRNN.weights`. Training, evaluation and the
exported sampler all call them; `CharRNN` is the Keras model that owns the
weights.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

# Keras reads a model's weights in its compute dtype, and exports no way out.
from keras.src.backend.common.variables import AutocastScope

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.layers.kinds import kind_of
from kerasrnn.model.arguments import check_states
from kerasrnn.model.arguments import check_tokens
from kerasrnn.model.dropout import dropout_rate
from kerasrnn.model.dropout import keyed_dropout
from kerasrnn.model.dropout import multiplied
from kerasrnn.model.dropout import recurrent_kernel_factors
from kerasrnn.model.initialization import embedding_initializer
from kerasrnn.model.initialization import layer_initializers
from kerasrnn.model.initialization import output_initializers
from kerasrnn.model.step import step_model
from kerasrnn.model.weights import output_bias
from kerasrnn.model.weights import state_sizes
from kerasrnn.model.weights import states_of_layers
from kerasrnn.model.weights import unflatten
from kerasrnn.recurrence import cudnn
from kerasrnn.recurrence.engine import CUDNN
from kerasrnn.recurrence.engine import PLAIN
from kerasrnn.recurrence.engine import Engine
from kerasrnn.recurrence.engine import choose_engine
from kerasrnn.recurrence.projection import lookup
from kerasrnn.recurrence.projection import project
from kerasrnn.recurrence.reader import read
from kerasrnn.sampling.generate import StepModel


@keras.saving.register_keras_serializable(package="kerasrnn")
class CharRNN(keras.Model):
    """Multi-layer character model: embedding or one-hot, cells, softmax.

    Call arguments:
        tokens: int32 ids [B, T]; see `sequence_logits` on documents.
        states: Flat list of float32 tensors [B, U], layer by layer (h, c of
            an LSTM, h of the others); None is zeros.
        training: Whether dropout applies.
        dropout_key: int tensor [3], `(seed, step, first stream)`; dropout is
            a function of it, the layer and the stream. Needed in training
            where the configuration has dropout.

    Returns:
        `(logits [B, T, V] float32, states)`. The logit of id 0 is always
        `kerasrnn.model.weights.UNKNOWN_LOGIT`.

    Args:
        config: The sizes and options of the model. Its `dtype_policy` is
            that of all layers, whatever Keras' global one is.
        **kwargs: `name` and `trainable`; `dtype` in place of
            `config.dtype_policy`.

    Raises:
        UserError: `dtype` is not a policy that the configuration knows; in a
            call, tokens or states are not of the shapes above.
    """

    built: bool

    def __init__(self, config: ModelConfig, **kwargs: Any):
        if kwargs.get("dtype") is not None:
            policy = keras.dtype_policies.get(kwargs["dtype"]).name
            config = dataclasses.replace(config, dtype_policy=policy)
        kwargs["dtype"] = config.dtype_policy
        super().__init__(**kwargs)
        # States are float32 in every policy, and tokens no floats at all.
        self.autocast = False
        self.config = config
        self.embedding = None
        if config.embedding_size:
            self.embedding = keras.layers.Embedding(
                config.vocabulary_size,
                config.embedding_size,
                embeddings_initializer=embedding_initializer(config),
                dtype=config.dtype_policy,
                name="embedding",
            )
        self.recurrent = [
            kind_of(config.cell).layer(
                config.units,
                return_sequences=True,
                return_state=True,
                dtype=config.dtype_policy,
                name=f"{config.cell}_{index}",
                **layer_initializers(config, index),
            )
            for index in range(config.num_layers)
        ]
        self.logits = keras.layers.Dense(
            config.vocabulary_size,
            dtype=config.dtype_policy,
            name="logits",
            **output_initializers(config),
        )

    @property
    def state_sizes(self) -> list[int]:
        """Widths of the states, layer by layer."""
        return state_sizes(self.config)

    def initial_states(self, batch_size: int | tf.Tensor) -> list[tf.Tensor]:
        """Returns the zero states, tensors [batch_size, units]."""
        return [tf.zeros([batch_size, size]) for size in self.state_sizes]

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights; the shape of the tokens does not matter."""
        if self.built:
            return
        config = self.config
        width = config.embedding_size or config.vocabulary_size
        if self.embedding is not None:
            self.embedding.build((None, None))
        for layer in self.recurrent:
            layer.build((None, None, width))
            width = config.units
        self.logits.build((None, None, width))
        self.built = True

    def build_weights(self) -> None:
        """Makes the weights where they are not made yet."""
        self.build()

    def call(
        self,
        tokens: tf.Tensor,
        states: Sequence[tf.Tensor] | None = None,
        training: bool = False,
        dropout_key: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        check_tokens(tokens)
        # TensorFlow gathers by no other integers; a corpus has shorter ones.
        if tf.as_dtype(tokens.dtype) not in (tf.int32, tf.int64):
            tokens = tf.cast(tokens, tf.int64)
        drops = self.config.dropout or self.config.recurrent_kernel_dropout
        if training and drops and dropout_key is None:
            raise UserError(
                "Training with dropout draws by a dropout_key, an int tensor "
                "(seed, step, first stream), and none was passed: pass one, "
                "or configure the model with dropout=0 and "
                "recurrent_kernel_dropout=0."
            )
        if states is None:
            states = self.initial_states(tf.shape(tokens)[0])
        check_states(self.config, tokens, states)
        with AutocastScope(None):
            weights = [variable.value for variable in self.weights]
        if training and drops:
            factors = recurrent_kernel_factors(self.config, dropout_key)
            weights = multiplied(weights, factors)
        return sequence_logits(
            self.config,
            weights,
            tokens,
            states,
            dropout_key=dropout_key if training else None,
        )

    def step_model(self) -> StepModel:
        """Returns what `kerasrnn.sampling.generate` needs of this model."""
        return step_model(self.config, [v.value for v in self.weights])

    def get_config(self) -> dict[str, Any]:
        return {
            "config": vars(self.config),
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.config.dtype_policy,
        }

    @classmethod
    def from_config(
        cls,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
    ) -> "CharRNN":
        del custom_objects
        options = dict(config)
        return cls(ModelConfig(**options.pop("config")), **options)


def training_engine(
    config: ModelConfig, batch: int | None, steps: int | None
) -> Engine:
    """Returns how the loops of a training step that is built here are run.

    Args:
        config: What the model is.
        batch: Streams, None where they are not known.
        steps: Sequence length, None where it is not known.
    """
    # The loops of cuDNN know no documents.
    if not config.separator_id:
        if not cudnn.obstacle_here(kind_of(config.cell).step):
            return CUDNN
    return choose_engine(config.units, batch, steps, _compute_dtype(config))


def sequence_logits(
    config: ModelConfig,
    weights: Sequence[tf.Tensor],
    tokens: tf.Tensor,
    states: Sequence[tf.Tensor],
    dropout_key: tf.Tensor | None = None,
    engine: Engine = PLAIN,
    differentiable: bool = True,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Reads sequences and predicts the character after each of their own.

    Args:
        config: What the model is.
        weights: Flat list of tensors, in the order of `CharRNN.weights`.
        tokens: int32 ids [B, T]. Where `config.separator_id` is set, that id
            is read from the zero state, and so is the id that a negative
            one, `~id`, stands for.
        states: Flat list of tensors [B, U].
        dropout_key: None, or see `CharRNN`. Elements of the recurrent kernels
            are not dropped here; see `recurrent_kernel_factors`.
        engine: How the loops over time are run. Training takes the one that
            `training_engine` returns; exports take the default.
        differentiable: Whether there is a gradient; without, the loops keep
            nothing for it.

    Returns:
        `(logits [B, T, V] float32, states)`.
    """
    weights, dtype = unflatten(config, weights), _compute_dtype(config)
    step = kind_of(config.cell).step
    outputs, reset = _document_starts(config, tf.transpose(tokens))  # [T, B]
    if weights.embedding is not None:
        outputs = lookup(tf.cast(weights.embedding, dtype), outputs)
    next_states = []
    layer_states = states_of_layers(states, config.num_layers)
    for index, layer in enumerate(weights.layers):
        outputs, final = read(
            step,
            outputs,
            layer,
            layer_states[index],
            dtype,
            reset=reset,
            engine=engine,
            differentiable=differentiable,
        )
        next_states.extend(final)
        if dropout_key is not None and config.dropout:
            outputs = keyed_dropout(
                outputs,
                dropout_rate(
                    config.dropout, config.dropout_warmup_steps, dropout_key
                ),
                dropout_key,
                index,
                compiles=engine.is_for_cpu and None not in outputs.shape,
            )
    logits = project(outputs, weights.output_kernel, None, dtype)
    logits = tf.cast(logits, tf.float32) + output_bias(weights)
    return tf.transpose(logits, [1, 0, 2]), next_states


def _document_starts(config, tokens):
    """Returns ids, and where they are read from the zero state, or None."""
    if not config.separator_id:
        return tokens, None
    marked = tokens < 0
    ids = tf.where(marked, -1 - tokens, tokens)
    return ids, marked | (ids == config.separator_id)


def _compute_dtype(config):
    return keras.DTypePolicy(config.dtype_policy).compute_dtype
