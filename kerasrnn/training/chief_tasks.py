"""What only the chief does between two calls of steps: validate and sample.

The other workers wait for the results. A process alone is its own chief.
"""

import contextlib
from collections.abc import Sequence

import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.foundation import files
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.streams import number_of_streams
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.records.observers import Observer
from kerasrnn.training.step.flat_weights import Layout
from kerasrnn.training.workers import Workers


class ChiefTasks:
    """Validates and samples, if this process is the chief.

    All workers call its methods together.

    Args:
        config: What is trained, and how.
        workdir: Where samples go.
        corpus: The encoded text.
        held_out: (start, stop) of the parts to validate on.
        layout: Where each weight is in the flat vector.
        workers: This process and the others.
        observer: Is told how far a validation is, and each sample.
        interruption: Asked again and again whether to end.
    """

    def __init__(
        self,
        config: Config,
        workdir: Workdir,
        corpus: Corpus,
        held_out: Sequence[tuple[int, int]],
        layout: Layout,
        workers: Workers,
        observer: Observer,
        interruption: Interruption,
    ):
        self._config = config
        self._workdir = workdir
        self._corpus = corpus
        self._layout = layout
        self._workers = workers
        self._observer = observer
        self._interruption = interruption
        self._held_out = held_out
        self._evaluator = Evaluator(
            config.model, layout, config.training.sequence_length
        )
        self._generator = TextGenerator(config.model, corpus.vocabulary)

    def validate(self, weights: tf.Tensor, most: int = 0) -> Evaluation:
        """Returns the loss of the text that is held out.

        Args:
            weights: Float32 tensor [P].
            most: Characters to read of it; 0 reads all.

        Raises:
            Interrupted: A signal came.
        """
        training = self._config.training
        result = Evaluation(0.0, 0)
        if self._workers.is_chief:
            with self._until_signal():
                result = self._evaluator(
                    weights,
                    self._corpus.ids,
                    self._held_out,
                    number_of_streams(
                        self._held_out,
                        training.batch_size,
                        training.sequence_length,
                    ),
                    most=most,
                    between_calls=self._show_share,
                )
        nats, characters = self._workers.broadcast(
            [result.nats, result.characters]
        )
        if not characters:
            self._end()
        held_out = sum(stop - start for start, stop in self._held_out)
        return Evaluation(nats, int(characters), held_out if most else 0)

    def sample(self, weights: tf.Tensor, step: int) -> None:
        """Writes a text that the model generates.

        Args:
            weights: Float32 tensor [P].
            step: Names the file.

        Raises:
            Interrupted: A signal came.
        """
        written = False
        if self._workers.is_chief:
            with self._until_signal():
                self._write_sample(weights, step)
                written = True
        if not self._workers.broadcast([written])[0]:
            self._end()

    def _write_sample(self, weights, step):
        text = ""
        for chunk in self._generator.stream(
            self._layout.split(weights),
            length=self._config.training.sample_length,
            seed=self._config.training.seed,
        ):
            self._check()
            text += chunk.text
        self._workdir.samples.mkdir(exist_ok=True)
        files.write_file(
            self._workdir.samples / f"{step}.txt",
            text.encode(errors="replace"),
        )
        self._observer.sampled(step, text)

    def _end(self):
        raise Interrupted(self._workers.any(self._interruption.signal or 0))

    @contextlib.contextmanager
    def _until_signal(self):
        """Keeps the chief of several workers from ending while they wait."""
        try:
            yield
        except Interrupted:
            if self._workers.size == 1:
                raise

    def _show_share(self, share):
        self._observer.activity("validation", share)
        self._check()

    def _check(self):
        self._workers.check()
        self._interruption.check()
