"""Checks a SavedModel before it is published.

Two questions: can the stock server run it, wherever it is (its operations,
its devices, its signatures), and does it say what the model says? For the
second it is loaded as the server loads it, into a session of its own: what
`tf.saved_model.load` accepts may fail there.
"""

import dataclasses
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Self

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from kerasrnn.config import ModelConfig
from kerasrnn.errors import UserError
from kerasrnn.foundation.paths import StrPath
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.char_rnn import sequence_logits
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.model.weights import state_sizes
from kerasrnn.text.vocabulary import Vocabulary
from kerasrnn_export.graph import archive
from kerasrnn_export.graph import operations

_LENGTH = 100
_PROMPT_LENGTH = 20
# (seed, temperature) of the texts that are compared.
_SAMPLES = ((0, 0.0), (1, 1.0), (-2, 0.5))
_NATS_TOLERANCE = 1e-4


class VerificationError(UserError):
    """A SavedModel that must not be published."""


class Session:
    """A SavedModel in a session, as TensorFlow Serving runs it.

    Args:
        directory: Of the SavedModel.
    """

    def __init__(self, directory: StrPath):
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        with self._graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(
                self._session, [tf.saved_model.SERVING], str(directory)
            )
        self._signatures = meta_graph.signature_def

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def __call__(
        self, signature_name: str, **inputs: ArrayLike
    ) -> dict[str, np.ndarray]:
        """Runs a signature, with its defaults where an input is missing."""
        signature = self._signatures[signature_name]
        values = {
            name: tf.make_ndarray(value)
            for name, value in signature.defaults.items()
        }
        feeds = {
            signature.inputs[name].name: value
            for name, value in {**values, **inputs}.items()
        }
        fetches = {name: info.name for name, info in signature.outputs.items()}
        return self._session.run(fetches, feeds)


def check_graph(directory: StrPath) -> None:
    """Checks that the stock server can run a SavedModel anywhere.

    Raises:
        VerificationError: It has an operation that is not on the list, asks
            for XLA or a device, or differs from the contract.
    """
    saved_model = archive.read_graph(directory)
    problems = sorted(set(_node_problems(saved_model)))
    problems += _signature_problems(saved_model.meta_graphs[0].signature_def)
    if problems:
        raise VerificationError(
            "The SavedModel cannot be served and was not published: "
            f"{'; '.join(problems)}."
        )


def check_outputs(
    directory: StrPath, model: CharRNN, vocabulary: Vocabulary
) -> None:
    """Checks that a SavedModel gives what the model gives.

    Raises:
        VerificationError: It does not.
    """
    config = dataclasses.replace(model.config, dtype_policy="float32")
    weights = [tf.convert_to_tensor(v.value) for v in model.weights]
    generator = TextGenerator(config, vocabulary)
    prompt = "".join(vocabulary.characters[:_PROMPT_LENGTH])
    if vocabulary.kind == "bytes":
        prompt = prompt.encode("latin-1").decode("utf-8", "replace")
    with Session(directory) as session:
        for seed, temperature in _SAMPLES:
            chunks = generator.stream(
                weights,
                prompt=prompt,
                length=_LENGTH,
                temperature=temperature,
                seed=seed,
            )
            live = "".join(chunk.text for chunk in chunks)
            served = session(
                "generate",
                prompt=[prompt.encode()],
                length=[_LENGTH],
                temperature=[temperature],
                seed=[seed],
            )
            _compare_texts(live, served, vocabulary.kind)
        served = session("score", text=[live.encode()])
        nats = log_probability(config, weights, vocabulary, live)
        _compare_nats(nats, served)
        served = session("inspect", text=[live.encode()])
        ids = vocabulary.encode(live)
        log_probs = _log_probs(config, weights, vocabulary, ids)[1:]
        _compare_candidates(log_probs, served)


def log_probability(
    config: ModelConfig,
    weights: Sequence[tf.Tensor],
    vocabulary: Vocabulary,
    text: str,
) -> float:
    """Returns log p(text) in nats; unknown characters are not scored."""
    ids = vocabulary.encode(text)
    log_probs = _log_probs(config, weights, vocabulary, ids)[:-1]  # [T, V]
    chosen = np.take_along_axis(log_probs, ids[:, None], axis=1)[:, 0]
    return float(chosen[ids != 0].sum())


def _log_probs(config, weights, vocabulary, ids):
    """Log p [T + 1, V] of what comes first, and after each of the ids."""
    read = tf.constant(np.append(vocabulary.start_id, ids)[None], tf.int32)
    states = [tf.zeros([1, size]) for size in state_sizes(config)]
    logits, _ = sequence_logits(
        config, weights, read, states, differentiable=False
    )
    logits = logits[0].numpy().astype(np.float64)
    largest = logits.max(axis=1, keepdims=True)
    totals = np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))
    return logits - largest - totals


def _compare_texts(live, served, kind):
    text = served["text"][0].decode()
    # What is unfinished waits in the token; a text that ends shows it.
    same = text == live
    if kind == "bytes":
        same = live.startswith(text) and len(live) - len(text) <= 1
    if served["error"][0] or not same:
        raise VerificationError(
            "The SavedModel does not generate what the model generates and "
            f"was not published: expected {live!r}, received {text!r} "
            f"{served['error'][0].decode()}"
        )


def _compare_nats(nats, served):
    tolerance = _NATS_TOLERANCE * max(1, int(served["length"][0]))
    received = float(served["log_prob"][0])
    if served["error"][0] or not abs(received - nats) <= tolerance:
        raise VerificationError(
            "The SavedModel does not score as the model does and was not "
            f"published: expected {nats} nats, received {received} "
            f"{served['error'][0].decode()}"
        )


def _compare_candidates(log_probs, served):
    received = served["top_log_probs"][0]  # [T, K]
    count = min(received.shape[1], log_probs.shape[1] - 1)
    expected = np.sort(log_probs, axis=1)[:, ::-1][:, :count]
    if served["error"][0] or not np.allclose(
        received[:, :count], expected, rtol=0, atol=_NATS_TOLERANCE
    ):
        raise VerificationError(
            "The SavedModel does not inspect as the model reads and was not "
            f"published. {served['error'][0].decode()}"
        )


def _node_problems(saved_model) -> Iterator[str]:
    for name in operations.not_allowed(saved_model):
        yield f"operation {name} is not on the list of allowed ones"
    for node in operations.nodes(saved_model):
        if node.device:
            yield f"node {node.name} names the device {node.device}"
        if _asks_for_xla(node.attr):
            yield f"node {node.name} asks for XLA"
    for meta_graph in saved_model.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            if _asks_for_xla(function.attr):
                yield f"function {function.signature.name} asks for XLA"


def _asks_for_xla(attributes):
    return any("xla" in name.lower() and v.b for name, v in attributes.items())


def _signature_problems(definitions):
    problems = []
    for signature in archive.EXPORTED:
        definition = definitions.get(signature.name)
        if definition is None:
            problems.append(f"signature {signature.name} is missing")
            continue
        expected = {
            "inputs": {e.name: (e.dtype, 1) for e in signature.inputs},
            "outputs": {e.name: (e.dtype, e.rank) for e in signature.outputs},
        }
        for side, entries in expected.items():
            found = {
                name: (
                    tf.dtypes.as_dtype(info.dtype).name,
                    len(info.tensor_shape.dim),
                )
                for name, info in getattr(definition, side).items()
            }
            if found != entries:
                problems.append(
                    f"the {side} of {signature.name} are {found}, not {entries}"
                )
        defaults = {
            name: np.ravel(tf.make_ndarray(value)).tolist()
            for name, value in definition.defaults.items()
        }
        expected = {
            e.name: [
                e.default.encode() if isinstance(e.default, str) else e.default
            ]
            for e in signature.inputs
            if e.default is not None
        }
        if defaults != expected:
            problems.append(
                f"the defaults of {signature.name} are {defaults}, not "
                f"{expected}"
            )
    return problems
