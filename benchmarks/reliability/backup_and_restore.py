"""What do kills cost a run, with Keras' BackupAndRestore and with kerasrnn?

    python -m benchmarks.reliability.backup_and_restore --kills=40

with `--when=inside` or `--when=between`, and with `--save_every=4` or
`--double_checkpoint`.

Trains the same small LSTM on the same text, in turn by `model.fit` with
`BackupAndRestore` and by kerasrnn, and kills each with SIGKILL at a random
moment inside one of its saves (or, as a control, between two of them). Both
are then started again, once, and run to the end. Counts

* the runs that resume: the second start neither ends with an error nor begins
  at step 0, and
* those that resume bit for bit: their last weights are those of a run that was
  not killed. Two such runs of each side are compared first.

An epoch has 4 steps: `--save_every=4` saves at its end, which is where Keras
resumes, whatever it has saved. Dropout is off and no text is shuffled, so
that nothing but the kill makes a difference.
"""

import hashlib
import json
import mmap
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import numpy as np
from absl import flags

from kerasrnn.command_line import program

ROOT = pathlib.Path(__file__).absolute().parents[2]
UNITS, EMBEDDING, KINDS = 256, 64, 64
STREAMS, LENGTH, STEPS_AN_EPOCH, EPOCHS = 16, 8, 4, 8
STEPS = STEPS_AN_EPOCH * EPOCHS

_CONTEXT = multiprocessing.get_context("forkserver")


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer(
        "kills",
        40,
        "Trainings of either side to kill.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_enum(
        "when",
        "inside",
        ("inside", "between"),
        "Kill inside a save, or between two.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "save_every",
        2,
        "Steps between two saves; an epoch has 4.",
        lower_bound=1,
        upper_bound=4,
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "double_checkpoint",
        False,
        "Have Keras keep the backup before the newest, too.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Counts; returns the exit status."""
    del argv
    values = flags.FLAGS
    # Keras has these imported already when a training starts: a fork of this.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    _CONTEXT.set_forkserver_preload(["keras", "kerasrnn.training.loop"])
    sides = {
        "Keras BackupAndRestore": (
            _train_by_keras,
            (values.save_every, values.double_checkpoint),
        ),
        "kerasrnn": (_train_by_kerasrnn, (values.save_every,)),
    }
    undisturbed = {name: _undisturbed(*side) for name, side in sides.items()}
    draws = random.Random(0)
    resumed, equal = dict.fromkeys(sides, 0), dict.fromkeys(sides, 0)
    for kill in range(values.kills):
        for name, side in sides.items():
            result = _killed(*side, draws, values.when == "inside")
            resumed[name] += result is not None and result["began"] > 0
            equal[name] += (
                result is not None
                and result["weights"] == undisturbed[name]["weights"]
            )
        print(
            f"{kill + 1} kills {values.when} saves: "
            + ", ".join(
                f"{name} {resumed[name]} resumed, {equal[name]} bit for bit"
                for name in sides
            ),
            flush=True,
        )
    return 0


def _undisturbed(train, options):
    """Returns what a run that is not killed says at its end."""
    results = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            process = _start(train, options, pathlib.Path(folder))
            results.append(_result(process, pathlib.Path(folder)))
    if None in results or results[0] != results[1]:
        raise RuntimeError(f"two runs that were not killed: {results}")
    return results[0]


def _killed(train, options, draws, inside):
    """Returns what a run that was killed once says at its end."""
    while True:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            process = _start(train, options, folder)
            if _kill(process, folder, draws, inside) == inside:
                return _result(_start(train, options, folder), folder)


def _kill(process, folder, draws, inside):
    """Kills a run at a random moment; whether that was in a save.

    None if it had ended before.
    """
    mark = _mark(folder)

    def wait(is_saving):
        while mark[0] != is_saving:
            if not process.is_alive():
                return None  # the last save, or one too short to be seen
            time.sleep(0.0001)
        return time.monotonic()

    for _ in range(draws.randrange(1, 4)):
        began = wait(True)
        ended = wait(False)
        if None in (began, ended):
            return None
    duration = ended - began
    if inside and wait(True) is None:
        return None
    time.sleep(draws.uniform(0, duration))
    process.kill()
    process.join()
    return bool(mark[0]) if process.exitcode == -signal.SIGKILL else None


def _start(train, options, folder):
    (folder / "mark").write_bytes(b"\0")
    process = _CONTEXT.Process(target=_run, args=(train, options, folder))
    process.start()
    return process


def _result(process, folder):
    process.join()
    if process.exitcode:
        return None
    return json.loads((folder / "result").read_text())


def _run(train, options, folder):
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    train(folder, *options)


def _mark(folder):
    """Returns a byte in memory that is 1 while a run saves."""
    with open(folder / "mark", "r+b") as file:
        return mmap.mmap(file.fileno(), 1)


def _marking(function, folder):
    mark = _mark(folder)

    def marked(*arguments, **named):
        mark[0] = 1
        try:
            return function(*arguments, **named)
        finally:
            mark[0] = 0

    return marked


def _write_result(folder, began, arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    result = {"began": began, "weights": digest.hexdigest()}
    (folder / "result").write_text(json.dumps(result))


def _text():
    """Returns ids of every kind, as many as an epoch reads, and one more."""
    size = STREAMS * LENGTH * STEPS_AN_EPOCH
    ids = np.arange(size + 1) % KINDS
    np.random.default_rng(0).shuffle(ids)
    return ids


def _train_by_keras(folder, save_every, double_checkpoint):
    import keras

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Embedding(KINDS, EMBEDDING),
            keras.layers.LSTM(UNITS, return_sequences=True),
            keras.layers.Dense(KINDS),
        ]
    )
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    ids = _text()
    model.build((None, LENGTH))
    model.optimizer.build(model.trainable_variables)
    began = []

    class Tells(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            began.append(int(model.optimizer.iterations.numpy()))

    backup = keras.callbacks.BackupAndRestore(
        str(folder / "backup"),
        save_freq="epoch" if save_every == STEPS_AN_EPOCH else save_every,
        double_checkpoint=double_checkpoint,
        delete_checkpoint=False,
    )
    backup._save_model = _marking(backup._save_model, folder)
    model.fit(
        ids[:-1].reshape(-1, LENGTH),
        ids[1:].reshape(-1, LENGTH),
        batch_size=STREAMS,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[backup, Tells()],
    )
    _write_result(folder, began[0], model.get_weights())


def _train_by_kerasrnn(folder, save_every):
    from kerasrnn.config import Config
    from kerasrnn.config import DataConfig
    from kerasrnn.config import ModelConfig
    from kerasrnn.config import TrainingConfig
    from kerasrnn.text.corpus import build_corpus
    from kerasrnn.training.checkpoints.manager import CheckpointManager
    from kerasrnn.training.checkpoints.workdir import locked
    from kerasrnn.training.train_and_evaluate import train_and_evaluate

    text = folder / "text.txt"
    text.write_text("".join(chr(0x4E00 + id_) for id_ in _text()))
    data = DataConfig(data=(str(text),), validation_fraction=0.0)
    CheckpointManager.save = _marking(CheckpointManager.save, folder)
    with locked(folder / "workdir") as workdir:
        before = CheckpointManager(workdir).newest()
        corpus = build_corpus(data, workdir.corpus)
        config = Config(
            model=ModelConfig(
                vocabulary_size=len(corpus.vocabulary),
                units=UNITS,
                num_layers=1,
                embedding_size=EMBEDDING,
                dropout=0.0,
            ),
            data=data,
            training=TrainingConfig(
                batch_size=STREAMS,
                sequence_length=LENGTH,
                epochs=EPOCHS,
                schedule="constant",
                checkpoint_every=save_every,
                sample_length=0,
                jit_compile="off",
            ),
        )
        result = train_and_evaluate(config, workdir, corpus)
        if result.step != STEPS:
            raise RuntimeError(f"{result.step} steps")
        last = CheckpointManager(workdir).newest()
    arrays = {**last.weights, **last.training}
    _write_result(
        folder,
        0 if before is None else before.step,
        [arrays[name] for name in sorted(arrays)],
    )


if __name__ == "__main__":
    program.run(main, define_flags)
