"""The training loop: steps, and what is seen to between them.

Truncated backpropagation through time over B contiguous streams of text:
the recurrent states are carried from batch to batch. Batch, dropout and
learning rate of a step are functions of its number, so a checkpoint at any
step is enough to go on as if nothing had happened, bit for bit.
"""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.generator import TextGenerator
from kerasrnn.model import state_sizes
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.dataset import TextDataset
from kerasrnn.training import divergence
from kerasrnn.training import files
from kerasrnn.training import transfer
from kerasrnn.training.distribution import collect
from kerasrnn.training.distribution import distribute
from kerasrnn.training.distribution import make_strategy
from kerasrnn.training.divergence import Diverged
from kerasrnn.training.evaluation import Evaluator
from kerasrnn.training.evaluation import number_of_streams
from kerasrnn.training.interruption import Interrupted
from kerasrnn.training.interruption import Interruption
from kerasrnn.training.pace import Pace
from kerasrnn.training.plan import Limits
from kerasrnn.training.plan import Plan
from kerasrnn.training.position import Position
from kerasrnn.training.progress import Display
from kerasrnn.training.progress import Status
from kerasrnn.training.records import Recorder
from kerasrnn.training.saving import Saver
from kerasrnn.training.steps import Trainer
from kerasrnn.training.weights import initial_weights
from kerasrnn.training.workdir import Workdir

# However rarely checkpoints are due by steps, no more than this is lost.
_SECONDS_BETWEEN_CHECKPOINTS = 600.0


@dataclasses.dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        step: Steps made.
        best_step: Step with the lowest validation loss; 0 is none.
        best_loss: That loss, nats a character; None is none.
        reason: Why it ended.
    """

    step: int
    best_step: int
    best_loss: float | None
    reason: str


def train_and_evaluate(
    config: Config,
    workdir: Workdir,
    corpus: Corpus,
    strategy: tf.distribute.Strategy | None = None,
    limits: Limits | None = None,
    display: Display | None = None,
    interruption: Interruption | None = None,
) -> Result:
    """Trains, from the newest checkpoint in the working directory on.

    Args:
        config: What to train, and how.
        workdir: Where to; held by `kerasrnn.training.workdir.locked`.
        corpus: The encoded text.
        strategy: The devices; by default those of "auto".
        limits: When to stop before the epochs are over.
        display: Where to show progress.
        interruption: Asked between calls whether to end.

    Raises:
        UserError: The settings do not fit the text or the checkpoint, a
            file cannot be written, or the training has diverged.
        Interrupted: A signal came; the current step is saved.
    """
    training = _Training(
        config,
        workdir,
        corpus,
        strategy or make_strategy(),
        limits or Limits(),
        display or Display(),
        interruption or Interruption(),
    )
    try:
        return training.run()
    except Interrupted:
        training.save()
        raise
    finally:
        training.close()


class _Training:
    def __init__(
        self, config, workdir, corpus, strategy, limits, display, interruption
    ):
        self.config = config
        self.workdir = workdir
        self.corpus = corpus
        self.strategy = strategy
        self.display = display
        self.interruption = interruption
        training = config.training
        self.dataset = TextDataset(
            corpus.ids,
            corpus.split_ranges("train", training.sequence_length),
            training.batch_size,
            training.sequence_length,
            documents=bool(config.model.separator_id),
        )
        self.held_out = corpus.split_ranges(
            "validation", training.sequence_length
        )
        self.plan = Plan(
            training,
            self.dataset.steps_per_epoch,
            limits,
            validates=sum(stop - start for start, stop in self.held_out) > 1,
        )
        self.layout, self.trainer = self._untrained()
        layout = self.layout
        self.evaluator = Evaluator(
            config.model, layout, training.sequence_length
        )
        self.generator = TextGenerator(config.model, corpus.vocabulary)
        self.saver = Saver(config, workdir, corpus, layout, self.plan)
        self.position = Position()
        self.failures = 0  # since the newest checkpoint
        self._resume()
        self._is_saved()
        self.pace = Pace()
        self.recorder = Recorder(workdir, self.plan, self.position)
        self.started = time.monotonic() - self.position.elapsed

    def run(self) -> Result:
        while True:
            try:
                reason = self._train()
                break
            except Diverged as diverged:
                self._go_back(diverged)
        self.recorder.finish()
        position = self.position
        return Result(
            position.step, position.best_step, position.best_loss, reason
        )

    def _train(self):
        """Trains to the end, and returns why it is that."""
        reason = self._is_over()
        while True:
            self._attend(ending=bool(reason))
            # Early stopping is decided by the validation just made.
            reason = reason or self._is_over()
            if reason and self.saved_step == self.position.step:
                return reason
            self.interruption.check()
            if not reason:
                self._advance()
                reason = self._is_over()

    def close(self) -> None:
        self.recorder.close()

    def save(self) -> None:
        """Saves the current step, unless that is done already."""
        position = self.position
        if self.saved_step == position.step:
            return
        position.elapsed = self._elapsed()
        arrays = self.trainer.snapshot()
        divergence.check_arrays(arrays.values(), position.step)
        self.recorder.sync()
        self.saver.save(
            position,
            arrays,
            collect(self.strategy, self.states, 0),
        )
        self._is_saved()
        self.failures = 0

    def _is_saved(self):
        self.saved_step = self.position.step
        self.saved_time = time.monotonic()
        self.interruption.set_unsaved(False)

    def _first_weights(self):
        """Returns the layout, and the weights [P] of step 0."""
        training = self.config.training
        layout, weights = initial_weights(self.config.model, training.seed)
        if training.init_from and not self.workdir.has_checkpoints():
            weights, note = transfer.first_weights(
                self.config,
                self.corpus.vocabulary,
                self.workdir.path,
                layout.unpack(weights),
            )
            weights = layout.pack(weights)
            self.display.note(note)
        return layout, weights

    def _resume(self):
        newest = self.saver.newest()
        if newest is None:
            batch_size = self.config.training.batch_size
            states = [
                np.zeros([batch_size, size], np.float32)
                for size in state_sizes(self.config.model)
            ]
        else:
            self.position, arrays, states = newest
            self.trainer.restore(arrays)
            self.display.note(f"Going on from step {self.position.step:,}.")
        self.states = distribute(self.strategy, states, 0)

    def _untrained(self):
        layout, weights = self._first_weights()
        return layout, Trainer(self.config, self.strategy, layout, weights)

    def _go_back(self, diverged):
        """Goes back to before the training diverged, or ends it there."""
        before = self.position
        self.failures += 1
        step = self.saver.set_aside_failed(diverged.step, self.failures)
        divergence.check_rollback(
            diverged, self.config.training.on_nan, before.rollbacks, step
        )
        factor = divergence.RATE_FACTOR ** (before.rollbacks + 1)
        self.display.note(
            f"{diverged} Going back to step {step:,} with the learning rate "
            f"times {factor:g}."
        )
        if step == 0:
            _, self.trainer = self._untrained()
        self.position = Position()
        self._resume()
        self.position.go_back_from(before)
        self._is_saved()
        self.recorder.close()
        self.recorder = Recorder(self.workdir, self.plan, self.position)

    def _elapsed(self):
        return time.monotonic() - self.started

    def _is_over(self):
        return self.plan.is_over(
            self.position.step, self._elapsed(), self.position.stale
        )

    def _attend(self, ending):
        """Does all that is due after the current step."""
        position, plan = self.position, self.plan
        step = position.step
        if plan.validation_is_due(step, ending) and position.validated != step:
            self._validate()
        if plan.sample_is_due(step, ending) and position.sampled != step:
            self._sample()
        overdue = time.monotonic() - self.saved_time
        if (
            plan.checkpoint_is_due(step, ending)
            or overdue > _SECONDS_BETWEEN_CHECKPOINTS
        ):
            self.save()

    def _advance(self):
        """Runs as many steps as one call should."""
        position, plan = self.position, self.plan
        step = position.step
        count = min(self.pace.count, plan.steps_to_event(step))
        horizon = plan.horizon(
            step, self._elapsed(), self.pace.seconds_per_step
        )
        count = min(count, horizon - step)
        factor = divergence.RATE_FACTOR**position.rollbacks
        rates = [factor * rate for rate in plan.rates(step, count, horizon)]
        batch = self.dataset.batches(step, count)
        inputs, targets = distribute(
            self.strategy, [batch.inputs, batch.targets], 1
        )
        # In this process's first call nothing is done yet that could be lost.
        self.interruption.set_unsaved(self.pace.has_started)
        started = time.monotonic()
        self.states, records = self.trainer.run(
            inputs, targets, self.states, step, rates
        )
        seconds = time.monotonic() - started
        self.pace.update(count, seconds)
        divergence.check_steps(
            records, step + 1, self.config.model.vocabulary_size
        )
        self.interruption.set_unsaved(True)
        position.step += count
        per_second = batch.inputs.size / seconds
        self.recorder.steps(step, records, rates, per_second)
        self._show(per_second)

    def _show(self, per_second):
        position = self.position
        if self.pace.seconds_per_step is None:
            return  # the first call's speed says nothing
        horizon = self.plan.horizon(
            position.step, self._elapsed(), self.pace.seconds_per_step
        )
        left = (horizon - position.step) * self.pace.seconds_per_step
        self.display.status(
            Status(
                step=position.step,
                total_steps=horizon,
                epoch=position.step / self.plan.steps_per_epoch,
                loss=self.recorder.recent_loss,
                characters_per_second=per_second,
                seconds_left=left,
            )
        )

    def _validate(self):
        position = self.position
        training = self.config.training
        weights = self.trainer.evaluation_weights
        result = self.evaluator(
            weights,
            self.corpus.ids,
            self.held_out,
            number_of_streams(
                self.held_out, training.batch_size, training.sequence_length
            ),
            between_calls=self._evaluated,
        )
        divergence.check_arrays([result.loss], position.step)
        position.validated = position.step
        is_best = position.best_loss is None or result.loss < position.best_loss
        position.validation_loss = result.loss
        if is_best:
            position.best_loss = result.loss
            position.best_step = position.step
            position.stale = 0
        else:
            position.stale += 1
        self.recorder.validation(self.config.data.split, result)
        if is_best:
            position.elapsed = self._elapsed()
            self.saver.save_best(position, weights.numpy())
        self.display.validation(
            position.step, self.config.data.split, result, is_best
        )

    def _evaluated(self, share):
        self.display.activity("validation", share)
        self.interruption.check()

    def _sample(self):
        step = self.position.step
        weights = self.layout.split(self.trainer.evaluation_weights)
        text = ""
        for chunk in self.generator.stream(
            weights,
            length=self.config.training.sample_length,
            seed=self.config.training.seed,
        ):
            self.interruption.check()
            text += chunk.text
        self.workdir.samples.mkdir(exist_ok=True)
        files.write_file(
            self.workdir.samples / f"{step}.txt",
            text.encode(errors="replace"),
        )
        self.position.sampled = step
        self.display.sample(step, text)
