r"""What a model writes without a prompt, beside how its text's pieces begin.

    python -m benchmarks.training.openings_benchmark --workdir=my_model

Of the first 100 characters of each sample: the share of white space, the
share of the commonest character, and the share of rare characters (those that
make up less than 0.1 % of the text). 100 samples at each of four temperatures
stand beside 1,000 pieces of the text that begin where a line, a paragraph or
a document begins. Whoever samples should not be able to tell them apart by
these: "outside" counts the samples that are outside of the range of the
pieces.
"""

import collections

import numpy as np
from absl import app
from absl import flags

_LENGTH = 100
_RARE = 1e-3
_MEASURES = ("white space", "commonest", "rare")


def define_flags(flag_values=flags.FLAGS):
    """Defines the program's flags."""
    flags.DEFINE_string(
        "workdir", "workdir", "Of a trained model.", flag_values=flag_values
    )
    flags.DEFINE_integer("samples", 100, "Samples.", flag_values=flag_values)
    flags.DEFINE_integer("pieces", 1000, "Pieces.", flag_values=flag_values)


def main(argv):
    """Prints the table of a model."""
    del argv
    options = flags.FLAGS
    from kerasrnn import load_model
    from kerasrnn.model.text_generator import TextGenerator
    from kerasrnn.training.checkpoints.workdir import open_corpus

    loaded = load_model(options.workdir)
    corpus = open_corpus(options.workdir, loaded.info.get("corpus_sha256"))
    shares = corpus.counts([(0, len(corpus))]) / len(corpus)
    texts = [corpus.vocabulary.decode([i]) for i in range(len(shares))]
    rare = {t for t, share in zip(texts, shares, strict=True) if share < _RARE}
    pieces = _pieces(corpus, options.pieces)
    of_text = np.array([_measures(piece, rare) for piece in pieces])
    print(f"{'':17}" + "".join(f"{name:>24}" for name in _MEASURES))
    low, high = of_text.min(axis=0), of_text.max(axis=0)
    print(
        f"{'pieces':17}"
        + "".join(
            f"{mean:>7.3f} ({one:.3f} to {other:.3f})"
            for mean, one, other in zip(
                of_text.mean(axis=0), low, high, strict=True
            )
        )
    )
    generator = TextGenerator(loaded.config.model, loaded.vocabulary)
    weights = [v.value for v in loaded.model.weights]
    for temperature in (1.0, 0.7, 0.5, 0.3):
        rows = np.array(
            [
                _measures(_sample(generator, weights, temperature, seed), rare)
                for seed in range(options.samples)
            ]
        )
        outside = ((rows < low) | (rows > high)).sum(axis=0)
        print(
            f"temperature {temperature:<5}"
            + "".join(
                f"{mean:>7.3f} ({count:>3} outside)   "
                for mean, count in zip(rows.mean(axis=0), outside, strict=True)
            ),
            flush=True,
        )


def _pieces(corpus, count):
    """Returns random pieces of the text that begin where such pieces do."""
    from kerasrnn.text.batches.beginnings import Beginnings

    documents = bool(corpus.separator_id)
    start_id = corpus.vocabulary.start_id
    beginnings = Beginnings(corpus.ids, start_id, documents)
    draws, pieces = np.random.default_rng(0), []
    while len(pieces) < count:
        place = int(draws.integers(0, len(corpus) - _LENGTH - 1))
        place = beginnings.last_before(place) + 1
        ids = corpus.ids[place : place + _LENGTH]
        pieces.append(corpus.vocabulary.decode(ids))
    return pieces


def _sample(generator, weights, temperature, seed):
    chunks = generator.stream(
        weights, length=_LENGTH, temperature=temperature, seed=seed
    )
    return "".join(chunk.text for chunk in chunks)


def _measures(text, rare):
    if not text:
        return [0.0, 0.0, 0.0]
    (_, commonest), *_ = collections.Counter(text).most_common(1)
    return [
        sum(c.isspace() for c in text) / len(text),
        commonest / len(text),
        sum(c in rare for c in text) / len(text),
    ]


if __name__ == "__main__":
    define_flags()
    app.run(main)
