"""The names that CONTRIBUTING promises, under the paths that it promises."""

import importlib
import subprocess
import sys
import tomllib

from absl.testing import absltest
from absl.testing import parameterized
from helpers.sources.repository import ROOT

PROMISED = {
    "kerasrnn": [
        "Batch",
        "CharRNN",
        "Config",
        "Corpus",
        "DataConfig",
        "GRU",
        "GRUCell",
        "LSTM",
        "LSTMCell",
        "ModelConfig",
        "SimpleRNN",
        "SimpleRNNCell",
        "StepRNN",
        "TextDataset",
        "TextGenerator",
        "TrainingConfig",
        "UserError",
        "Vocabulary",
        "__version__",
        "build_corpus",
        "layers",
        "load_model",
        "model",
        "sampling",
        "tensorflow_noise",
        "text",
        "train_and_evaluate",
        "training",
    ],
    "kerasrnn.layers": [
        "GRU",
        "GRUCell",
        "LSTM",
        "LSTMCell",
        "SimpleRNN",
        "SimpleRNNCell",
        "StepRNN",
        "configure_threads",
    ],
    "kerasrnn_serving.async_client": ["AsyncClient", "Tls"],
    "kerasrnn_serving.client": [
        "AsyncClient",
        "CHUNK",
        "Client",
        "FIRST_CHUNK",
        "Generation",
        "Inspection",
        "Score",
        "ServingError",
        "Tls",
        "VersionGone",
        "VersionStatus",
    ],
    "kerasrnn_serving.client.errors": ["ServingError", "VersionGone"],
    "kerasrnn_serving.client.results": ["Generation", "Inspection", "Score"],
}
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
    "scripts"
]


class PublicNamesTest(parameterized.TestCase):
    @parameterized.parameters(*PROMISED)
    def test_names_are_where_they_are_promised(self, module):
        found = importlib.import_module(module)
        for name in PROMISED[module]:
            self.assertTrue(hasattr(found, name), f"{module}.{name}")
        public = set(getattr(found, "__all__", ()))
        self.assertLessEqual(public, set(PROMISED[module]), "promise them too")

    def test_the_other_client_is_the_same_under_both_names(self):
        client = importlib.import_module("kerasrnn_serving.client")
        alias = importlib.import_module("kerasrnn_serving.async_client")
        self.assertIs(alias.AsyncClient, client.AsyncClient)
        self.assertIs(alias.Tls, client.Tls)

    def test_programs(self):
        self.assertEqual(
            sorted(PROGRAMS),
            [
                f"kerasrnn-{verb}"
                for verb in (
                    "evaluate",
                    "export",
                    "gateway",
                    "inspect",
                    "query",
                    "sample",
                    "serve",
                    "train",
                )
            ],
        )

    @parameterized.parameters(*PROGRAMS.items())
    def test_a_program_is_a_module_to_run(self, name, entry):
        result = subprocess.run(
            [sys.executable, "-m", entry.removesuffix(":run"), "--help"],
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertIn("Usage: ", result.stdout)
        self.assertIn(f" {name} ", f" {result.stdout} ".replace("\n", " "))


if __name__ == "__main__":
    absltest.main()
