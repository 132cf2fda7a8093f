"""What does Keras' BackupAndRestore lose when it is killed while it saves?

    python benchmarks/backup_and_restore.py --kills=40

Trains a small LSTM by `model.fit` with `BackupAndRestore(save_freq=2)`, kills
it with SIGKILL while a file of the backup is being written, and starts it
again. Counts the trainings that cannot go on: the second start ends with an
error, or begins at the first epoch with first weights.
`tests/kill_test.py` is the same for kerasrnn.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from kerasrnn import program


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_integer(
        "kills",
        40,
        "Trainings to kill.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "double_checkpoint",
        False,
        "Have Keras keep the backup before the newest, too.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "train",
        None,
        "Used by the benchmark itself: the directory to train in.",
        flag_values=flag_values,
    )


def main(argv) -> int:
    """Counts; returns the exit status."""
    del argv
    values = flags.FLAGS
    if values.train:
        _train(pathlib.Path(values.train), values.double_checkpoint)
        return 0
    draws = random.Random(0)
    lost = 0
    for kill in range(values.kills):
        with tempfile.TemporaryDirectory() as directory:
            lost += not _survives(pathlib.Path(directory), draws)
        print(f"{lost} of {kill + 1} trainings lost", flush=True)
    return 0


def _survives(directory, draws):
    """Kills a training while it saves; whether it then goes on."""
    process = _start(directory)
    for _ in range(draws.randrange(2, 5)):
        before = _backup(directory)
        while _backup(directory) == before:
            if process.poll() is not None:
                raise RuntimeError("the training ended by itself")
            time.sleep(0.0002)
    time.sleep(draws.uniform(0, 0.005))
    process.send_signal(signal.SIGKILL)
    process.wait()
    (directory / "began").unlink(missing_ok=True)
    process = _start(directory)
    began = directory / "began"
    while not began.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    # It says with which optimizer step it began.
    return began.exists() and int(began.read_text() or 0) > 0


def _start(directory):
    command = [sys.executable, __file__, f"--train={directory}"]
    if flags.FLAGS.double_checkpoint:
        command.append("--double_checkpoint")
    return subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def _backup(directory):
    """Returns sizes and times of the files of the backup."""
    files = {}
    for path in (directory / "backup").glob("**/*"):
        try:
            status = path.stat()
        except OSError:
            continue
        files[path] = (status.st_size, status.st_mtime_ns)
    return files


def _train(directory, double_checkpoint):
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.layers.Embedding(65, 64),
            keras.layers.LSTM(256, return_sequences=True),
            keras.layers.Dense(65),
        ]
    )
    model.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    ids = np.random.default_rng(0).integers(0, 65, (64, 9))
    model.build((None, 8))
    model.optimizer.build(model.trainable_variables)

    class Tells(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            step = int(model.optimizer.iterations.numpy())
            (directory / "began").write_text(str(step))

    backup = keras.callbacks.BackupAndRestore(
        str(directory / "backup"),
        save_freq=2,
        double_checkpoint=double_checkpoint,
        delete_checkpoint=False,
    )
    model.fit(
        ids[:, :-1],
        ids[:, 1:],
        batch_size=16,
        epochs=10**6,
        verbose=0,
        callbacks=[backup, Tells()],
    )


if __name__ == "__main__":
    program.run(main, define_flags)
