"""The training loop: steps, and what is seen to between them.

Truncated backpropagation through time over B contiguous streams of text:
the recurrent states are carried from batch to batch. Batch, dropout and
learning rate of a step are functions of its number, so a checkpoint at any
step is enough to go on as if nothing had happened, bit for bit.
"""

import contextlib
import dataclasses
import time

import tensorflow as tf

from kerasrnn.config import Config
from kerasrnn.foundation.signals import Interrupted
from kerasrnn.foundation.signals import Interruption
from kerasrnn.text.corpus import Corpus
from kerasrnn.text.dataset import training_dataset
from kerasrnn.text.streams import is_scorable
from kerasrnn.training.between_calls import Chief
from kerasrnn.training.checkpoints import rollback
from kerasrnn.training.checkpoints.rollback import Diverged
from kerasrnn.training.checkpoints.workdir import Workdir
from kerasrnn.training.checkpoints.workdir import told_if_not_writable
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.display import Status
from kerasrnn.training.shared_clock import Moment
from kerasrnn.training.step.devices import distribute
from kerasrnn.training.step.devices import make_strategy
from kerasrnn.training.step.schedule import Limits
from kerasrnn.training.step.schedule import Plan
from kerasrnn.training.step.steps_per_call import Pace
from kerasrnn.training.timing import Timing
from kerasrnn.training.train_state import TrainingState
from kerasrnn.training.workers import Workers


@dataclasses.dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        step: Steps made.
        best_step: Step of the checkpoint in `best/`.
        best_loss: Its validation loss in nats per character; None if there is
            no such checkpoint.
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
    workers: Workers | None = None,
) -> Result:
    """Trains, from the newest checkpoint in the working directory on.

    Args:
        config: What to train, and how.
        workdir: Where to; held by `checkpoints.workdir.locked`, of several
            workers by the chief.
        corpus: The encoded text.
        strategy: The devices; by default those of "auto".
        limits: When to stop before the epochs are over.
        display: Where to show progress.
        interruption: Asked between calls whether to end.
        workers: The processes that train together, with their strategy; by
            default there is this one only, and `strategy` counts.

    Raises:
        UserError: The settings do not fit the text or the checkpoint, a
            file cannot be written, or the training has diverged.
        Interrupted: A signal came.

    Whatever ends it, the current step is saved, if it can be.
    """
    with told_if_not_writable(workdir.path):
        training = _Training(
            config,
            workdir,
            corpus,
            workers or Workers(strategy or make_strategy()),
            limits or Limits(),
            display or Display(),
            interruption or Interruption(),
        )
        try:
            return training.run()
        except Interrupted:
            training.save()
            raise
        except BaseException:
            # Whatever ends the run, its steps are not lost.
            training.save_if_possible()
            raise
        finally:
            training.close()


class _Training:
    def __init__(
        self, config, workdir, corpus, workers, limits, display, interruption
    ):
        self.config = config
        self.workers = workers
        self.display = display
        self.interruption = interruption
        training = config.training
        self.dataset = training_dataset(corpus, config)
        held_out = corpus.split_ranges("validation", training.sequence_length)
        self.plan = Plan(
            training,
            self.dataset.steps_per_epoch,
            limits,
            validates=is_scorable(held_out),
        )
        self.state = TrainingState(
            config, workdir, corpus, self.plan, workers, display
        )
        self.chief = Chief(
            config,
            workdir,
            corpus,
            held_out,
            self.state.layout,
            workers,
            display,
            interruption,
        )
        self.held_out = sum(stop - start for start, stop in held_out)
        self.pace = Pace()
        self.timing = Timing(self.plan, self.held_out, self.state, self.pace)
        self.moment = Moment()
        self._is_whole = True
        self._nothing_is_unsaved()

    def run(self) -> Result:
        while True:
            try:
                reason = self._train()
                break
            except Diverged as diverged:
                with self._as_a_whole():
                    self.state.go_back(diverged)
                self._nothing_is_unsaved()
        self.state.recorder.finish()
        best = self.state.best
        return Result(
            step=self.state.position.step,
            best_step=best.step if best else 0,
            best_loss=best.loss if best else None,
            reason=reason,
        )

    def save(self, finished: str = "") -> None:
        self.state.save(finished)
        self._nothing_is_unsaved()

    def save_if_possible(self) -> None:
        # Several workers only save together, and one of them may be gone.
        if self._is_whole and self.workers.size == 1:
            with contextlib.suppress(Exception):  # There is a first error.
                self.save()

    @contextlib.contextmanager
    def _as_a_whole(self):
        """What the block changes is saved as a whole, or not at all."""
        self._is_whole = False
        yield
        self._is_whole = True

    def close(self) -> None:
        self.state.recorder.close()

    def _train(self):
        """Trains to the end, and returns why it is that."""
        reason = ""
        while True:
            self._agree()
            reason = reason or self._is_over()
            self._attend(reason)
            if reason:
                return reason
            # Early stopping is decided by the validation just made.
            reason = self._is_over()
            self._check_signal()
            if not reason:
                self._advance()

    def _nothing_is_unsaved(self):
        # Of several workers the chief may be writing it still.
        if self.workers.size == 1:
            self.interruption.set_unsaved(False)

    def _agree(self):
        """Takes the chief's word on what clocks and signals decide."""
        own = self.timing.moment(self.interruption.signal or 0)
        self.moment = own.agreed(self.workers)

    def _check_signal(self):
        if self.workers.size == 1:
            self.interruption.check()
        elif self.moment.signal:
            raise Interrupted(self.moment.signal)

    def _is_over(self):
        return self.plan.is_over(
            self.state.position.step,
            self.moment.elapsed,
            self.state.position.stale,
        )

    def _attend(self, reason):
        """Does all that is due after the current step.

        Args:
            reason: Why it is the last one, or "".
        """
        position, plan = self.state.position, self.plan
        step, ending = position.step, bool(reason)
        if plan.validation_is_due(step, ending) and not position.is_validated:
            with self.timing.of("validation"):
                self._validate(ending)
        if (
            plan.sample_is_due(step, ending, self.moment.sampling_is_due)
            and position.sampled != step
        ):
            with self.timing.of("sample"):
                self._sample()
        if plan.checkpoint_is_due(step, ending) or self.moment.saving_is_due:
            self.save(reason)

    def _advance(self):
        """Runs as many steps as one call should."""
        position, plan = self.state.position, self.plan
        step = position.step
        moment = self.moment
        count = min(moment.count, plan.steps_to_event(step))
        horizon = plan.horizon(step, moment.elapsed, moment.seconds_per_step)
        count = min(count, horizon - step)
        factor = rollback.RATE_FACTOR**position.rollbacks
        rates = [factor * rate for rate in plan.rates(step, count, horizon)]
        batch = self.dataset.batches(step, count)
        inputs, targets = distribute(
            self.workers.strategy, [batch.inputs, batch.targets], 1
        )
        # In this process's first call nothing is done yet that could be lost.
        self.interruption.set_unsaved(self.pace.has_started)
        started = time.monotonic()
        with self._as_a_whole():
            self.state.states, records = self.state.trainer.run(
                inputs, targets, self.state.states, step, rates
            )
            seconds = time.monotonic() - started
            self.pace.update(count, seconds)
            position.seconds_per_step = self.pace.seconds_per_step or (
                position.seconds_per_step
            )
            rollback.check_steps(
                records, step + 1, self.config.model.vocabulary_size
            )
            self.interruption.set_unsaved(True)
            position.step += count
            per_second = batch.inputs.size / seconds
            self.state.recorder.steps(step, records, rates, per_second)
        self._show(per_second)

    def _show(self, per_second):
        position = self.state.position
        if self.pace.seconds_per_step is None:
            return  # the first call's speed says nothing
        horizon = self.plan.horizon(
            position.step,
            self.timing.elapsed_at_the_end(),
            self.pace.seconds_per_step,
        )
        left = (horizon - position.step) * self.pace.seconds_per_step
        self.display.status(
            Status(
                step=position.step,
                total_steps=horizon,
                epoch=position.step / self.plan.steps_per_epoch,
                loss=self.state.recorder.recent_loss,
                characters_per_second=per_second,
                seconds_left=left,
            )
        )

    def _validate(self, ending):
        position = self.state.position
        sample = position.validation_sample
        if sample is None:
            sample = self.plan.validation_sample(position.step, self.held_out)
        result = self.chief.evaluate(
            self.state.trainer.evaluation_weights, sample
        )
        rollback.check_arrays([result.loss], position.step)
        with self._as_a_whole():
            position.take_validation(result.loss)
            position.validation_sample = sample
            self.interruption.set_unsaved(True)
            self.state.recorder.validation(self.config.data.split, result)
        self.state.save_best()
        is_asked_for = ending or self.config.training.evaluate_every
        if is_asked_for or self.timing.is_time_for("line of a validation"):
            with self.timing.of("line of a validation"):
                self._show_validation(result)

    def _show_validation(self, result):
        step, best = self.state.position.step, self.state.best
        self.display.validation(
            step,
            self.config.data.split,
            result,
            best is not None and best.step == step,
        )

    def _sample(self):
        step = self.state.position.step
        self.chief.sample(self.state.trainer.evaluation_weights, step)
        self.state.position.sampled = step
