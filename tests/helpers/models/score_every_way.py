"""The probability of a text in every way that the package computes it.

    python -m helpers.models.score_every_way CELL...

prints as JSON, for each kind of cell, log p of `TEXT` in nats: in a training
step, by the Keras layer, by the cell alone, by the sampler's step, and as an
export scores it.
"""

import json
import sys

import numpy as np

from helpers.models import small_models

TEXT = "abba cafe\nbad egg. fed a hag"


def model_of(cell: str):
    """Returns `(config, weights, vocabulary)` of one layer."""
    vocabulary = small_models.make_vocabulary("characters")
    config = small_models.make_config(
        vocabulary, cell=cell, num_layers=1, dropout=0.0
    )
    return config, small_models.random_weights(config), vocabulary


def _score(cell):
    import keras
    import tensorflow as tf
    from kerasrnn_export.graph.sampler import Sampler

    from kerasrnn.layers.kinds import kind_of
    from kerasrnn.model.step import step_model
    from kerasrnn.model.weights import state_sizes
    from kerasrnn.training.step.flat_weights import layout
    from kerasrnn.training.step.gradients import make_loss_gradient

    config, weights, vocabulary = model_of(cell)
    ids = vocabulary.encode(TEXT).astype("int32")
    read = np.append(vocabulary.start_id, ids[:-1]).astype("int32")
    states = [tf.zeros([1, size]) for size in state_sizes(config)]
    *layer_weights, output_kernel, output_bias = weights

    def nats(h):
        logits = (h @ output_kernel + output_bias)[:, 1:]
        log_probs = tf.nn.log_softmax(logits).numpy()
        return float(log_probs[np.arange(len(ids)), ids - 1].sum())

    flat = tf.concat([tf.reshape(weight, [-1]) for weight in weights], 0)
    step = make_loss_gradient(config, layout(config), "off")
    key = tf.constant([0, 0, 0], tf.int64)
    results = {
        "training": -float(step(flat, read[None], ids[None], states, key)[0])
    }
    one_hot = tf.one_hot(read, config.vocabulary_size)
    kind = kind_of(cell)
    for name, options in (("layer", {}), ("unrolled", {"unroll": True})):
        layer = kind.layer(config.units, return_sequences=True, **options)
        layer.build((1, len(ids), config.vocabulary_size))
        layer.set_weights(layer_weights)
        results[name] = nats(layer(one_hot[None])[0])
    rnn = keras.layers.RNN(kind.cell(config.units), return_sequences=True)
    rnn.build((1, len(ids), config.vocabulary_size))
    rnn.set_weights(layer_weights)
    results["cell"] = nats(rnn(one_hot[None])[0])
    model = step_model(config, weights)
    outputs = []
    for token in read:
        states = model.read(tf.constant([token]), states)
        outputs.append(states[0][0])
    results["sampling"] = nats(tf.stack(outputs))
    sampler = Sampler(config, weights, vocabulary)
    scored = tf.function(sampler.score, autograph=False)(
        tf.constant([TEXT]), tf.constant([""])
    )
    results["export"] = float(scored["log_prob"][0])
    return results


if __name__ == "__main__":
    print(json.dumps({cell: _score(cell) for cell in sys.argv[1:]}))
