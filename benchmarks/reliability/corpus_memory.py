"""Does memory stay bounded when the text does not fit into it?

    python -m benchmarks.reliability.corpus_memory --megabytes=2000

Writes a synthetic text, encodes it and reads every batch of it, in a process
of its own, and the same with a text of 10 MB. Fails if the anonymous resident
memory (RssAnon: what cannot be dropped and read again from a file) of the
large one grows by over 200 MB more than that of the small one. Linux only;
needs free disk space of twice the text, in --directory.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from absl import flags

from benchmarks.shared.memory import anonymous_bytes
from kerasrnn.command_line import program

_LIMIT_MEGABYTES = 200
_SAMPLE_SECONDS = 0.005


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer(
        "megabytes",
        2000,
        "Size of the large text.",
        lower_bound=10,
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "vocabulary",
        "characters",
        ["characters", "bytes"],
        "How the text is read.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "directory", None, "Where to write the texts.", flag_values=flag_values
    )
    flags.DEFINE_string(
        "measure",
        None,
        "Used by the benchmark itself: the text to measure.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Measures both texts and compares; returns the exit status."""
    del argv
    values = flags.FLAGS
    if values.measure:
        print(json.dumps(measure(values.measure, values.vocabulary)))
        return 0
    growths = []
    for megabytes in (10, values.megabytes):
        with tempfile.TemporaryDirectory(dir=values.directory) as directory:
            path = pathlib.Path(directory, "text.txt")
            write_text(path, megabytes)
            result = json.loads(
                subprocess.run(
                    [
                        sys.executable,
                        __file__,
                        f"--measure={path}",
                        f"--vocabulary={values.vocabulary}",
                    ],
                    check=True,
                    stdout=subprocess.PIPE,
                ).stdout
            )
        growths.append(result["growth"])
        print(
            f"{megabytes:6,} MB of text: anonymous memory grows by "
            f"{result['growth']:.1f} MB; encoding {result['encoding']:.0f} "
            f"MB/s, a pass over {result['batches']:,} batches "
            f"{result['reading']:.0f} MB/s",
            flush=True,
        )
    difference = growths[1] - growths[0]
    passed = difference <= _LIMIT_MEGABYTES
    print(
        f"difference {difference:.1f} MB, at most {_LIMIT_MEGABYTES}: "
        f"{'passed' if passed else 'FAILED'}"
    )
    return 0 if passed else 1


def write_text(path: pathlib.Path, megabytes: int) -> None:
    """Writes random text in several scripts, of 1 to 4 bytes a character."""
    import numpy as np

    generator = np.random.default_rng(0)
    alphabet = [*range(32, 127), *range(0xC0, 0x100), *range(0x4E00, 0x5200)]
    alphabet += [*range(0x1F600, 0x1F640), *[ord("\n")] * 40]
    pieces = []
    for _ in range(8):
        code_points = generator.choice(alphabet, 200_000).astype("<u4")
        pieces.append(code_points.tobytes().decode("utf-32-le").encode())
    size = 0
    with open(path, "wb") as file:
        while size < megabytes * 1_000_000:
            size += file.write(pieces[generator.integers(len(pieces))])


def measure(path: str, kind: str) -> dict[str, float]:
    """Returns megabytes grown and megabytes a second of text."""
    from kerasrnn.config import DataConfig
    from kerasrnn.text.batches.dataset import TextDataset
    from kerasrnn.text.corpus import build_corpus

    path = pathlib.Path(path)
    megabytes = path.stat().st_size / 1e6
    before = anonymous_bytes() / 1e6
    with _Peak() as peak:
        begin = time.perf_counter()
        corpus = build_corpus(
            DataConfig(data=(str(path),), vocabulary=kind),
            path.parent / "corpus",
        )
        encoded = time.perf_counter()
        dataset = TextDataset(corpus.ids, [(0, len(corpus))], 64, 256)
        for step in range(dataset.steps_per_epoch):
            dataset.batch(step)
        read = time.perf_counter()
    return {
        "growth": peak.megabytes - before,
        "encoding": megabytes / (encoded - begin),
        "reading": megabytes / (read - encoded),
        "batches": dataset.steps_per_epoch,
    }


class _Peak:
    """Watches this process's anonymous memory from another thread.

    The kernel keeps a high-water mark of the resident memory as a whole
    only, and that counts pages of mapped files.
    """

    def __enter__(self):
        self.megabytes = anonymous_bytes() / 1e6
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        while not self._done.wait(_SAMPLE_SECONDS):
            self.megabytes = max(self.megabytes, anonymous_bytes() / 1e6)

    def __exit__(self, *exception):
        self._done.set()
        self._thread.join()


def run() -> None:
    """Runs the benchmark."""
    program.run(main, define_flags)


if __name__ == "__main__":
    run()
