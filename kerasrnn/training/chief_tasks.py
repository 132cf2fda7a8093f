"""What only the chief does between two calls of steps: validate and sample.

The other workers wait for the results. A process alone is its own chief.
"""

import contextlib

import tensorflow as tf

from kerasrnn.foundation import files
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.model.text_generator import TextGenerator
from kerasrnn.text.batches.streams import sample_of
from kerasrnn.training.evaluation.evaluator import Evaluator
from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.run_context import RunContext
from kerasrnn.training.step.flat_weights import Layout


class ChiefTasks:
    """Validates and samples, if this process is the chief.

    All workers call its methods together.

    Args:
        context: What the run consists of.
        layout: Where each weight is in the flat vector.
    """

    def __init__(self, context: RunContext, layout: Layout):
        self._context = context
        self._layout = layout
        self._workers = context.workers
        self._observer = context.observer
        config = context.config
        self._evaluator = Evaluator(
            config.model, layout, config.training.sequence_length
        )
        self._generator = TextGenerator(config.model, context.corpus.vocabulary)

    def validate(self, weights: tf.Tensor, most: int = 0) -> Evaluation:
        """Returns the loss of the text that is held out.

        Args:
            weights: Float32 tensor [P].
            most: Characters that may be read for it; 0 reads all.

        Raises:
            Interrupted: A signal came.
        """
        held_out = self._context.held_out_characters
        training = self._context.config.training
        sample = sample_of(self._context.held_out, training, most)
        result = Evaluation(0.0, 0)
        if self._workers.is_chief:
            with self._until_signal():
                result = self._evaluator(
                    weights,
                    self._context.corpus.ids,
                    self._context.held_out,
                    sample.streams,
                    most=sample.most,
                    context=training.validation_context,
                    between_calls=self._show_share,
                )
        nats, characters = self._workers.broadcast(
            [result.nats, result.characters]
        )
        if not characters:
            self._end()
        sampled_from = held_out if 0 < sample.most < held_out else 0
        return Evaluation(nats, int(characters), sampled_from)

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
        training = self._context.config.training
        for chunk in self._generator.stream(
            self._layout.split(weights),
            length=training.sample_length,
            seed=training.seed,
        ):
            self._check()
            text += chunk.text
        samples = self._context.workdir.samples
        samples.mkdir(exist_ok=True)
        files.write_file(samples / f"{step}.txt", text.encode(errors="replace"))
        self._observer.sampled(step, text)

    def _end(self):
        own = self._context.interruption.signal or 0
        raise Interrupted(self._workers.any(own))

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
        self._context.interruption.check()
