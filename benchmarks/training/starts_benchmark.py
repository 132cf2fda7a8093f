r"""How well a trained model reads on from any start.

    python -m benchmarks.training.starts_benchmark --workdir=my_model

From 1,000 random places of the held-out text, characters 100 to 300 are
scored, after different starts:

    warm             500 characters of the text before the place
    zero state       nothing
    start character  the character that every text is taken to follow
    noise            200 random characters, each as likely as in the text

The first is what the model can do. For each other start the mean loss is
printed, how much it is above the first one, and the loss at the worst place
as a multiple of the mean.
"""

import numpy as np
from absl import app
from absl import flags

_SCORED = (100, 300)
_NOISE = 200
_CONTEXT = 500
_ROWS = 125


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_string(
        "workdir", "workdir", "Of a trained model.", flag_values=flag_values
    )
    flags.DEFINE_list(
        "checkpoints", ["best", "latest"], "Which.", flag_values=flag_values
    )
    flags.DEFINE_integer("places", 1000, "Places.", flag_values=flag_values)
    flags.DEFINE_integer(
        "seed", 0, "Of places and noise.", flag_values=flag_values
    )


def main(argv):
    """Prints the table of a model."""
    del argv
    options = flags.FLAGS
    from kerasrnn.training.checkpoints.finding import find
    from kerasrnn.training.checkpoints.workdir import open_corpus

    for which in options.checkpoints:
        _, saved = find(options.workdir, which)
        corpus = open_corpus(options.workdir, saved.info.get("corpus_sha256"))
        losses = losses_by_start(
            saved, corpus, options.places, np.random.default_rng(options.seed)
        )
        warm = losses["warm"].mean()
        print(f"{which} checkpoint, step {saved.step:,}")
        print("  start            nats/character  above warm  worst / mean")
        for name, values in losses.items():
            print(
                f"  {name:15}  {values.mean():14.4f}  "
                f"{values.mean() / warm - 1:10.1%}  "
                f"{values.max() / values.mean():12.2f}"
            )


def losses_by_start(saved, corpus, places, draws):
    """Returns the mean loss at each place, [places], by the start's name.

    Args:
        saved: A checkpoint with the model's weights.
        corpus: The text that it was trained on.
        places: Number of places in the held-out text.
        draws: NumPy's generator.
    """
    multiple = saved.config.training.sequence_length
    ranges = corpus.split_ranges("validation", multiple)
    room = np.concatenate(
        [
            np.arange(max(start, _CONTEXT), stop - _SCORED[1])
            for start, stop in ranges
        ]
    )
    firsts = draws.choice(room, places)
    texts = _windows(corpus.ids, firsts, _SCORED[1])
    counts = corpus.counts(ranges).astype(float)
    counts[0] = 0.0
    noise = draws.choice(len(counts), (places, _NOISE), p=counts / counts.sum())
    start = np.full((places, 1), corpus.vocabulary.start_id)
    before = {
        "warm": _windows(corpus.ids, firsts - _CONTEXT, _CONTEXT),
        "zero state": np.zeros((places, 0), np.int32),
        "start character": start,
        "noise": noise,
    }
    score = _scorer(saved)
    return {
        name: score(np.concatenate([read, texts], axis=1))
        for name, read in before.items()
    }


def _windows(ids, firsts, length):
    return np.asarray(ids)[firsts[:, None] + np.arange(length)]


def _scorer(saved):
    """Returns a function of ids [rows, L] to the last characters' losses."""
    import tensorflow as tf

    from kerasrnn.training.checkpoints.load_model import model_of

    model = model_of(saved)
    scored = _SCORED[1] - _SCORED[0]

    @tf.function(reduce_retracing=True)
    def losses(ids):
        logits, _ = model(ids[:, :-1])
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(
            ids[:, 1:], logits
        )
        known = tf.cast(ids[:, 1:] != 0, tf.float32)[:, -scored:]
        nats = tf.reduce_sum(nats[:, -scored:] * known, axis=1)
        return nats / tf.reduce_sum(known, axis=1)

    def score(ids):
        ids = ids.astype(np.int32)
        return np.concatenate(
            [
                losses(tf.constant(ids[first : first + _ROWS])).numpy()
                for first in range(0, len(ids), _ROWS)
            ]
        )

    return score


if __name__ == "__main__":
    define_flags()
    app.run(main)
