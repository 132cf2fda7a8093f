# %% [markdown]
# # Tutorial: from a text to served text
#
# This tutorial trains a small character model, looks at what it learned,
# publishes it, serves it, and calls the server, all from Python. It runs in
# about a minute on two cores, needs no data and downloads nothing: the text is
# what Python's `help()` knows about the language.
#
# The page, the notebook `examples/tutorial.ipynb` and this text have one
# source, `examples/tutorial.py`. To run it yourself, install the package and
# the plots with `pip install '.[train]' matplotlib` in a clone, and open the
# notebook in Jupyter, or run `python examples/tutorial.py`.

# %%
from kerasrnn import tensorflow_noise

tensorflow_noise.install()  # TensorFlow starts without its usual notes.

import atexit
import json
import pathlib
import re
import subprocess
import tempfile
from pydoc_data.topics import topics

import matplotlib.pyplot as plt
import numpy as np

import kerasrnn

directory = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## The text
#
# Any UTF-8 text of some 100 kB or more will do.

# %%
text_file = directory / "topics.txt"
text_file.write_text("\n\n".join(topics.values()))
print(topics["assert"][:300])

# %% [markdown]
# `build_corpus` reads files, gives each character a number, its id, and keeps
# the ids on disk, so that a text may be larger than the memory. Id 0 stands
# for characters that the model does not know.

# %%
corpus = kerasrnn.build_corpus(
    kerasrnn.DataConfig(data=(str(text_file),)),
    directory / "model" / "corpus",
)
ids = corpus.vocabulary.encode("Python is")
print(f"{len(corpus):,} characters, {len(corpus.vocabulary)} different ids")
print(ids, repr(corpus.vocabulary.decode(ids)))

# %% [markdown]
# ## The model and its training
#
# A configuration has three parts: the network, the text, and the training. To
# keep the tutorial short, this one makes only three passes over the text, with
# small batches and a high learning rate. `train_and_evaluate` writes
# checkpoints, losses and samples to the working directory. If you interrupt it,
# it saves the current step; calling it again resumes there.

# %%
from kerasrnn.training.checkpoints.workdir import locked

config = kerasrnn.Config(
    model=kerasrnn.ModelConfig(
        vocabulary_size=len(corpus.vocabulary),
        cell="lstm",
        units=128,
        dropout=0.0,
    ),
    data=corpus.config,
    training=kerasrnn.TrainingConfig(
        epochs=3,
        batch_size=16,
        learning_rate=0.008,
        warmup_steps=50,
        averaging=0.99,
        evaluate_every=200,
        sample_length=0,
    ),
)
with locked(directory / "model") as workdir:
    result = kerasrnn.train_and_evaluate(config, workdir, corpus)
print(result)

# %% [markdown]
# The losses are in `history.jsonl`, in nats per character. The dashed line is
# the loss of a model that guesses: the logarithm of the number of ids.

# %%
history = [json.loads(line) for line in workdir.history.open()]
losses = np.concatenate([entry["losses"] for entry in history])
validations = [entry for entry in history if "validation_loss" in entry]

plt.figure(figsize=(8, 3))
plt.plot(np.arange(1, len(losses) + 1), losses, linewidth=0.5, label="training")
plt.plot(
    [entry["step"] for entry in validations],
    [entry["validation_loss"] for entry in validations],
    "o-",
    label="validation",
)
plt.axhline(np.log(len(corpus.vocabulary)), linestyle="--", color="gray")
plt.xlabel("step")
plt.ylabel("nats per character")
plt.legend()
plt.show()

# %% [markdown]
# ## Text in process
#
# `load_model` returns the best model by validation loss, and `TextGenerator`
# writes text with it. The same seed gives the same text. A low temperature
# prefers likely characters; at 1 the model draws from what it has learned.

# %%
model, vocabulary, config, info = kerasrnn.load_model(directory / "model")
generator = kerasrnn.TextGenerator(config.model, vocabulary)


def write(prompt, **options):
    chunks = generator.stream(model.weights, prompt=prompt, **options)
    return prompt + "".join(chunk.text for chunk in chunks)


for temperature in (0.3, 0.7, 1.0):
    print(f"--- temperature {temperature}")
    print(write("The ", length=300, temperature=temperature, seed=1))

# %% [markdown]
# The model itself maps ids to logits. Here are the characters that it expects
# after some beginnings:

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.5), sharey=True)
for axis, text in zip(
    axes, ("The statemen", "is equivalent t", "def f("), strict=True
):
    logits, states = model(vocabulary.encode(text)[np.newaxis])
    logits = np.array(logits[0, -1, 1:])  # Without id 0, the unknown one.
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    likely = np.argsort(probabilities)[::-1][:6]
    characters = [repr(vocabulary.decode([i + 1])) for i in likely]
    axis.bar(characters, probabilities[likely])
    axis.set_title(repr(text))
axes[0].set_ylabel("probability")
plt.show()

# %% [markdown]
# ## Publishing
#
# An export is a directory that a server watches. Each *version* in it is a
# SavedModel in a numbered directory. `export_workdir` compares the SavedModel
# with the model before the version gets its number.

# %%
from kerasrnn_export.exporter import export_workdir

version = export_workdir(directory / "model", directory / "export")
print(version.relative_to(directory))

# %% [markdown]
# ## Serving
#
# `kerasrnn-serve` serves the newest version. In production TensorFlow Serving
# does this; the local server speaks the same gRPC. With `--port=0` it takes a
# free port and prints it.

# %%
server = subprocess.Popen(
    [
        "kerasrnn-serve",
        f"--export_dir={directory / 'export'}",
        "--server=local",
        "--port=0",
    ],
    stdout=subprocess.PIPE,
    text=True,
)
atexit.register(server.kill)  # Whatever happens below.
line = server.stdout.readline()
address = re.search(r" at (\S+:\d+)", line)[1]
print(line, end="")

# %% [markdown]
# ## Calling the server
#
# The client needs no TensorFlow. A stream arrives in chunks; the server returns
# the state of the text with each of them, and the client sends it back for the
# next one.

# %%
from kerasrnn_serving.client import Client

client = Client(address)
for chunk in client.stream("A class ", length=400, temperature=0.5, seed=2):
    print(chunk.text, end="", flush=True)

# %% [markdown]
# The server writes the same text as the model in process:

# %%
(served,) = client.generate("The ", length=300, seed=1)
print("The " + served.text == write("The ", length=300, seed=1))

# %% [markdown]
# `state_bytes` is the state of a text. The server keeps nothing, so any replica
# can continue any text. Two calls give the text of one:

# %%
(first,) = client.generate("The ", length=100, seed=1)
(second,) = client.generate(
    "", state_bytes=first.state_bytes, length=200, seed=1
)
print(first.text + second.text == served.text)

# %% [markdown]
# `score` says how likely a text is. What resembles the training text should be
# more likely than other prose, and prose more likely than noise:

# %%
texts = (
    "The expression is evaluated, and its value is assigned to the name.",
    "It is a truth universally acknowledged, that a single man",
    "xq7 ]]zv ;;Kp wq(9 jjx ~f",
)
for text, score in zip(texts, client.score(list(texts)), strict=True):
    print(f"{score.bits_per_character:5.2f} bits per character: {text[:40]!r}")

# %% [markdown]
# ## Looking inside
#
# `inspect` returns what every unit does while the network reads a text. Which
# units of layer 2 follow quotes? Those whose output, over the whole text,
# correlates with being inside quotes. The picture shows the five best on a part
# of it: red is 1, blue is -1.

# %%
text = topics["with"][:2000]
(inspection,) = client.inspect(text)
layer_2 = inspection.activations[:, config.model.units :]

inside = np.cumsum([character == '"' for character in text]) % 2
correlation = np.nan_to_num(
    [np.corrcoef(unit, inside)[0, 1] for unit in layer_2.T]
)
best = np.argsort(-np.abs(correlation))[:5]

part = text[:80]
plt.figure(figsize=(9, 2))
plt.imshow(
    layer_2[: len(part), best].T, cmap="bwr", vmin=-1, vmax=1, aspect="auto"
)
plt.xticks(range(len(part)), list(part.replace("\n", "↵")), size=7)
plt.yticks(
    range(len(best)),
    [f"unit {unit + 1}, {correlation[unit]:+.2f}" for unit in best],
)
plt.show()

# %% [markdown]
# `kerasrnn-inspect` makes a page of this for many such questions, with a
# control that says which correlations are chance: see
# [Inside a network](../docs/inspecting.md).
#
# ## The end

# %%
client.close()
server.terminate()
print("The server ended with status", server.wait(timeout=30))

# %% [markdown]
# Where to go from here: [Training](../docs/training.md) for real runs,
# [Clients](../docs/client.md) and [Operations](../docs/operations.md) for
# servers, and the [API reference](../docs/api/kerasrnn.md).
