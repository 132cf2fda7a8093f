"""Many to many, in step: each character of Python source gets its class.

    python examples/highlight.py

Syntax highlighting, learned: LSTMs that read the source in both directions
say of each character whether it is part of a keyword, a name, a number, a
string, a comment or an operator, or white space. What is right says Python's
own tokenizer, over files of the standard library of the Python that runs this.

It learns from pieces, each some whole lines of together at most 256
characters. It takes about three minutes, and prints how many characters are
right in files that it was not trained on: cut into such pieces, and read as a
whole, which is up to 300 times longer than anything that it has learned from.
The page that it writes shows one of these files, coloured as the network sees
it, with underlines where the tokenizer disagrees.
"""

import itertools
from pathlib import Path

import numpy as np
import shared

# isort: split
import keras
from standard_library import CLASSES
from standard_library import read_classified

from kerasrnn.layers import LSTM
from kerasrnn.reporting.page import element
from kerasrnn.reporting.page import page

# Ids are code points; those that are not ASCII are taken for this one, and 0
# is padding.
NOT_ASCII = 127
PIECE = 256
UNITS = 64
BATCH = 32

STYLE = """\
pre { line-height: 1.4; white-space: pre-wrap; }
.keyword { color: light-dark(#8250df, #d2a8ff); font-weight: 600; }
.number { color: light-dark(#0550ae, #79c0ff); }
.string { color: light-dark(#0a6b2d, #7ee787); }
.comment { color: light-dark(#6e7781, #8b949e); font-style: italic; }
.operator { color: light-dark(#b35900, #ffa657); }
.wrong { background: light-dark(#ffd5d5, #702020);
  text-decoration: underline wavy #e00000; }
"""


def to_ids(source):
    """Returns what the network reads, int32 [T]."""
    points = np.frombuffer(source.encode("utf-32-le"), "<u4")
    return np.minimum(points, NOT_ASCII).astype(np.int32)


def cut(files):
    """Cuts files into pieces of whole lines; only a long line is cut.

    Returns:
        `(ids, classes)`, each a list of arrays of at most `PIECE`.
    """
    ids, classes = [], []
    for _, source, truth in files:
        start = 0
        while start < len(source):
            stop = start + PIECE
            if stop < len(source):
                stop = source.rfind("\n", start, stop) + 1 or stop
            ids.append(to_ids(source[start:stop]))
            classes.append(truth[start:stop])
            start = stop
    return ids, classes


def pad(rows, length=None):
    """Returns rows of any lengths as one array [N, length], 0 behind each."""
    padded = np.zeros([len(rows), length or max(map(len, rows))], np.int32)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    return padded


def make_model():
    """Returns the network: ids [B, T] to logits [B, T, classes].

    Ids of 0 are masked: the layers skip them, so that those that read
    backwards begin at a row's own end.
    """

    def both_ways():
        return keras.layers.Bidirectional(LSTM(UNITS, return_sequences=True))

    return keras.Sequential(
        [
            keras.Input([None], dtype="int32"),
            keras.layers.Embedding(128, 32, mask_zero=True),
            both_ways(),
            both_ways(),
            keras.layers.Dense(len(CLASSES)),
        ]
    )


def train(model, files, epochs, batches, random):
    """Trains for rounds of pieces, drawn anew for each."""
    ids, classes = cut(files)
    ids, classes = pad(ids, PIECE), pad(classes, PIECE)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                0.005, max(1, epochs * batches)
            ),
            global_clipnorm=1.0,
        ),
        # Keras leaves out what is masked.
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # The layers have compiled what pays already.
        jit_compile=False,
    )
    for epoch in range(epochs):
        drawn = random.integers(len(ids), size=BATCH * batches)
        model.fit(
            ids[drawn],
            classes[drawn],
            BATCH,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=2,
        )


def predict(model, rows, batch_size):
    """Returns the class of each character, an int array a row.

    Rows of like lengths are read together.
    """
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    guesses = {}
    for first in range(0, len(rows), batch_size):
        batch = order[first : first + batch_size]
        logits = model.predict_on_batch(pad([rows[i] for i in batch]))
        for index, row in zip(batch, logits.argmax(axis=-1), strict=True):
            guesses[index] = row[: len(rows[index])]
    return [guesses[index] for index in range(len(rows))]


def report(path, source, truth, guesses):
    """Returns the page: one file, coloured as the network sees it."""
    spans = []
    runs = itertools.groupby(
        zip(source, truth, guesses, strict=True), lambda item: item[1:]
    )
    for (true, guess), run in runs:
        text = "".join(character for character, *_ in run)
        name = CLASSES[guess]
        if true == guess:
            attributes = {"class": name}
        else:
            title = f"{name}, says the network; {CLASSES[true]}, Python"
            attributes = {"class": f"{name} wrong", "title": title}
        spans.append(element("span", text=text, attributes=attributes))
    legend = [
        element("span", text=name, attributes={"class": name})
        for name in CLASSES[1:]
    ]
    legend.append(element("span", text="wrong", attributes={"class": "wrong"}))
    return page(
        path,
        element("h1", text=path)
        + element(
            "p",
            text=f"{np.mean(truth == guesses):.2%} of {len(source):,} "
            "characters are as Python's tokenizer has them. The network "
            "was not trained on this file.",
        )
        + element("p", " \u00b7 ".join(legend))
        + element("pre", *spans),
        style=STYLE,
    )


def measure(name, truth, guesses):
    """Prints how many characters are right, all and by class."""
    truth, guesses = np.concatenate(truth), np.concatenate(guesses)
    right = truth == guesses
    by_class = ", ".join(
        f"{kind} {right[truth == number].mean():.1%}"
        for number, kind in enumerate(CLASSES)
        if (truth == number).any()
    )
    print(
        f"held out, {name}: {right.mean():.2%} of {len(truth):,} characters "
        f"are right\n    ({by_class}; without white space "
        f"{right[truth > 0].mean():.2%})",
        flush=True,
    )


def main(options):
    """Trains, measures and shows."""
    random = np.random.default_rng(options.seed)
    files = read_classified(random, options.characters)
    held_out = files[::10]
    files = [file for index, file in enumerate(files) if index % 10]
    print(f"{len(files)} files to learn from, {len(held_out)} held out")
    model = make_model()
    train(model, files, options.epochs, options.batches, random)

    ids, truth = cut(held_out)
    share = np.bincount(np.concatenate(truth)).max() / sum(map(len, truth))
    print(f"the commonest class alone is {share:.2%} of the characters")
    measure(f"pieces of at most {PIECE}", truth, predict(model, ids, 256))
    paths, texts, truth = zip(*held_out, strict=True)
    guesses = predict(model, [to_ids(text) for text in texts], 4)
    longest = max(map(len, texts))
    measure(
        f"{len(texts)} whole files of up to {longest:,} characters",
        truth,
        guesses,
    )
    shown = min(range(len(texts)), key=lambda i: abs(len(texts[i]) - 12_000))
    Path(options.output).write_text(
        report(paths[shown], texts[shown], truth[shown], guesses[shown]),
        "utf-8",
    )


if __name__ == "__main__":
    shared.run(
        main,
        output="highlight.html",
        epochs=(10, "Rounds of pieces, drawn anew for each."),
        batches=(100, "Of 32 pieces in a round."),
        characters=(4_000_000, "Of source code to read, about."),
    )
