"""Many to one: the rows of a digit are read one by one, then its class told.

    python examples/digit_rows.py

An image is no sequence, but it can be read as one. An LSTM gets one row of 8
pixels in each step and remembers what it needs; after the last row it has to
know the digit. It is asked after each row before, too, but that hardly counts
in the training: it lets one watch how the network makes up its mind. It takes
less than a minute, prints how many of 450 images that it was not trained on
it knows after each row, and writes a picture: an image a line, with what it
believes after each row.
"""

import numpy as np
import shared

# isort: split
import keras

from kerasrnn.layers import LSTM

ROWS = 8
EARLY_WEIGHT = 0.03  # In the loss, of a row that is not the last.
UNREAD = (0.82, 0.88, 0.97)  # Colour of rows that are still to come.


def make_model(units):
    """Returns the network: [B, rows, 8] -> belief after each row [B, rows, 10].

    With `return_sequences=False`, which is the default, the layer would give
    its last output alone, and the network the last belief.
    """
    return keras.Sequential(
        [
            keras.Input([ROWS, 8]),
            keras.layers.GaussianNoise(0.25),  # In the training only.
            LSTM(units, return_sequences=True),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def main(options):
    """Trains, measures and shows."""
    (images, labels), held_out = shared.load_digits(options.seed)
    model = make_model(options.units)
    model.compile("adam", "sparse_categorical_crossentropy")
    answers = np.repeat(labels[:, None], ROWS, axis=1)  # [N, rows]
    weights = np.full(answers.shape, EARLY_WEIGHT)
    weights[:, -1] = 1
    model.fit(
        images,
        answers,
        sample_weight=weights,
        epochs=options.epochs,
        verbose=2,
    )

    images, labels = held_out
    beliefs = model.predict(images, verbose=0)  # [450, rows, 10]
    right = beliefs.argmax(axis=2) == labels[:, None]  # [450, rows]
    for row in range(ROWS):
        print(f"after {row + 1} of {ROWS} rows: {right[:, row].mean():.2%}")
    print(
        f"held out: {right[:, -1].mean():.2%} of {len(images)} images are "
        "given their class after the last row"
    )
    show(options.output, images, beliefs, right)


def show(path, images, beliefs, right):
    """Writes a line an image: those that are known late, and a mistake."""
    # Known at the end and from then on only: the latest first.
    late = np.argsort(right.sum(axis=1) + 100 * ~right[:, -1])
    chosen = [*late[:3], *late[len(late) // 2 :][:3]]
    chosen += [*np.flatnonzero(~right[:, -1])[:1]]
    pictures, captions = [], []
    for index in chosen:
        for row in range(ROWS):
            picture = np.repeat(1 - images[index][:, :, None], 3, axis=2)
            picture[row + 1 :] = UNREAD
            pictures.append(picture)
            belief = beliefs[index, row]
            first, second = np.argsort(belief)[:-3:-1]
            captions.append(
                f"{first}: {belief[first]:.0%}\n{second}: {belief[second]:.0%}"
            )
    shared.write_grid(path, pictures, captions, columns=ROWS)


if __name__ == "__main__":
    shared.run(
        main,
        output="digit_rows.png",
        epochs=(60, "Passes over the training images."),
        units=(128, "Width of the LSTM."),
    )
