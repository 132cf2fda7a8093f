"""Tests of examples/drawing.py: its bound, against NumPy and integrals."""

import re
import sys

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized
from helpers.processes.example_process import ROOT
from helpers.processes.example_process import run_example
from PIL import Image

sys.path.insert(0, str(ROOT / "examples"))

import drawing  # noqa: E402


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(cell, inputs, h, c):
    kernel, recurrent_kernel, bias = cell.get_weights()
    z = inputs @ kernel + h @ recurrent_kernel + bias
    i, f, g, o = np.split(z, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def normal(x, mean=0.0, scale=1.0):
    return np.exp(-(((x - mean) / scale) ** 2) / 2) / (
        scale * np.sqrt(2 * np.pi)
    )


def scramble(model, seed=0):
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.path:
            weight.assign(random.normal(0, 0.3, weight.shape))


def some_pictures(count):
    random = np.random.default_rng(1)
    return random.integers(2, size=(count, drawing.PIXELS)).astype("float32")


class BoundTest(parameterized.TestCase):
    def test_divergence_is_the_integral(self):
        random = np.random.default_rng(0)
        mean, log_scale = random.normal(size=(2, 5, 3))
        z = np.linspace(-60, 60, 200_001)[:, None, None]
        q = normal(z, mean, np.exp(log_scale))
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(q > 0, q * (np.log(q) - np.log(normal(z))), 0)
        terms = np.nan_to_num(terms, posinf=0)
        expected = np.trapezoid(terms, z, axis=0).sum(axis=1)
        np.testing.assert_allclose(
            drawing.divergence(mean, log_scale), expected, rtol=1e-5
        )

    def test_bound_of_draw_is_numpys(self):
        pictures = some_pictures(4).astype("float64")
        draw = drawing.Draw(units=7, latents=3, steps=5)
        draw(pictures.astype("float32"))
        scramble(draw)
        noise = np.random.default_rng(2).normal(size=(5, 4, 3))

        canvas, h_encoder, c_encoder, h_decoder, c_decoder = (
            np.zeros([4, drawing.PIXELS]),
            *np.zeros([4, 4, 7]),
        )
        nats = np.zeros(4)
        for epsilon in noise:
            seen = [pictures, pictures - sigmoid(canvas), h_decoder]
            h_encoder, c_encoder = lstm(
                draw.encoder, np.concatenate(seen, 1), h_encoder, c_encoder
            )
            kernel, bias = draw.posterior.get_weights()
            numbers = h_encoder @ kernel + bias
            mean, scale = numbers[:, :3], np.exp(numbers[:, 3:])
            # Gregor et al. 2015, equation 10, a step at a time.
            nats += (mean**2 + scale**2 - np.log(scale**2)).sum(1) / 2 - 3 / 2
            h_decoder, c_decoder = lstm(
                draw.decoder, mean + scale * epsilon, h_decoder, c_decoder
            )
            kernel, bias = draw.stroke.get_weights()
            canvas = canvas + h_decoder @ kernel + bias
        of_one = sigmoid(canvas)
        nats -= np.log(np.where(pictures == 1, of_one, 1 - of_one)).sum(1)

        received = draw.negative_bound(
            pictures.astype("float32"), noise.astype("float32")
        )
        np.testing.assert_allclose(received, nats, rtol=1e-5)

    @parameterized.named_parameters(
        ("draw", lambda: drawing.Draw(units=4, latents=1, steps=1)),
        ("autoencoder", lambda: drawing.Autoencoder(units=4, latents=1)),
    )
    def test_bound_lies_below_the_likelihood(self, make):
        # With one latent number the likelihood is an integral over it.
        pictures = some_pictures(3)
        model = make()
        model(pictures)
        scramble(model)
        z = np.linspace(-9, 9, 4001).astype("float32")
        is_draw = isinstance(model, drawing.Draw)
        painted = model.paint(z[None, :, None] if is_draw else z[:, None])
        painted = np.array(painted).reshape(len(z), drawing.PIXELS)
        painted = painted.astype("float64")
        log_p = np.log(painted) @ pictures.T
        log_p += np.log1p(-painted) @ (1 - pictures.T)  # [z, B]
        peak = log_p.max(axis=0)
        likelihood = np.trapezoid(
            np.exp(log_p - peak) * normal(z)[:, None], z, axis=0
        )
        exact = -(np.log(likelihood) + peak)

        shape = (1, 3, 1) if is_draw else (3, 1)
        keras.utils.set_random_seed(3)
        nats = np.mean(
            [
                model.negative_bound(pictures, keras.random.normal(shape))
                for _ in range(300)
            ],
            axis=0,
        )
        self.assertTrue((nats > exact - 0.05).all(), (nats, exact))

    def test_autoencoder_has_as_many_parameters_as_said(self):
        model = drawing.Autoencoder(units=11, latents=5)
        model(some_pictures(1))
        self.assertEqual(model.count_params(), drawing.parameters(11, 5))


class ProgramTest(absltest.TestCase):
    def test_both_learn_in_a_short_training(self):
        example = run_example(
            "examples/drawing.py",
            self.create_tempdir().full_path,
            "--epochs=1",
            "--batch=256",
            "--steps=8",
            "--output=canvases.png",
        )
        found = re.findall(
            r"held out: (\w+): at most ([\d.]+) nats", example.printed
        )
        self.assertEqual([name for name, _ in found], ["DRAW", "autoencoder"])
        untrained = drawing.PIXELS * np.log(2)
        for _, nats in found:
            self.assertLess(float(nats), 0.6 * untrained)
        with Image.open(example.folder / "canvases.png") as picture:
            self.assertGreater(picture.width, 400)


if __name__ == "__main__":
    absltest.main()
