"""One to one: an image of a digit goes in, its class comes out.

    python examples/digit_class.py

No sequence, no recurrence: an input of fixed size, an output of fixed size,
and a fixed number of steps between them. It is what the other examples are to
be compared with. It takes a few seconds, prints how many of 450 images that it
was not trained on it gets right, and writes a picture of those that it gets
wrong, each with what it took it for.
"""

import numpy as np
import shared

# isort: split
import keras


def make_model():
    """Returns the network: all pixels at once, one hidden layer."""
    return keras.Sequential(
        [
            keras.Input([8, 8]),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )


def caption(guess, label):
    """Returns what stands below an image."""
    return f"{guess}" if guess == label else f"{guess}, is {label}"


def main(options):
    """Trains, measures and shows."""
    (images, labels), held_out = shared.load_digits(options.seed)
    model = make_model()
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(images, labels, epochs=options.epochs, verbose=2)

    images, labels = held_out
    beliefs = model.predict(images, verbose=0)  # [450, 10]
    guesses = beliefs.argmax(axis=1)
    right = guesses == labels
    print(
        f"held out: {right.mean():.2%} of {len(images)} images are given "
        "their class"
    )

    # The wrong ones first, then the ones that it was least sure of.
    order = np.lexsort([beliefs.max(axis=1), right])[:24]
    shared.write_grid(
        options.output,
        images[order],
        [caption(guesses[i], labels[i]) for i in order],
        right=right[order],
    )


if __name__ == "__main__":
    shared.run(
        main,
        output="digit_class.png",
        epochs=(40, "Passes over the training images."),
    )
