"""What users type: names they bring along, help, versions, and streams."""

import importlib
import json
import pathlib
import subprocess
import sys

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
from helpers.processes import program_runner
from helpers.processes.forked_trainer import run_forked
from helpers.processes.program_runner import PROGRAMS
from helpers.sources.repository import program_environment

from kerasrnn import train
from kerasrnn.command_line import familiar_names
from kerasrnn.command_line import program_flags
from kerasrnn.version import __version__


def own_flags(name):
    values = flags.FlagValues()
    importlib.import_module(PROGRAMS[name]).define_flags(values)
    return program_flags.own_flags(values, set())


class FamiliarNamesTest(parameterized.TestCase):
    @parameterized.parameters(
        ("kerasrnn-train", "--lr=1", "did you mean --learning_rate?"),
        ("kerasrnn-train", "-rnn_size=128", "did you mean --units?"),
        ("kerasrnn-train", "--out_dir=x", "did you mean --workdir?"),
        ("kerasrnn-train", "--resume", "resumes by itself"),
        ("kerasrnn-train", "--input=x", "did you mean --data?"),
        ("kerasrnn-train", "--quiet", "> /dev/null"),
        ("kerasrnn-train", "--model=lstm", "did you mean --cell?"),
        ("kerasrnn-train", "--device=cpu", "CUDA_VISIBLE_DEVICES"),
        ("kerasrnn-train", "-gpuid=-1", "CUDA_VISIBLE_DEVICES"),
        ("kerasrnn-train", "--batch-size=3", "did you mean --batch_size?"),
        ("kerasrnn-train", "--block_size=3", "did you mean --sequence_length?"),
        ("kerasrnn-train", "--max_iters=3", "did you mean --max_steps?"),
        ("kerasrnn-train", "--n_layer=3", "did you mean --num_layers?"),
        ("kerasrnn-sample", "-primetext=a", "did you mean --prompt?"),
        ("kerasrnn-sample", "--max_new_tokens=3", "did you mean --length?"),
        ("kerasrnn-sample", "--model=x", "--workdir names the directory"),
        ("kerasrnn-query", "--start=a", "did you mean --prompt?"),
        ("kerasrnn-query", "--url=a", "did you mean --server?"),
        ("kerasrnn-evaluate", "--data=x", "did you mean --file?"),
        ("kerasrnn-export", "--output_dir=x", "did you mean --export_dir?"),
        ("kerasrnn-serve", "--model_path=x", "did you mean --export_dir?"),
    )
    def test_a_known_name_gets_the_right_hint(self, name, argument, expected):
        result = program_runner.run(name, argument, cwd="/")
        self.assertEqual(result.status, 1)
        self.assertStartsWith(result.errors, "error: There is no flag --")
        self.assertIn(expected, result.errors)
        self.assertEqual(result.errors.count("\n"), 1)

    @parameterized.parameters(sorted({*PROGRAMS} - {"kerasrnn-serve"}))
    def test_nothing_is_ignored_after_two_dashes(self, name):
        result = program_runner.run(name, "--", "--epochs=5", "a", cwd="/")
        self.assertEqual(result.status, 1)
        self.assertStartsWith(
            result.errors, "error: Unexpected argument '--epochs=5'"
        )
        self.assertEqual(result.errors.count("\n"), 1)

    def test_every_hint_names_flags_that_there_are(self):
        every = set().union(*map(own_flags, PROGRAMS))
        for flag, names in familiar_names.NAMES.items():
            self.assertIn(flag, every)
            self.assertEqual(names.split(), sorted(set(names.split())), flag)
        for needed, _ in familiar_names.ADVICE.values():
            self.assertIn(needed, every | {""})


class HelpTest(parameterized.TestCase):
    def test_every_flag_of_the_training_is_in_one_group(self):
        grouped = [
            name
            for group in train.FLAG_GROUPS
            for name in (*group.daily, *group.others)
        ]
        # A new flag gets its place in FLAG_GROUPS.
        self.assertCountEqual(grouped, own_flags("kerasrnn-train"))

    def test_help_lists_the_daily_flags_and_helpfull_all(self):
        texts = {
            flag: program_runner.run("kerasrnn-train", flag, cwd="/").output
            for flag in ("--help", "--helpfull")
        }
        for group in train.FLAG_GROUPS:
            for text in texts.values():
                self.assertIn(f"\n{group.title}:\n", text)
            for names, wanted in ((group.daily, True), (group.others, False)):
                for name in names:
                    pattern = rf"(?m)^  --(\[no\])?{name}\b"
                    self.assertRegex(texts["--helpfull"], pattern)
                    found = self.assertRegex if wanted else self.assertNotRegex
                    found(texts["--help"], pattern)
        self.assertIn("\n  --verbosity=INTEGER", texts["--helpfull"])
        self.assertLess(texts["--help"].count("\n"), 100)

    @parameterized.parameters(*PROGRAMS)
    def test_version(self, name):
        result = program_runner.run(name, "--version", cwd="/")
        self.assertEqual((result.status, result.errors), (0, ""))
        self.assertRegex(
            result.output,
            rf"^kerasrnn {__version__} \(Python [\d.]+\w*, TensorFlow "
            r"[\d.]+, Keras [\d.]+\)\n$",
        )

    @parameterized.parameters(
        "kerasrnn.train", "kerasrnn_serving.programs.query"
    )
    def test_help_is_the_same_without_docstrings(self, module):
        plain, stripped = (
            subprocess.run(
                [sys.executable, *options, "-m", module, "--help"],
                capture_output=True,
                env=program_environment(),
            )
            for options in ([], ["-OO"])
        )
        self.assertEqual((stripped.stderr, stripped.returncode), (b"", 0))
        self.assertEqual(stripped.stdout, plain.stdout)


class EnvironmentTest(parameterized.TestCase):
    """Variables that the libraries read, set to what none of them means."""

    @parameterized.parameters(
        ("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python, upb"),
        ("TF_DETERMINISTIC_OPS", "0, 1, false, true"),
    )
    def test_what_would_end_in_an_abort_is_refused(self, name, expected):
        for program in PROGRAMS:
            result = program_runner.run(
                program, cwd="/", environment={name: "nonsense"}
            )
            self.assertEqual(
                result.errors,
                f"error: The environment variable {name} is 'nonsense'; "
                f"expected one of {expected}. Set it to one of them, or `unset "
                f"{name}`.\n",
            )
            self.assertEqual(result.status, 1)

    def test_training_is_the_same_whatever_the_environment_says(self):
        """Keras' settings of another program, and nonsense everywhere else."""
        directory = pathlib.Path(self.create_tempdir().full_path)
        (directory / "text.txt").write_text("to be or not to be\n" * 40)
        (directory / ".keras").mkdir()
        (directory / ".keras" / "keras.json").write_text(
            json.dumps(
                {
                    "backend": "jax",
                    "floatx": "float64",
                    "image_data_format": "channels_first",
                    "epsilon": 0.5,
                }
            )
        )
        flags = [
            *("--data=text.txt", "--max_steps=3", "--units=4"),
            *("--batch_size=4", "--sequence_length=8"),
        ]
        run_forked("kerasrnn.train", "--workdir=plain", *flags, cwd=directory)
        result = subprocess.run(
            [
                *(sys.executable, "-m", "kerasrnn.train"),
                *("--workdir=nonsense", *flags),
            ],
            capture_output=True,
            text=True,
            cwd=directory,
            env=program_environment() | _nonsense(directory),
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("Traceback", result.stderr)
        losses = []
        for workdir in ("plain", "nonsense"):
            with open(directory / workdir / "history.jsonl") as history:
                losses.append([json.loads(line)["loss"] for line in history])
        self.assertNotEmpty(losses[0])
        self.assertEqual(*losses)


def _nonsense(home):
    """Returns variables that TensorFlow, Keras, gRPC and the like read.

    Not XLA_FLAGS and TF_XLA_FLAGS: TensorFlow ends the process with a
    sentence that names them.
    """
    names = """
        AUTOGRAPH_STRICT_CONVERSION AUTOGRAPH_VERBOSITY COLUMNS
        CUDA_VISIBLE_DEVICES GRPC_TRACE GRPC_VERBOSITY KERAS_MAX_EPOCHS
        KERAS_MAX_STEPS_PER_EPOCH KERAS_NNX_ENABLED KMP_AFFINITY LINES
        OMP_NUM_THREADS TERM TF2_BEHAVIOR TF_CPP_MAX_VLOG_LEVEL
        TF_CUDNN_DETERMINISTIC TF_ENABLE_ONEDNN_OPTS
        TF_FORCE_GPU_ALLOW_GROWTH TF_GPU_ALLOCATOR TF_GPU_THREAD_MODE
        TF_JIT_FLAGS TF_NUM_INTEROP_THREADS TF_NUM_INTRAOP_THREADS
        TF_USE_LEGACY_KERAS TMPDIR
    """
    return {
        **dict.fromkeys(names.split(), "nonsense"),
        "HOME": str(home),
        "KERAS_BACKEND": "torch",
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
    }


class StreamsTest(parameterized.TestCase):
    @parameterized.product(
        closed=[(0,), (1,), (2,), (0, 1, 2)], argument=["--help", "--no=1"]
    )
    def test_a_program_works_without_a_stream(self, closed, argument):
        for name in PROGRAMS:
            result = program_runner.run(name, argument, cwd="/", closed=closed)
            self.assertEqual(result.status, int(argument == "--no=1"), result)
            output = argument == "--help" and 1 not in closed
            self.assertEqual(bool(result.output), output)
            errors = argument == "--no=1" and 2 not in closed
            self.assertEqual(bool(result.errors), errors)

    def test_files_do_not_take_the_number_of_a_closed_stream(self):
        directory = pathlib.Path(self.create_tempdir().full_path)
        (directory / "text.txt").write_text("to be or not to be\n" * 40)
        result = program_runner.run(
            "kerasrnn-train",
            "--data=text.txt",
            "--batch_size=2",
            cwd=directory,
            closed=(0, 1, 2),
        )
        self.assertEqual(result.status, program_runner.STARTED_TENSORFLOW)
        corpus = json.loads(
            (directory / "workdir/corpus/corpus.json").read_bytes()
        )
        self.assertEqual(corpus["num_characters"], 760)

    def test_a_full_disk_behind_standard_output_is_told(self):
        with open("/dev/full", "w") as full:
            result = subprocess.run(
                [sys.executable, "-m", "kerasrnn.train", "--help"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=program_environment(),
            )
        self.assertEqual(result.stderr, "error: No space left on device.\n")
        self.assertEqual(result.returncode, 1)

    def test_what_a_terminal_cannot_show_is_written_with_backslashes(self):
        result = subprocess.run(
            [sys.executable, "-m", "kerasrnn.evaluate", "--workdir=/né"],
            capture_output=True,
            env=program_environment() | {"PYTHONIOENCODING": "ascii"},
        )
        self.assertStartsWith(
            result.stderr, b"error: There is no directory /n\\xe9"
        )
        self.assertEqual(result.returncode, 1)


if __name__ == "__main__":
    absltest.main()
