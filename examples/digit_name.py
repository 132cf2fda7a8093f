"""One to many: an image of a digit goes in, its English name comes out.

    python examples/digit_name.py

The name is spelled letter by letter. The image sets the first state of a GRU.
In each step the GRU gets the letter before and says how likely each letter is
to be the next; one of the "letters" is the end of the word, so it is the
network that decides when to stop. It takes less than a minute, prints how many
of 450 images that it was not trained on have their name spelled without a
fault, and writes a picture of images with the names that were spelled.
"""

import numpy as np
import shared

# isort: split
import keras

from kerasrnn.layers import GRU

NAMES = "zero one two three four five six seven eight nine".split()

# Ids of letters. Padding fills up the shorter words of a batch, and the
# embedding masks it: those steps change no state and count in no loss.
PADDING, START, END = 0, 1, 2
LETTERS = sorted(set("".join(NAMES)))
ID_OF = {letter: 3 + index for index, letter in enumerate(LETTERS)}
NUMBER_OF_IDS = 3 + len(LETTERS)

# No word may be longer, in case that the network does not stop.
MOST_STEPS = 20


def make_models(units):
    """Returns three models over the same layers.

    In training the letters are known, and read at once:
        (images [B, 8, 8], letters [B, T]) -> beliefs in the next [B, T, ids]
    In spelling they are not. An image gives the first state, and a step the
    belief in the next letter:
        images [B, 8, 8] -> state [B, units]
        (letters [B, 1], state) -> (beliefs [B, 1, ids], state)
    """
    image = keras.Input([8, 8])
    letters = keras.Input([None], dtype="int32")
    state = keras.Input([units])

    look = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(units, activation="tanh"),
        ]
    )
    embedding = keras.layers.Embedding(NUMBER_OF_IDS, 16, mask_zero=True)
    gru = GRU(units, return_sequences=True, return_state=True)
    believe = keras.layers.Dense(NUMBER_OF_IDS, activation="softmax")

    first_state = look(image)
    outputs, _ = gru(embedding(letters), initial_state=first_state)
    training_model = keras.Model([image, letters], believe(outputs))

    outputs, next_state = gru(embedding(letters), initial_state=state)
    return (
        training_model,
        keras.Model(image, first_state),
        keras.Model([letters, state], [believe(outputs), next_state]),
    )


def encode_names(labels):
    """Returns what is read and what should be said, each int [N, T].

    For "six" that is START s i x and s i x END, both with padding after it.
    """
    steps = max(map(len, NAMES)) + 1
    read = np.full([len(labels), steps], PADDING)
    said = np.full([len(labels), steps], PADDING)
    for row, label in enumerate(labels):
        ids = [ID_OF[letter] for letter in NAMES[label]]
        read[row, : len(ids) + 1] = [START, *ids]
        said[row, : len(ids) + 1] = [*ids, END]
    return read, said


def spell(image_model, step_model, images):
    """Returns the word for each image: the likeliest letter in each step."""
    state = image_model.predict_on_batch(images)
    letters = np.full([len(images), 1], START)
    words, running = [""] * len(images), np.full(len(images), True)
    for _ in range(MOST_STEPS):
        beliefs, state = step_model.predict_on_batch([letters, state])
        letters = np.argmax(beliefs, axis=-1)  # [B, 1]
        running &= letters[:, 0] != END
        if not running.any():
            break
        for row in np.flatnonzero(running):
            # Padding and START never follow a letter in the training.
            index = letters[row, 0] - 3
            words[row] += LETTERS[index] if index >= 0 else "?"
    return words


def main(options):
    """Trains, measures and shows."""
    (images, labels), held_out = shared.load_digits(options.seed)
    read, said = encode_names(labels)
    training_model, image_model, step_model = make_models(options.units)
    training_model.compile("adam", "sparse_categorical_crossentropy")
    training_model.fit([images, read], said, epochs=options.epochs, verbose=2)

    images, labels = held_out
    words = spell(image_model, step_model, images)
    names = [NAMES[label] for label in labels]
    right = np.array([a == b for a, b in zip(words, names, strict=True)])
    print(f"held out: {right.mean():.2%} of {len(words)} names are exact")

    # The faults first, then one of each digit after the other.
    order = [*np.flatnonzero(~right)[:8]]
    for place in range(3):
        order += [np.flatnonzero(labels == digit)[place] for digit in range(10)]
    order = order[:32]
    shared.write_grid(
        options.output,
        images[order],
        [words[i] for i in order],
        right=right[order],
    )


if __name__ == "__main__":
    shared.run(
        main,
        output="digit_name.png",
        epochs=(40, "Passes over the training images."),
        units=(128, "Width of the GRU."),
    )
