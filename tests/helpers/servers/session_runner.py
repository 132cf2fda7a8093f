"""Runs an export as TensorFlow Serving does, in a process of its own.

    python session_runner.py VERSION_DIRECTORY CALLS ANSWERS

It needs TensorFlow and NumPy alone, of whatever versions: other ones than
those that wrote the export are what it is for. CALLS and ANSWERS are pickles
of plain Python values, see `run`.
"""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf


def run(directory, calls):
    """Makes calls of a SavedModel, one after the other.

    Args:
        directory: Of the SavedModel.
        calls: A list of `(signature name, {input name: list})`.

    Returns:
        A list of `{output name: nested list}`.
    """
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        meta_graph = tf.compat.v1.saved_model.load(
            session, ["serve"], str(directory)
        )
        answers = []
        for name, inputs in calls:
            signature = meta_graph.signature_def[name]
            feeds = {}
            for alias, values in inputs.items():
                info = signature.inputs[alias]
                dtype = tf.as_dtype(info.dtype)
                feeds[info.name] = np.array(
                    values, object if dtype == tf.string else dtype.name
                )
            fetches = {
                alias: info.name for alias, info in signature.outputs.items()
            }
            outputs = session.run(fetches, feeds)
            answers.append({k: v.tolist() for k, v in outputs.items()})
        return answers


def run_elsewhere(python, directory, calls):
    """Does the same in a new process of another Python.

    Args:
        python: Its executable.
        directory: See `run`.
        calls: See `run`.

    Returns:
        See `run`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "calls", Path(scratch) / "answers"
        asked.write_bytes(pickle.dumps(calls, protocol=4))
        process = subprocess.run(
            [python, __file__, str(directory), str(asked), str(answered)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if process.returncode:
            raise RuntimeError(process.stdout)
        return pickle.loads(answered.read_bytes())


def main(directory, asked, answered):
    """Reads the calls, and writes the answers."""
    calls = pickle.loads(Path(asked).read_bytes())
    answers = run(directory, calls)
    Path(answered).write_bytes(pickle.dumps(answers, protocol=4))


if __name__ == "__main__":
    main(*sys.argv[1:])
