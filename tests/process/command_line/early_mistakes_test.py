"""Whatever the flags alone show to be wrong is said before TensorFlow starts.

Each program is run with flags that are right, which start TensorFlow, and
then with each mistake, which must end it before: `program_runner` tells.
"""

import pathlib
import socket

from absl.testing import absltest
from absl.testing import parameterized
from helpers.models.best_model import TEXT
from helpers.models.best_model import make_model
from helpers.processes import program_runner
from helpers.processes.flags_of_programs import flags_of
from helpers.processes.program_runner import STARTED_TENSORFLOW

# Flags that start TensorFlow. kerasrnn-query never does.
RIGHT = {
    "kerasrnn-train": ("--workdir=new", "--batch_size=2"),
    "kerasrnn-evaluate": ("--workdir=model",),
    "kerasrnn-sample": ("--workdir=model",),
    "kerasrnn-export": ("--workdir=model", "--export_dir=out"),
    "kerasrnn-serve": ("--export_dir=export", "--server=local", "--port=0"),
    "kerasrnn-inspect": ("--workdir=model",),
}

# What is added to those, and a part of what is said then.
MISTAKES = {
    "kerasrnn-train": (
        ("--data=missing.txt", "missing.txt"),
        ("--data=empty.txt", "is empty"),
        ("--data=short.txt", "characters to predict, but one batch"),
        ("--batch_size=100000", "at most --batch_size=31 fits"),
        ("--sequence_length=100000", "at most --sequence_length=779 fits"),
        (
            "--accumulation_steps=3",
            "cannot be divided into accumulation_steps 3",
        ),
        ("--split=interleaved --split_streams=9999", "cannot be divided into"),
        ("--min_count=100000", "No character occurs 100,000 times"),
        (
            "--data=foreign_end.txt --min_count=100",
            "All 53 characters that are held out for validation",
        ),
        ("--validation_fraction=0.6 --test_fraction=0.5", "No text is left"),
        ("--init_from=empty", "no intact checkpoint"),
        ("--init_from=model --units=9", "a different network"),
        ("--init_from=model --vocabulary=bytes", "--vocabulary=characters"),
        ("--init_from=new", "are both "),
        ("--strategy=multi_worker", "TF_CONFIG"),
        ("--preset=none", "There is no preset"),
        ("--workdir=model", "no checkpoint to resume from"),
        ("--output=page.html", "--report"),
        ("--report --workdir=missing", "There is no directory missing"),
        ("--flagfile=many.flags", "by patterns such as 'folder/*.txt'"),
        ("--epsilon=0", "expected a number from 1e-18"),
    ),
    "kerasrnn-evaluate": (
        ("--workdir=empty", "no intact checkpoint"),
        ("--workdir=bare", "no encoded text in bare/corpus"),
        ("--split=test", "The test split is empty"),
        ("--file=empty.txt", "is empty"),
        ("--file=one.txt", "no character to score"),
        ("--workdir=marks --file=mark.txt", "mark.txt is empty"),
        ("--file=foreign.txt", "no character to score"),
        ("--streams=1000000", "no character to score"),
    ),
    "kerasrnn-sample": (
        ("--workdir=empty", "no intact checkpoint"),
        ("--workdir=bare --novel", "no encoded text in bare/corpus"),
        ("--workdir=line --novel", "no newline"),
        ("--prompt=a --prompt_file=text.txt", "--prompt_file"),
    ),
    "kerasrnn-export": (
        ("--workdir=empty", "no intact checkpoint"),
        ("--default_length=9999999", "default_length"),
        ("--describe=empty", "has no assets.extra/manifest.json"),
    ),
    "kerasrnn-serve": (
        ("--export_dir=empty", "No version to serve in empty"),
        ("--export_dir=hollow", "hollow/1, has no saved_model.pb"),
        ("--host=192.0.2.1", "Cannot listen on 192.0.2.1:0"),
        ("--host=no.such.host.invalid", "Cannot listen on no.such.host"),
        ("--rest_port=1", "has no REST"),
    ),
    "kerasrnn-inspect": (
        ("--workdir=empty", "no intact checkpoint"),
        ("--workdir=bare", "no encoded text in bare/corpus"),
        ("--workdir=line", "--validation_fraction=0"),
        ("--text=", "The text is empty"),
        ("--file=empty.txt", "The text is empty"),
        ("--unit=3:1", "There is no --unit=3:1: the model has layers 1 to 2"),
        ("--unit=1:4", "units 1 to 3"),
        ("--unit=0", "units 1 to 3"),
        ("--unit=second", "expected LAYER:UNIT"),
        ("--num_layers=4", "cannot be divided into 4 equal layers"),
        ("--server=localhost:1 --file=text.txt", "Both --workdir and"),
    ),
}

# What a flag for a path may not name; and what may be named all the same,
# because it is made, replaced or read by the flag.
WRONG_PATHS = ("missing/x", "a_file/x", "a_file", "empty", "/proc/none/x")
POSSIBLE = {
    ("kerasrnn-train", "workdir"): {"missing/x", "empty"},
    ("kerasrnn-train", "data"): {"a_file"},
    ("kerasrnn-evaluate", "file"): {"a_file"},
    ("kerasrnn-sample", "prompt_file"): {"a_file"},
    ("kerasrnn-sample", "state_file"): {"a_file"},
    ("kerasrnn-export", "export_dir"): {"missing/x", "empty"},
    ("kerasrnn-inspect", "file"): {"a_file"},
    ("kerasrnn-inspect", "output"): {"a_file"},
}
# Flags that no run of these programs without others looks at.
UNUSED = ("output", "tls_ca", "tls_certificate", "tls_key", "token_file")


class EarlyMistakesTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(self.create_tempdir().full_path)
        folders = "empty model bare line marks export/1 hollow/1"
        for name in folders.split():
            (self.directory / name).mkdir(parents=True)
        for name, text in {
            "text.txt": TEXT,
            "a_file": TEXT,
            "empty.txt": "",
            "short.txt": "to be",
            "one.txt": "t",
            "foreign.txt": "ЖЖЖЖ",
            "mark.txt": "\ufeff",
            "many.flags": f"--data={'text' * 15}.txt\n" * 15_000,
            "foreign_end.txt": "tob " * 250 + "Ж" * 60,
            "export/1/saved_model.pb": "",
        }.items():
            (self.directory / name).write_text(text)
        make_model(self.directory / "model", TEXT)
        make_model(self.directory / "bare", TEXT, with_corpus=False)
        line = TEXT.replace("\n", " ")
        make_model(self.directory / "line", line, validation_fraction=0)
        make_model(self.directory / "marks", TEXT, normalize_newlines=True)

    def run_with(self, program, *arguments):
        given = [*RIGHT[program], *arguments]
        if program == "kerasrnn-train" and "--data" not in "".join(arguments):
            given.append("--data=text.txt")
        return program_runner.run(program, *given, cwd=self.directory)

    def assert_told(self, result, part):
        self.assertEqual(result.status, 1, result)
        self.assertRegex(result.errors, r"(?m)^error: ")
        self.assertIn(part, result.errors)
        self.assertNotIn("Traceback", result.errors)

    @parameterized.parameters(*RIGHT)
    def test_what_is_right_starts_tensorflow(self, program):
        result = self.run_with(program)
        self.assertEqual(result.status, STARTED_TENSORFLOW, result)

    @parameterized.parameters(*RIGHT)
    def test_mistakes(self, program):
        for arguments, part in MISTAKES[program]:
            with self.subTest(arguments):
                result = self.run_with(program, *arguments.split())
                self.assert_told(result, part)

    @parameterized.parameters(*RIGHT)
    def test_paths(self, program):
        tried = 0
        for flag in flags_of(program).values():
            key = (program, flag.name)
            if flag.parser.flag_type() != "path" or (
                flag.name in UNUSED and key not in POSSIBLE
            ):
                continue
            for path in WRONG_PATHS:
                with self.subTest(f"--{flag.name}={path}"):
                    tried += 1
                    result = self.run_with(program, f"--{flag.name}={path}")
                    if path in POSSIBLE.get(key, ()):
                        expected = STARTED_TENSORFLOW
                        self.assertEqual(result.status, expected, result)
                    else:
                        self.assert_told(result, path.partition("/")[0])
        self.assertGreater(tried, 4)

    def test_report_that_cannot_be_written(self):
        for path in (
            "missing/x",
            "a_file/x",
            "empty",
            "/proc/none/x",
            "/sys/x",
        ):
            result = self.run_with(
                "kerasrnn-train",
                "--report",
                "--workdir=model",
                f"--output={path}",
            )
            self.assert_told(result, f"Cannot write the page to {path}: ")

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = self.run_with("kerasrnn-serve", f"--port={port}")
        self.assert_told(result, f"Cannot listen on 127.0.0.1:{port}: ")


if __name__ == "__main__":
    absltest.main()
