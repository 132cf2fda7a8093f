"""Tests of kerasrnn-inspect: of a workdir, of a server, in a terminal."""

import contextlib
import functools
import io
import json
import os
import pathlib
import re
import tempfile
from unittest import mock

import numpy as np
from absl import flags
from absl.testing import absltest
from helpers.exports.small_exports import write_unverified
from helpers.models import small_models
from helpers.models import trained_workdir
from kerasrnn_serving.programs import in_process
from kerasrnn_serving.programs import inspect_units
from kerasrnn_serving.programs import readings
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions

from kerasrnn.contract import signatures
from kerasrnn.errors import UserError

CORPUS = 'a bad cab.\nfeed "ade" a head, é €. (be)\n' * 12
TEXT = 'a bad "cab\n' * 5 + "é €?Z.\n\x1b[31m"


# Its graphs are made once; a text that a model reads does not change it.
_model_of = functools.cache(in_process.InProcessModel)


def model_of(workdir, which="best"):
    """Returns the model of a workdir, as the program opens it."""
    return _model_of(str(workdir), which)


def run(*arguments):
    """Returns what the program prints: to stdout, to stderr."""
    values = flags.FlagValues()
    inspect_units.define_flags(values)
    values(["kerasrnn-inspect", *arguments])
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    errors = io.StringIO()
    with (
        mock.patch.object(in_process, "InProcessModel", model_of),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        inspect_units.execute(values)
        output.flush()
    return output.buffer.getvalue().decode(), errors.getvalue()


def embedded(page):
    """Returns the data of a page, by name."""
    found = re.findall(
        r'<script type="application/json" id="(\w+)">(.*?)</script>', page
    )
    return {name: json.loads(text) for name, text in found}


def oracle(config, weights, vocabulary, text):
    """Returns h [T, N] and the bits [T] of each character, by NumPy."""
    model = small_models.NumpyModel(config.model, weights)
    model.read(vocabulary.start_id)
    activations, bits = [], []
    for token in vocabulary.encode(text):
        bits.append(-model.log_probs()[token] / np.log(2) if token else np.nan)
        model.read(token)
        activations.append(np.concatenate(model._h))
    return np.array(activations), np.array(bits)


class InspectTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.folder = pathlib.Path(folder)
        cls.workdir, cls.corpus, cls.config, cls.weights = (
            trained_workdir.make_workdir(
                cls.folder, CORPUS, validation_fraction=0.3
            )
        )
        cls.flag = f"--workdir={cls.workdir}"
        write_unverified(cls.workdir, cls.folder / "export")
        server = LocalServer(open_versions("kerasrnn", cls.folder / "export"))
        cls.target = f"127.0.0.1:{server.start('127.0.0.1', 0)}"
        cls.addClassCleanup(server.stop, 0)
        cls.text_file = cls.folder / "inspected.txt"
        cls.text_file.write_text(TEXT, newline="")

    def page(self, *arguments):
        path = pathlib.Path(self.create_tempdir().full_path, "page.html")
        printed, _ = run(*arguments, f"--output={path}")
        self.assertIn(f"Wrote {path}", printed)
        self.assertIn("about 5", printed)
        return path.read_text(encoding="utf-8")

    def test_reading_is_what_numpy_says(self):
        vocabulary = self.corpus.vocabulary
        model = model_of(self.workdir)
        reading = readings.read(model, TEXT.encode(), 2)
        activations, bits = oracle(self.config, self.weights, vocabulary, TEXT)
        self.assertEqual("".join(reading.characters), TEXT)
        np.testing.assert_allclose(reading.activations, activations, atol=1e-5)
        np.testing.assert_allclose(reading.bits, bits, atol=1e-4)
        # "?", "Z" and the five characters of the escape sequence.
        self.assertEqual(np.isnan(reading.bits).sum(), 7)

    def test_unknown_characters_are_told(self):
        file = f"--file={self.text_file}"
        for where in (self.flag, f"--server={self.target}"):
            _, errors = run(where, file, "--terminal")
            self.assertIn(f"7 of {len(TEXT)} characters read", errors)
        _, errors = run(self.flag, "--text=a cab", "--terminal")
        self.assertNotIn("unknown", errors)

    def test_served_model_gives_the_page_of_the_workdir(self):
        file = f"--file={self.text_file}"
        here = self.page(self.flag, file)
        there = self.page(f"--server={self.target}", file)
        self.assertIn("Inside workdir", here)
        self.assertIn(f"Inside kerasrnn at {self.target}", there)
        here, there = embedded(here), embedded(there)
        self.assertEqual(here.pop("page"), there.pop("page"))
        self.assertEqual(here["probes"], there["probes"])
        self.assertEqual(here.keys(), there.keys())

    def test_number_of_layers_where_the_model_does_not_say_it(self):
        served = (f"--server={self.target}", f"--file={self.text_file}")
        with mock.patch.object(
            signatures, "num_layers_named", return_value=None
        ):
            for arguments, layers in (((), 1), (("--num_layers=2",), 2)):
                data = embedded(self.page(*served, *arguments))
                self.assertEqual(data["page"]["layers"], layers)
                self.assertEqual(data["page"]["units"], 16 // layers)

    def test_validation_text_is_read_where_none_is_given(self):
        start = round(0.7 * len(CORPUS))
        data = embedded(self.page(self.flag, "--length=50"))
        shown = "".join(data["page"]["characters"])
        self.assertLen(shown, 50)
        self.assertIn(shown, CORPUS)
        self.assertLess(abs(CORPUS.rindex(shown[:40]) - start), len(CORPUS))
        ((first, _),) = self.corpus.split_ranges("validation", 7)
        self.assertEqual(shown, CORPUS[first : first + 50])

    def test_long_texts_are_cut_and_read_in_pieces(self):
        text = "".join(np.random.default_rng(0).choice(list(CORPUS), size=6000))
        path = self.folder / "long.txt"
        path.write_text(text, newline="")
        model = model_of(self.workdir)
        data = embedded(self.page(self.flag, f"--file={path}"))
        self.assertEqual("".join(data["page"]["characters"]), text[:5000])
        shares = []
        reading = readings.read(model, text[:5000].encode(), 2, shares.append)
        # Two pieces, which are read twice.
        self.assertLen(shares, 4)
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(shares[1::2], [0.5, 1.0])
        activations, _ = oracle(
            self.config, self.weights, self.corpus.vocabulary, text[:5000]
        )
        np.testing.assert_allclose(reading.activations, activations, atol=1e-4)

    def test_unit_is_shown_first(self):
        data = embedded(self.page(self.flag, "--text=abc", "--unit=2:3"))
        self.assertEqual(data["page"]["unit"], 8 + 2)

    def test_terminal(self):
        printed, _ = run(
            self.flag,
            f"--file={self.text_file}",
            "--terminal",
            "--unit=1:2",
            f"--output={self.folder}/none.html",
        )
        self.assertStartsWith(printed, "Layer 1, unit 2 follows")
        self.assertFalse((self.folder / "none.html").exists())
        model = model_of(self.workdir)
        reading = readings.read(model, TEXT.encode(), 2)
        lowest = int(np.argmin(reading.relative_activations(1)))
        if reading.relative_activations(1)[lowest] == -1:
            self.assertIn("48;2;88;137;240m", printed)
        plain = re.sub(r"\x1b\[[\d;]*m", "", printed)
        # What the text holds is shown, not sent.
        self.assertIn("␛[31m", plain)
        self.assertNotIn("\x1b", plain)
        self.assertIn('a bad "cab↵\n', plain)
        self.assertIn("inside quotes", plain)
        self.assertIn("about 5", plain)

    def test_no_color(self):
        with mock.patch.dict(os.environ, {"NO_COLOR": "1"}):
            printed, _ = run(self.flag, "--text=a bad cab", "--terminal")
        self.assertNotIn("38;2", printed)

    def test_mistakes_are_told(self):
        export = f"--server={self.target}"
        for arguments, message in (
            ((self.flag, "--text=a", "--file=b"), "Both --text and --file"),
            ((self.flag, "--text="), "The text is empty"),
            ((self.flag, "--file=/missing"), "--file: cannot read /missing"),
            ((self.flag, "--text=a", "--unit=3:1"), "has layers 1 to 2"),
            ((self.flag, "--text=a", "--unit=2:0"), "and units 1 to 8"),
            ((self.flag, "--text=a", "--unit=x"), "expected LAYER:UNIT"),
            ((export, "--text=a", "--unit=3:1"), "has layers 1 to 2"),
            ((export,), "give one to read with --file or --text"),
            ((export, "--text=a", self.flag), "Both --workdir and --server"),
            (
                (export, "--text=a", "--num_layers=3"),
                "cannot be divided into 3 equal layers",
            ),
            (("--workdir=/missing", "--text=a"), "There is no directory"),
        ):
            with self.subTest(message):
                with self.assertRaisesRegex(UserError, re.escape(message)):
                    run(*arguments)

    def test_workdir_without_its_text(self):
        path, *_ = trained_workdir.make_workdir(
            self.create_tempdir().full_path, CORPUS, validation_fraction=0
        )
        with self.assertRaisesRegex(UserError, "give one with --file"):
            run(f"--workdir={path}")


class BytesTest(absltest.TestCase):
    def test_bytes_are_read_and_shuffled_as_bytes(self):
        folder = pathlib.Path(self.create_tempdir().full_path)
        workdir, corpus, config, weights = trained_workdir.make_workdir(
            folder, CORPUS, vocabulary="bytes"
        )
        text = "a é\\xff€".encode() + b"\xff\xc3"
        model = model_of(workdir)
        reading = readings.read(model, text, 2)
        self.assertEqual(
            reading.characters[:5], ("a", " ", "\\xc3", "\\xa9", "\\")
        )
        activations, _ = oracle(config, weights, corpus.vocabulary, text)
        np.testing.assert_allclose(reading.activations, activations, atol=1e-5)
        self.assertLen(reading.text, len(text))
        self.assertEqual(sorted(readings.shuffled_text(reading)), sorted(text))
        self.assertLen(readings.first_characters(text, 100), len(text))
        path = folder / "page.html"
        binary = folder / "binary"
        binary.write_bytes(text)
        run(f"--workdir={workdir}", f"--file={binary}", f"--output={path}")
        shown = embedded(path.read_text())["page"]["characters"]
        self.assertEqual(shown, list(reading.characters))


if __name__ == "__main__":
    absltest.main()
