"""From a checkpoint to a published version that says what the model says."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl.testing import absltest
from absl.testing import parameterized
from helpers.exports.small_exports import KINDS
from helpers.exports.small_exports import LENGTH
from helpers.exports.small_exports import PROMPTS
from helpers.exports.small_exports import config_of
from helpers.exports.small_exports import published_exports
from helpers.exports.small_exports import run_export
from helpers.full_counts import FULL
from kerasrnn_export.graph import archive
from kerasrnn_export.release import manifest
from kerasrnn_export.release import verify
from kerasrnn_export.release import warmup
from kerasrnn_serving.client import Client
from kerasrnn_serving.server.local_server import LocalServer
from kerasrnn_serving.server.local_server import open_versions
from tensorflow_serving.apis import prediction_log_pb2

from kerasrnn.config import Config
from kerasrnn.contract import signatures
from kerasrnn.errors import UserError
from kerasrnn.model.char_rnn import CharRNN
from kerasrnn.model.text_generator import TextGenerator

SEEDS = 100 if FULL else 2 * len(PROMPTS)


class SavedModelTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        exports = published_exports()
        self.directory = exports.directory
        self.models = exports.models
        self.versions = exports.versions
        self.sessions = exports.sessions
        self.program = exports.program

    def test_the_program_says_what_it_published(self):
        self.assertEqual(self.program.returncode, 0, self.program.stderr)
        self.assertNotIn("Writing fingerprint", self.program.stderr)
        self.assertNotIn("updating", self.program.stderr)
        self.assertIn(
            f"Published {self.versions['characters']}", self.program.stdout
        )

    @parameterized.parameters(*KINDS)
    def test_live_session_and_server_give_the_same_text(self, kind):
        """200 characters, prompts with and without characters of ASCII."""
        model, vocabulary = self.models[kind]
        generator = TextGenerator(model.config, vocabulary)
        weights = [variable.value for variable in model.weights]
        server = LocalServer(open_versions("kerasrnn", self.directory / kind))
        port = server.start("127.0.0.1", 0)
        self.addCleanup(server.stop, 0)
        with Client(f"127.0.0.1:{port}") as client:
            for seed in range(SEEDS):
                prompt = PROMPTS[seed % len(PROMPTS)]
                parameters = {"length": LENGTH, "seed": seed}
                live = "".join(
                    chunk.text
                    for chunk in generator.stream(
                        weights, prompt=prompt, **parameters
                    )
                )
                row = self.sessions[kind](
                    "generate",
                    prompt=[prompt.encode()],
                    **{name: [value] for name, value in parameters.items()},
                )
                served = row["text"][0].decode()
                self.assertEqual(row["error"][0], b"")
                self.assertEqual(row["length"][0], LENGTH)
                self.assertEqual(served, live)
                (result,) = client.generate([prompt], **parameters)
                self.assertEqual(result.text, served)

    @parameterized.parameters(*KINDS)
    def test_rows_of_a_batch_give_the_same_text(self, kind):
        session = self.sessions[kind]
        prompts = [PROMPTS[i % len(PROMPTS)].encode() for i in range(32)]
        seeds = np.arange(32)
        batch = session(
            "generate",
            prompt=prompts,
            seed=seeds,
            length=[60],
        )["text"].tolist()
        alone = [
            session("generate", prompt=[p], seed=[s], length=[60])["text"][0]
            for p, s in zip(prompts, seeds, strict=True)
        ]
        self.assertEqual(batch, alone)

    @parameterized.parameters(*KINDS)
    def test_score_is_the_models_log_probability(self, kind):
        model, vocabulary = self.models[kind]
        weights = [variable.value for variable in model.weights]
        text = "abc é Ж€.\nzz 🙂" * 20
        row = self.sessions[kind]("score", text=[text.encode()])
        expected = verify.log_probability(
            model.config, weights, vocabulary, text
        )
        self.assertAlmostEqual(
            row["log_prob"][0], expected, delta=1e-5 * len(text)
        )

    @parameterized.parameters(*KINDS)
    def test_defaults_are_those_of_the_contract(self, kind):
        session = self.sessions[kind]
        (text,) = session("generate", prompt=[b"a"])["text"]
        explicit = {
            entry.name: [entry.default]
            for entry in signatures.GENERATE.inputs[1:]
        }
        (same,) = session("generate", prompt=[b"a"], **explicit)["text"]
        self.assertEqual(text, same)

    def test_serving_default_is_as_the_flags_say(self):
        session = self.sessions["characters"]
        (text,) = session("serving_default", prompt=[b"a"])["text"]
        (same,) = session("generate", prompt=[b"a"], length=[5])["text"]
        self.assertEqual(text, same)

    @parameterized.parameters(*KINDS)
    def test_nothing_but_the_prompt_may_be_asked_for(self, kind):
        # The whole batch is empty, or one row is: no shape is special.
        session = self.sessions[kind]
        self.assertEqual(session("generate", prompt=[])["text"].shape, (0,))
        row = session("score", text=[b"", b"a"])
        self.assertEqual(row["character_log_probs"].shape, (2, 1))

    @parameterized.parameters(*KINDS)
    def test_the_graph_can_run_anywhere(self, kind):
        verify.check_graph(self.versions[kind])

    @parameterized.parameters(
        (lambda node: setattr(node, "op", "PyFunc"), "PyFunc"),
        (lambda node: setattr(node, "op", "CudnnRNNV3"), "CudnnRNNV3"),
        (lambda node: setattr(node, "device", "/device:GPU:0"), "GPU:0"),
        (lambda node: node.attr["_XlaMustCompile"].__setattr__("b", True),
         "XLA"),
    )  # fmt: skip
    def test_a_graph_that_cannot_is_not_published(self, change, problem):
        saved_model = archive.read_graph(self.versions["bytes"])
        functions = saved_model.meta_graphs[0].graph_def.library.function
        # Which function comes first is TensorFlow's affair.
        longest = max(functions, key=lambda function: len(function.node_def))
        change(longest.node_def[3])
        directory = Path(self.create_tempdir().full_path)
        (directory / archive.GRAPH_FILE).write_bytes(
            saved_model.SerializeToString()
        )
        with self.assertRaisesRegex(verify.VerificationError, problem):
            verify.check_graph(directory)

    def test_another_contract_is_not_published(self):
        saved_model = archive.read_graph(self.versions["bytes"])
        definitions = saved_model.meta_graphs[0].signature_def
        definitions["generate"].defaults["top_k"].int_val[0] = 5
        del definitions["score"].outputs["unknown"]
        del definitions["serving_default"]
        directory = Path(self.create_tempdir().full_path)
        (directory / archive.GRAPH_FILE).write_bytes(
            saved_model.SerializeToString()
        )
        with self.assertRaisesRegex(
            verify.VerificationError,
            "defaults of generate.*outputs of score.*serving_default",
        ):
            verify.check_graph(directory)

    def test_another_model_is_not_published(self):
        model, vocabulary = self.models["bytes"]
        other = CharRNN(model.config)
        other.build_weights()
        weights = model.get_weights()
        weights[-1][5] += 1
        other.set_weights(weights)
        with self.assertRaisesRegex(verify.VerificationError, "generate"):
            verify.check_outputs(self.versions["bytes"], other, vocabulary)

    @parameterized.parameters(*KINDS)
    def test_warmup_requests_run(self, kind):
        seen = set()
        path = self.versions[kind] / warmup.FILE
        for record in tf.data.TFRecordDataset(str(path)):
            log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
            request = log.predict_log.request
            name = request.model_spec.signature_name
            outputs = self.sessions[kind](
                name,
                **{k: tf.make_ndarray(v) for k, v in request.inputs.items()},
            )
            seen.add(name)
            for error in outputs.get("error", []):
                self.assertEqual(error, b"")
        self.assertEqual(seen, {s.name for s in archive.EXPORTED})

    def test_a_token_of_another_model_is_refused(self):
        (token,) = self.sessions["bytes"]("generate", prompt=[b"a"])[
            "state_bytes"
        ]
        row = self.sessions["characters"](
            "generate", prompt=[b"a"], state_bytes=[token]
        )
        self.assertIn(b"another model", row["error"][0])


class ManifestTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        exports = published_exports()
        self.directory = exports.directory / "bytes"
        self.version = exports.versions["bytes"]
        self.model, self.vocabulary = exports.models["bytes"]

    def test_describes_a_version(self):
        described, intact = manifest.describe(self.directory)
        self.assertTrue(intact)
        for part in (
            str(self.version),
            "validation_loss",
            "1.25",
            "gru",
            "bytes",
            "all as published",
        ):
            self.assertIn(part, described)

    def test_it_holds_configuration_and_vocabulary(self):
        contents = manifest.read(self.version)
        self.assertEqual(
            Config.from_json(json.dumps(contents["config"])),
            config_of(self.model, self.vocabulary),
        )
        self.assertEqual(
            type(self.vocabulary).from_json(json.dumps(contents["vocabulary"])),
            self.vocabulary,
        )

    def test_every_file_is_listed_and_damage_is_told(self):
        contents = manifest.read(self.version)
        self.assertEqual(manifest.damaged_files(self.version, contents), [])
        variables = next(self.version.glob("variables/*data*"))
        data = variables.read_bytes()
        self.addCleanup(variables.write_bytes, data)
        extra = self.version / "extra"
        extra.touch()
        self.addCleanup(extra.unlink)
        variables.write_bytes(data[:-1] + b"?")
        name = variables.relative_to(self.version).as_posix()
        self.assertEqual(
            manifest.damaged_files(self.version, contents), ["extra", name]
        )
        run = run_export([f"--describe={self.directory}"])
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"DAMAGED: extra, {name}", run.stdout)

    def test_what_is_no_manifest_is_told(self):
        directory = Path(self.create_tempdir().full_path)
        with self.assertRaisesRegex(UserError, "no assets.extra/manifest"):
            manifest.describe(directory)
        with self.assertRaisesRegex(UserError, "no directory"):
            manifest.describe(directory / "nothing")
        path = directory / manifest.FILE
        path.parent.mkdir()
        for text in ("{", "[]", '{"format": 99}', '{"format": 1}', ""):
            path.write_text(text)
            with self.assertRaises(UserError, msg=text):
                manifest.describe(directory)


if __name__ == "__main__":
    absltest.main()
