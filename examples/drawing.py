"""Drawing: a network paints digits by adding to a canvas, step by step.

    python examples/drawing.py

A picture is no sequence, but it can be made as one. This is DRAW (Gregor et
al. 2015, "DRAW: A Recurrent Neural Network For Image Generation", without its
attention windows): at each of 16 steps an encoder LSTM sees the picture, what
is still missing on the canvas, and what the decoder has in mind; it sends a
few numbers with noise, and a decoder LSTM turns them into a stroke that is
added to the canvas. To paint by itself, the decoder gets noise alone.

The pictures are scikit-learn's 8x8 digits, enlarged to 12x12 and made black
and white: each pixel has a Bernoulli distribution. Both networks are trained
to raise a lower bound of the log-likelihood of a picture, and it is printed
for 450 pictures that they were not trained on, in nats a picture: for DRAW,
and for a variational autoencoder (Kingma and Welling 2014) with no
recurrence, which has as many parameters and as much time to train. Less is
better. The picture shows canvases from the first step to the last.
It takes a few minutes.
"""

import numpy as np
import shared
from PIL import Image

# isort: split
import keras
import tensorflow as tf
from keras import ops

from kerasrnn.layers import LSTMCell

SIDE = 12
PIXELS = SIDE * SIDE


class Draw(keras.Model):
    """Gregor et al. 2015, equations 3 to 8 and 12 to 17, without attention.

    Called with pictures, 0 or 1 [B, pixels], it returns the negative bound of
    their log-likelihoods, in nats [B].
    """

    def __init__(self, units=64, latents=8, steps=16):
        super().__init__()
        self.latents, self.steps = latents, steps
        self.encoder = LSTMCell(units)
        self.decoder = LSTMCell(units)
        self.posterior = keras.layers.Dense(2 * latents)
        self.stroke = keras.layers.Dense(PIXELS)
        self.random = keras.random.SeedGenerator()

    def call(self, pictures):
        """Returns `negative_bound` with new noise."""
        shape = (self.steps, ops.shape(pictures)[0], self.latents)
        return self.negative_bound(
            pictures, keras.random.normal(shape, seed=self.random)
        )

    def negative_bound(self, pictures, noise):
        """Returns nats [B], given the noise of the steps [T, B, latents]."""
        canvas, thought, decoder = self._blank(ops.shape(pictures)[0])
        encoder = self.encoder.get_initial_state(ops.shape(pictures)[0])
        nats = 0.0
        for epsilon in ops.unstack(noise):
            missing = pictures - ops.sigmoid(canvas)
            seen = ops.concatenate([pictures, missing, thought], axis=1)
            code, encoder = self.encoder(seen, encoder)
            mean, log_scale = ops.split(self.posterior(code), 2, axis=1)
            nats += divergence(mean, log_scale)
            latent = mean + ops.exp(log_scale) * epsilon
            thought, decoder = self.decoder(latent, decoder)
            canvas += self.stroke(thought)
        return nats + surprise(pictures, canvas)

    def paint(self, noise):
        """Returns the canvas after each step, from 0 to 1 [T, B, pixels]."""
        canvas, thought, decoder = self._blank(noise.shape[1])
        canvases = []
        for latent in ops.unstack(noise):
            thought, decoder = self.decoder(latent, decoder)
            canvas += self.stroke(thought)
            canvases.append(ops.sigmoid(canvas))
        return ops.stack(canvases)

    def _blank(self, batch):
        decoder = self.decoder.get_initial_state(batch)
        return ops.zeros((batch, PIXELS)), decoder[0], decoder


class Autoencoder(keras.Model):
    """Kingma and Welling 2014: the picture at one stroke. Called as Draw."""

    def __init__(self, units, latents=32):
        super().__init__()
        self.latents = latents
        self.encoder = perceptron(units, 2 * latents)
        self.decoder = perceptron(units, PIXELS)
        self.random = keras.random.SeedGenerator()

    def call(self, pictures):
        """Returns `negative_bound` with new noise."""
        noise = keras.random.normal(
            (ops.shape(pictures)[0], self.latents), seed=self.random
        )
        return self.negative_bound(pictures, noise)

    def negative_bound(self, pictures, noise):
        """Returns nats [B], given the noise [B, latents]."""
        mean, log_scale = ops.split(self.encoder(pictures), 2, axis=1)
        latent = mean + ops.exp(log_scale) * noise
        return divergence(mean, log_scale) + surprise(
            pictures, self.decoder(latent)
        )

    def paint(self, noise):
        """Returns pictures from 0 to 1 [B, pixels]."""
        return ops.sigmoid(self.decoder(noise))


def perceptron(units, outputs):
    """Returns a network with two hidden layers."""
    return keras.Sequential(
        [
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(outputs),
        ]
    )


def divergence(mean, log_scale):
    """Returns KL(N(mean, exp(log_scale)^2) || N(0, 1)), in nats [B]."""
    terms = mean**2 + ops.exp(2 * log_scale) - 2 * log_scale - 1
    return ops.sum(terms, axis=1) / 2


def surprise(pictures, logits):
    """Returns -log p(pictures | logits), Bernoulli, in nats [B]."""
    terms = tf.nn.sigmoid_cross_entropy_with_logits(pictures, logits)
    return ops.sum(terms, axis=1)


def enlarge(image, random=None):
    """Returns a digit [8, 8] as 0 or 1 [pixels], at random a bit askew."""
    picture = Image.fromarray(image).resize((SIDE, SIDE), Image.BICUBIC)
    if random is not None:
        angle = random.normal(0, 6)
        shift = tuple(random.normal(0, 0.4, 2))
        picture = picture.rotate(angle, Image.BILINEAR, translate=shift)
    return (np.asarray(picture).ravel() > 0.5).astype("float32")


def enlarge_all(images, random=None, copies=1):
    """Returns `copies` of each digit, enlarged [N, pixels]."""
    return np.stack(
        [enlarge(image, random) for _ in range(copies) for image in images]
    )


def parameters(units, latents=32):
    """Returns the number of parameters of an `Autoencoder`."""
    encoder = (PIXELS + 1) * units + (units + 1) * (units + 2 * latents)
    decoder = (latents + 1) * units + (units + 1) * (units + PIXELS)
    return encoder + decoder


def train(model, pictures, epochs, batch):
    """Raises the bound on the pictures."""
    steps = epochs * -(-len(pictures) // batch)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=5.0),
        loss=lambda _, nats: nats,
        # A program for all steps takes longer to compile than it saves.
        jit_compile=False,
    )
    model.fit(
        pictures,
        np.zeros(len(pictures)),
        batch_size=batch,
        epochs=epochs,
        verbose=2,
    )


def main(options):
    """Trains both, measures both, and lets both paint."""
    (images, _), (held_out, _) = shared.load_digits(options.seed)
    random = np.random.default_rng(options.seed)
    pictures = enlarge_all(images, random, copies=12)
    pictures = pictures[: len(pictures) // options.batch * options.batch]
    held_out = enlarge_all(held_out)

    draw = Draw(steps=options.steps)
    draw(pictures[:1])
    size = draw.count_params()
    units = min(range(1, 1000), key=lambda u: abs(parameters(u) - size))
    autoencoder = Autoencoder(units)

    print("DRAW:")
    train(draw, pictures, options.epochs, options.batch)
    print("autoencoder:")
    # An epoch of its takes about a sixth of the time.
    train(autoencoder, pictures, 6 * options.epochs, options.batch)
    models = {"DRAW": draw, "autoencoder": autoencoder}
    for name, model in models.items():
        # The mean of 20 draws of the noise.
        nats = [
            model.predict(held_out, batch_size=len(held_out), verbose=0)
            for _ in range(20)
        ]
        print(
            f"held out: {name}: at most {np.mean(nats):.2f} nats a picture "
            f"({model.count_params():,} parameters)"
        )
    show(
        options.output,
        draw.paint(keras.random.normal((draw.steps, 8, draw.latents))),
        autoencoder.paint(
            keras.random.normal((draw.steps, autoencoder.latents))
        ),
    )


def show(path, canvases, strokes):
    """Writes a PNG: canvases [T, B, pixels], and pictures [T, pixels]."""
    steps = len(canvases)
    rows = np.concatenate([np.moveaxis(canvases, 0, 1), strokes[None]])
    captions = [f"{step + 1}" for step in range(steps)] * (len(rows) - 1)
    shared.write_grid(
        path,
        rows.reshape(-1, SIDE, SIDE),
        captions + ["VAE"] * steps,
        columns=steps,
        scale=4,
    )


if __name__ == "__main__":
    shared.run(
        main,
        output="drawing.png",
        epochs=(36, "Passes over the 16,164 pictures for DRAW."),
        batch=(128, "Pictures in a batch."),
        steps=(16, "Strokes in which DRAW paints a picture."),
    )
