"""Many to one: a line of text of any length goes in: is it code or prose?

    python examples/code_or_prose.py

The lines are those of Python's own standard library: statements are code,
what docstrings say is prose. An LSTM reads a line character by character, and
after the last one tells how much it believes in code. It is trained on lines
of at most 60 characters and judged on files that it has seen nothing of: on
all lines of 20 characters and more, on those that are longer than any in the
training, and on passages of five lines. It takes one to two minutes, and
writes a picture of lines that were held out, each character coloured by the
belief after it, from prose (blue) to code (orange).
"""

import numpy as np
import shared

# isort: split
import keras
from standard_library import CODE
from standard_library import PROSE
from standard_library import read_prose_and_code

from kerasrnn.layers import LSTM

SHORTEST = 20  # Characters of a line that the network is judged on.
LONGEST = 60  # Of a line that it is trained on.
BATCH_SIZE = 64
PASSAGE = 5  # Lines.

# Ids of characters: 0 is padding, which the embedding masks, 1 any other.
ID_OF = {chr(code): code - 30 for code in range(32, 127)}
NUMBER_OF_IDS = 2 + len(ID_OF)


def choose(files, random, lengths, seen=()):
    """Returns `(lines, labels)`: as many of code as of prose, none twice.

    Args:
        files: See `read_prose_and_code`.
        random: Draws from the kind of which there is more.
        lengths: Range of the numbers of characters.
        seen: Lines to leave out.
    """
    kinds = [
        {line for file in files for line in file[label] if len(line) in lengths}
        for label in (PROSE, CODE)
    ]
    # What is both says nothing.
    kinds = [sorted(kind - (kinds[0] & kinds[1]) - set(seen)) for kind in kinds]
    count = min(map(len, kinds))
    lines = [
        line for kind in kinds for line in random.permutation(kind)[:count]
    ]
    return lines, np.repeat([PROSE, CODE], count)


def join(files, random):
    """Returns `(passages, labels)`: lines of a file, one after the other."""
    passages = []
    for label in (PROSE, CODE):
        passages.append([])
        for file in files:
            lines = [line for line in file[label] if line]
            for start in range(0, len(lines) - PASSAGE + 1, PASSAGE):
                passages[-1].append(" ".join(lines[start : start + PASSAGE]))
    lengths = range(LONGEST + 1, 10**6)
    return choose([passages], random, lengths)


def encode(lines):
    """Returns ids [N, T], padded with zeros to the longest line's length."""
    ids = np.zeros([len(lines), max(map(len, lines))], "int32")
    for row, line in enumerate(lines):
        ids[row, : len(line)] = [ID_OF.get(c, 1) for c in line]
    return ids


def make_models(units):
    """Returns two models over the same layers.

    The first gives the belief in code after the last character, and is what
    is trained: ids [B, T] -> [B, 1]. The second gives it after each, to look
    at: [B, T, 1].

    Lines of different lengths lie side by side in a batch. The embedding
    makes the mask that says where each ends; from there on the LSTM keeps
    its state as it is.
    """
    ids = keras.Input([None], dtype="int32")
    embedded = keras.layers.Embedding(NUMBER_OF_IDS, 32, mask_zero=True)(ids)
    lstm = LSTM(units, return_sequences=True, return_state=True)
    believe = keras.layers.Dense(1, activation="sigmoid")
    outputs, last_output, _ = lstm(embedded)
    return (
        keras.Model(ids, believe(last_output)),
        keras.Model(ids, believe(outputs)),
    )


def main(options):
    """Trains, measures and shows."""
    random = np.random.default_rng(options.seed)
    files = read_prose_and_code()
    files = [files[index] for index in random.permutation(len(files))]
    held_out, files = files[: len(files) // 5], files[len(files) // 5 :]
    lines, labels = choose(files, random, range(4, LONGEST + 1))
    drawn = random.permutation(len(lines))[: options.lines]
    lines, labels = [lines[index] for index in drawn], labels[drawn]
    print(
        f"{len(lines):,} lines of {len(files)} files to train on, "
        f"{len(held_out)} files held out"
    )

    model, model_to_watch = make_models(options.units)
    steps = options.epochs * len(lines) // BATCH_SIZE
    rate = keras.optimizers.schedules.CosineDecay(0.004, steps)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    model.fit(
        encode(lines),
        labels,
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
        verbose=2,
    )

    tests = {
        "held out": choose(held_out, random, range(SHORTEST, 10**6), lines),
        "longer than in training": choose(
            held_out, random, range(LONGEST + 1, 10**6), lines
        ),
        f"passages of {PASSAGE} lines": join(held_out, random),
    }
    for name, (lines, labels) in tests.items():
        right = (last_beliefs(model, lines) > 0.5) == labels
        lengths = [len(line) for line in lines]
        print(
            f"{name}: {right.mean():.2%} of {len(lines):,} are told right "
            f"({min(lengths)} to {max(lengths)} characters)"
        )
        if name == "held out":
            wrong = [lines[index] for index in np.flatnonzero(~right)[:6]]
            some = random.permutation(lines)[:10]
    show(options.output, model_to_watch, [*ALIKE, "", *some, "", *wrong])


def last_beliefs(model, lines):
    """Returns the belief after each line's last character, [N]."""
    beliefs = []
    by_length = np.argsort([len(line) for line in lines])
    for batch in np.array_split(by_length, len(lines) // 256 + 1):
        ids = encode([lines[index] for index in batch])
        beliefs.append(model.predict_on_batch(ids)[:, 0])
    return np.concatenate(beliefs)[np.argsort(by_length)]


# Code and prose that begin alike.
ALIKE = [
    "import this module before any other that uses threads",
    "import os, sys; print(os.environ)",
    "return the number of items that are still in the queue",
    "return len(self.items) - self.removed",
    "for each line in the file, one value is returned",
    "for line in file: yield parse(line)",
    "if not, the default is used (see open() for others)",
    "if not default: raise ValueError(name)",
]


def show(path, model, lines):
    """Writes a picture: lines in the colours of what is believed of them."""
    beliefs = model.predict_on_batch(encode(lines))[:, :, 0]  # [N, T]
    colours, notes = [], []
    for line, row in zip(lines, beliefs, strict=True):
        colours.append([colour(belief) for belief in row[: len(line)]])
        # After its end a line keeps the belief that it had there.
        kind = "code" if row[-1] > 0.5 else "prose"
        sure = max(row[-1], 1 - row[-1])
        notes.append(f"{kind} {sure:.0%}" if line else "")
    shared.write_lines(path, lines, colours, notes)


def colour(belief):
    """Returns blue for prose (0), white for unsure, orange for code (1)."""
    full = (255, 165, 60) if belief > 0.5 else (110, 170, 255)
    strength = abs(2 * belief - 1)
    return tuple(int(255 - (255 - part) * strength) for part in full)


if __name__ == "__main__":
    shared.run(
        main,
        output="code_or_prose.png",
        epochs=(4, "Passes over the training lines."),
        lines=(24_000, "Lines to train on, at most."),
        units=(96, "Width of the LSTM."),
    )
