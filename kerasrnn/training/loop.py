"""The training loop: steps, and what is due between them.

Truncated backpropagation through time over B contiguous streams of text:
the recurrent states are carried from batch to batch. Batch, dropout and
learning rate of a step are functions of its number, so a run resumes from a
checkpoint of any step as if it had never stopped, bit for bit. (With
`--minutes` the learning rate follows the measured speed as well; what else
must be the same is listed in docs/reliability.md.)
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

from kerasrnn.foundation.signals import Interrupted
from kerasrnn.text.batches.streams import characters_to_validate
from kerasrnn.training.checkpoints.finding import Best
from kerasrnn.training.checkpoints.rollback import rate_factor
from kerasrnn.training.chief_tasks import ChiefTasks
from kerasrnn.training.clock import ClockReading
from kerasrnn.training.clock import RunClock
from kerasrnn.training.records.announcement import remark_on
from kerasrnn.training.records.observers import Progress
from kerasrnn.training.records.observers import Validation
from kerasrnn.training.run_context import RunContext
from kerasrnn.training.step.devices import distribute
from kerasrnn.training.step.divergence import Diverged
from kerasrnn.training.step.divergence import check_arrays
from kerasrnn.training.step.divergence import check_steps
from kerasrnn.training.step.steps_per_call import StepsPerCall
from kerasrnn.training.train_state import TrainingState


@dataclasses.dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        step: Steps made.
        best: The best checkpoint, in `best/`; None before a validation.
        reason: Why it ended.
    """

    step: int
    best: Best | None
    reason: str

    @property
    def best_step(self) -> int:
        """Step of the best checkpoint, or 0 before a validation."""
        return self.best.step if self.best else 0

    @property
    def best_loss(self) -> float | None:
        """Its validation loss in nats per character."""
        return self.best.loss if self.best else None


class TrainingLoop:
    """One run, from its newest checkpoint to its end.

    Args:
        context: What the run consists of.

    Raises:
        UserError: The settings do not fit the checkpoint.
    """

    def __init__(self, context: RunContext):
        self._config = context.config
        self._dataset = context.dataset
        self._to_validate = characters_to_validate(
            context.held_out, context.config.training
        )
        self._baselines = context.baselines
        self._plan = context.plan
        self._workers = context.workers
        self._observer = context.observer
        self._interruption = context.interruption
        self._state = TrainingState(context)
        self._chief_tasks = ChiefTasks(context, self._state.layout)
        self._steps_per_call = StepsPerCall()
        self._clock = RunClock(
            self._plan,
            self._to_validate,
            self._state,
            self._steps_per_call,
        )
        self._reading = ClockReading()
        self._is_consistent = True
        self._nothing_is_unsaved()

    def run(self) -> Result:
        """Trains to the end, and goes back where training diverges."""
        while True:
            try:
                reason = self._train()
                break
            except Diverged as diverged:
                with self._changing_consistently():
                    self._state.roll_back(diverged)
                self._nothing_is_unsaved()
        self._observer.saving()
        return Result(self._state.status.step, self._state.best, reason)

    def save(self, finished: str = "") -> None:
        """Saves the current step; see `TrainingState.save`."""
        self._state.save(finished)
        self._nothing_is_unsaved()

    def save_if_possible(self) -> None:
        """Saves after an error, unless it left the state half changed."""
        # Several workers only save together, and one of them may be lost.
        if self._is_consistent and self._workers.size == 1:
            with contextlib.suppress(Exception):  # The first error counts.
                self.save()

    def close(self) -> None:
        """Ends what observes the run."""
        self._observer.close()

    def _train(self) -> str:
        """Trains to the end, and returns the reason for it."""
        reason = ""
        while True:
            self._read_clock()
            reason = reason or self._reason_to_end()
            self._do_what_is_due(reason)
            if reason:
                return reason
            # Early stopping is decided by the validation just made.
            reason = self._reason_to_end()
            self._check_signal()
            if not reason:
                self._make_steps()

    def _read_clock(self):
        """Takes the chief's word on what clocks and signals decide."""
        own = self._clock.read(self._interruption.signal or 0)
        self._reading = own.agreed(self._workers)

    def _reason_to_end(self):
        status = self._state.status
        return self._plan.reason_to_end(
            status.step, self._reading.elapsed, status.stale
        )

    def _check_signal(self):
        if self._workers.size == 1:
            self._interruption.check()
        elif self._reading.signal:
            raise Interrupted(self._reading.signal)

    def _do_what_is_due(self, reason):
        """Validates, samples and saves, if that is due after this step.

        Args:
            reason: Why the step is the last one, or "".
        """
        status, plan, reading = self._state.status, self._plan, self._reading
        step, ending = status.step, bool(reason)
        if plan.validation_is_due(step, ending) and not status.is_validated:
            with self._clock.timing("validation"):
                self._validate(ending)
        if (
            plan.sample_is_due(step, ending, reading.sample_is_due)
            and status.sampled != step
        ):
            with self._clock.timing("sample"):
                self._sample()
        if ending:
            # Before the checkpoint that says so: nobody looks at the lines
            # of a finished run again.
            self._state.lines.finish()
        if plan.checkpoint_is_due(step, ending) or reading.checkpoint_is_due:
            self.save(reason)

    def _make_steps(self):
        """Makes as many steps as one call should: updates the weights."""
        state, step = self._state, self._state.status.step
        rates = self._next_rates()
        batches = self._dataset.batches(step, len(rates))
        inputs, targets = distribute(
            self._workers.strategy, [batches.inputs, batches.targets], 1
        )
        # During this process's first call there is nothing yet to lose.
        self._interruption.set_unsaved(self._steps_per_call.has_started)
        with self._changing_consistently():
            started = time.monotonic()
            state.states, records = state.trainer.run(
                inputs, targets, state.states, step, rates
            )
            seconds = time.monotonic() - started
            self._note_speed(len(rates), seconds)
            check_steps(records, step + 1, self._config.model.vocabulary_size)
            self._interruption.set_unsaved(True)
            state.status.step += len(rates)
            per_second = batches.inputs.size / seconds
            state.lines.add_steps(step, records, rates, per_second)
        self._show_progress(per_second)

    def _next_rates(self) -> list[float]:
        """Returns the learning rate of each step of the next call."""
        status, plan, reading = self._state.status, self._plan, self._reading
        last = plan.expected_steps(
            status.step, reading.elapsed, reading.seconds_per_step
        )
        count = min(
            reading.steps,
            plan.steps_to_event(status.step),
            last - status.step,
        )
        factor = rate_factor(status.rollbacks)
        rates = plan.rates(status.step, count, last)
        return [factor * rate for rate in rates]

    def _note_speed(self, count, seconds):
        self._steps_per_call.update(count, seconds)
        measured = self._steps_per_call.seconds_per_step
        if measured is not None:
            self._state.status.seconds_per_step = measured

    def _show_progress(self, characters_per_second):
        status = self._state.status
        seconds_per_step = self._steps_per_call.seconds_per_step
        if seconds_per_step is None:
            return  # The speed of the first call says nothing.
        total = self._plan.expected_steps(
            status.step, self._clock.elapsed_at_the_end(), seconds_per_step
        )
        self._observer.progressed(
            Progress(
                step=status.step,
                total_steps=total,
                epoch=status.step / self._plan.steps_per_epoch,
                loss=self._state.lines.recent_loss,
                characters_per_second=characters_per_second,
                seconds_left=(total - status.step) * seconds_per_step,
            )
        )

    def _validate(self, ending):
        state, status = self._state, self._state.status
        sample = status.validation_sample
        if sample is None:
            sample = self._plan.validation_sample(
                status.step, self._to_validate
            )
        result = self._chief_tasks.validate(
            state.trainer.evaluation_weights, sample
        )
        check_arrays([result.loss], status.step)
        split = self._config.data.split
        with self._changing_consistently():
            status.take_validation(result.loss)
            status.validation_sample = sample
            self._interruption.set_unsaved(True)
            state.lines.add_validation(split, result)
        state.save_best()
        best = state.best
        self._observer.validated(
            Validation(
                step=status.step,
                split=split,
                result=result,
                is_best=best is not None and best.step == status.step,
                is_asked_for=ending or self._config.training.evaluate_every > 0,
                remark=remark_on(
                    result.loss,
                    status.step,
                    None if best is None else best.loss,
                    status.stale,
                    self._baselines,
                ),
            )
        )

    def _sample(self):
        step = self._state.status.step
        weights = self._state.trainer.evaluation_weights
        self._chief_tasks.sample(weights, step)
        self._state.status.sampled = step

    def _nothing_is_unsaved(self):
        # Of several workers the chief may still be writing.
        if self._workers.size == 1:
            self._interruption.set_unsaved(False)

    @contextlib.contextmanager
    def _changing_consistently(self) -> Iterator[None]:
        """Says that the state must not be saved if the block fails half-way."""
        self._is_consistent = False
        yield
        self._is_consistent = True
