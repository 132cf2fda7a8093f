"""Reading: a network reads a number through a small window that it moves.

    python examples/reading.py

A picture is no sequence, but it can be read as one. The network is shown a
cluttered picture with a number of one to three digits somewhere in it. It
sees all of it only as a coarse overview, at a quarter of the height and
width. The picture itself it sees through a window of 12x12 points. At each
step it moves the window and chooses its size (the wider, the less it shows),
and says a digit: from left to right, and then that there are no more.

The order of things is that of Ba et al. 2014 ("Multiple Object Recognition
with Visual Attention"): the overview is where the attention starts, one LSTM
reads, a second one above it moves the window. The window is that of Gregor
et al. 2015 ("DRAW"): Gaussian filters, so that moving it is differentiable.
Where it goes is a weighted mean over the squares of the overview. Unlike
theirs, this network is told in training where the digits lie, so that it
trains in minutes; of the held-out numbers it gets the picture alone.

The pictures are made of scikit-learn's digits. At the end the network reads
numbers made of 450 digits that no training picture has in it; the share of
three-digit numbers that are exactly right is printed, and the picture shows
where it looked. It takes a few minutes.
"""

import numpy as np
import shared

# isort: split
import glimpses
import keras
from glimpses import WINDOW
from handwritten_numbers import DIGITS
from handwritten_numbers import HEIGHT
from handwritten_numbers import STOP
from handwritten_numbers import WIDTH
from handwritten_numbers import Numbers
from keras import ops

from kerasrnn.layers import LSTMCell

OVERVIEW = 4  # side of the squares that the overview averages
# x and y of the centres of the overview's squares, in pixels [7, 18, 2].
SQUARES = OVERVIEW * np.stack(
    np.meshgrid(
        np.arange(WIDTH // OVERVIEW) + 0.5, np.arange(HEIGHT // OVERVIEW) + 0.5
    ),
    axis=-1,
).astype("float32")
UNIT = 10  # pixels: of places that are inputs of the network


class Reader(keras.Model):
    """Two LSTMs, of which one reads and one moves the window."""

    def __init__(self, units=128, features=32):
        super().__init__()
        layers = keras.layers
        self.overview = layers.AveragePooling2D(OVERVIEW)
        self.places = keras.Sequential(
            [
                layers.Conv2D(16, 3, padding="same", activation="relu"),
                layers.Conv2D(features, 3, padding="same", activation="relu"),
                layers.Reshape([-1, features]),
            ]
        )
        self.context = keras.Sequential(
            [
                layers.Flatten(),
                layers.Dense(units, activation="relu"),
                layers.Dense(units, activation="tanh"),
            ]
        )
        self.what = keras.Sequential(
            [
                layers.Reshape([WINDOW, WINDOW, 1]),
                layers.Conv2D(24, 3, padding="same", activation="relu"),
                layers.Conv2D(48, 3, strides=2, activation="relu"),
                layers.Flatten(),
                layers.Dense(units, activation="relu"),
            ]
        )
        self.where = layers.Dense(units, activation="sigmoid")
        self.reader = LSTMCell(units)
        self.mover = LSTMCell(units)
        self.query = layers.Dense(features)
        self.adjust = layers.Dense(3)
        self.name_digit = layers.Dense(STOP + 1)

    def call(self, pictures):
        """Returns what is trained: see `Numbers`."""
        logits, windows = self.read(pictures)
        return {"digits": logits, "places": windows[:, :, :2]}

    def read(self, pictures):
        """Reads numbers.

        Args:
            pictures: From 0 (paper) to 1 (ink) [B, height, width].

        Returns:
            Logits of the digits [B, digits + 1, 11], and where the windows
            were: x and y of their centres and the distance of their points,
            in pixels [B, digits + 1, 3].
        """
        overview = self.overview(pictures[..., None])  # [B, 7, 18, 1]
        squares = ops.zeros_like(overview) + SQUARES
        places = self.places(ops.concatenate([overview, squares / UNIT], -1))
        reader = self.reader.get_initial_state(ops.shape(pictures)[0])
        mover = [self.context(overview), ops.zeros_like(reader[0])]
        attention, logits, windows = mover[0], [], []
        for _ in range(DIGITS + 1):
            window = self.place(attention, places)
            windows.append(window)
            # What is seen times where it is, as in the paper.
            where = self.where(window / UNIT)
            seen = self.what(glimpses.look(pictures, window)) * where
            code, reader = self.reader(seen, reader)
            attention, mover = self.mover(
                ops.concatenate([code, window / UNIT], axis=1), mover
            )
            logits.append(
                self.name_digit(ops.concatenate([code, seen], axis=1))
            )
        return ops.stack(logits, axis=1), ops.stack(windows, axis=1)

    def place(self, attention, places):
        """Returns x and y of a window, and the distance of its points [B, 3].

        It lies where the squares of the overview are that attention is paid
        to, and a little beside.
        """
        query = self.query(attention)[:, :, None]
        weights = ops.softmax(places @ query, axis=1)  # [B, squares, 1]
        centre = ops.sum(weights * SQUARES.reshape(-1, 2), axis=1)  # [B, 2]
        adjust = self.adjust(attention)
        return ops.concatenate(
            [
                centre + OVERVIEW * ops.tanh(adjust[:, :2]),
                0.9 + 1.2 * ops.sigmoid(adjust[:, 2:]),
            ],
            axis=1,
        )


def main(options):
    """Trains, measures and shows."""
    train, test = shared.load_digits(options.seed)
    numbers = Numbers(*train, options.batch, 100, options.seed, stray=0.04)
    # The longer, the oftener: there is more to learn from them.
    numbers.lengths = [1, 2, 2, 3, 3, 3]
    steps = options.epochs * len(numbers)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model = Reader()
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=1.0),
        loss={
            "digits": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "places": "mse",
        },
        # Pixels are small: squares of the overview.
        loss_weights={"digits": 1.0, "places": 1 / OVERVIEW**2},
        weighted_metrics={"digits": "accuracy"},
        # A program for all steps takes longer to compile than it saves.
        jit_compile=False,
    )
    model.fit(numbers, epochs=options.epochs, verbose=2)

    held_out = Numbers(*test, 1000, 1, options.seed)
    for length in range(1, DIGITS + 1):
        held_out.lengths = [length]
        pictures, answers, weights = held_out[0]
        logits, windows = map(np.asarray, model.read(pictures))
        named = logits.argmax(axis=-1)
        right = (named == answers["digits"]) | ~weights["digits"]
        away = np.linalg.norm(windows[..., :2] - answers["places"], axis=-1)
        print(
            f"held out: numbers of {length} digit{'s'[: length > 1]} read "
            f"exactly: {right.all(axis=1).mean():.1%} of {len(pictures)}; "
            f"windows are {away[weights['places']].mean():.1f} pixels from "
            "the digits' centres"
        )
    glimpses.show(options.output, pictures[:6], named[:6], windows[:6])


if __name__ == "__main__":
    shared.run(
        main,
        output="reading.png",
        epochs=(80, "Times 100 batches of new pictures."),
        batch=(64, "Pictures in a batch."),
    )
