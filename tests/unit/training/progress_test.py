"""Tests of what a training shows, in a terminal and elsewhere."""

import io
import re

import rich.console
from absl.testing import absltest

from kerasrnn.training.evaluation.loss_units import Evaluation
from kerasrnn.training.records.display import Display
from kerasrnn.training.records.display import duration
from kerasrnn.training.records.observers import Progress
from kerasrnn.training.records.observers import Validation

PROGRESS = Progress(
    step=1200,
    total_steps=21150,
    epoch=2.84,
    loss=1.5,
    characters_per_second=61234.5,
    seconds_left=3725.0,
)


def validation(step=1200, is_best=False, is_asked_for=True, **result):
    """Returns a validation of 200 characters."""
    result = Evaluation(300.0, 200, **result)
    return Validation(step, "tail", result, is_best, is_asked_for)


def show(terminal):
    """Returns what is shown of a short training, 80 columns wide."""
    console = rich.console.Console(
        file=io.StringIO(), force_terminal=terminal, width=80
    )
    with Display(console) as display:
        display.activity("counting the text", 0.5)
        display.progressed(PROGRESS)
        display.progressed(PROGRESS)
        display.validated(validation(is_best=True))
        display.sampled(1200, "[bold]x = [1]\n")
    return console.file.getvalue()


class DisplayTest(absltest.TestCase):
    def test_plain_lines_are_few_and_whole(self):
        output = show(terminal=False)
        self.assertEqual(
            output.splitlines(),
            [
                "counting the text: 50%",
                "step 1,200: validation loss 1.5000 nats (2.164 bits) per "
                "character, tail split, the best so far",
                "--- sample after step 1,200 ---",
                "[bold]x = [1]",
                "",
                "---",
            ],
        )

    def test_status_as_a_plain_line(self):
        console = rich.console.Console(file=io.StringIO(), width=80)
        with Display(console) as display:
            display.progressed(PROGRESS)
        self.assertEqual(
            console.file.getvalue(),
            "step 1,200 of 21,150, epoch 2.84: loss 1.5000 nats (2.164 bits) "
            "per character, 61,234 characters/s, 1 h 2 min left\n",
        )

    def test_terminal_shows_everything_in_80_columns(self):
        output = show(terminal=True)
        for text in (
            "step 1,200 of 21,150",
            "1 h 2 min left",
            "loss 1.5000 nats (2.164 bits) per character, 61,234 characters/s",
            "epoch 2.84",
            "[bold]x = [1]",
        ):
            self.assertIn(text, output)
        self.assertNotIn("…", output)
        self.assertTrue(output.rstrip().endswith("\x1b[2K"), repr(output))

    def test_terminal_wraps_notes_at_words(self):
        note = (
            "Resuming with the text as it was read. "
            f"It is in /{'long_name/' * 12}. Try\n"
            f"    kerasrnn-train --workdir=/{'long_name/' * 9}my model"
        )
        sample = "no word of a sample " * 9
        for terminal in (True, False):
            console = rich.console.Console(
                file=io.StringIO(), force_terminal=terminal, width=40
            )
            display = Display(console)
            display.note(note)
            display.sampled(7, sample)
            lines = console.file.getvalue().splitlines()
            # Neither a command nor a sample has line breaks of ours.
            self.assertIn(note.splitlines()[1], lines)
            self.assertIn(sample, lines)
            first = lines[: lines.index(note.splitlines()[1])]
            self.assertEqual(
                " ".join(first).split(), note.splitlines()[0].split()
            )
            if terminal:
                self.assertGreater(len(first), 3)
            else:
                self.assertLen(first, 1)

    def test_a_log_tells_the_end_of_what_it_told_the_begin_of(self):
        console = rich.console.Console(file=io.StringIO(), width=80)
        display = Display(console)
        for name in ("counting the text", "encoding the text"):
            for share in (0.1, 0.45, 1.0):
                display.activity(name, share)
        self.assertEqual(
            console.file.getvalue(),
            # What has begun within the same seconds is not told of at all.
            "counting the text: 10%\ncounting the text: 100%\n",
        )

    def test_a_validation_of_a_sample_says_so(self):
        console = rich.console.Console(file=io.StringIO(), width=80)
        Display(console).validated(validation(sampled_from=4000))
        self.assertEndsWith(
            console.file.getvalue(), "tail split (200 of 4,000 characters)\n"
        )

    def test_validations_that_nobody_asked_for_are_few(self):
        console = rich.console.Console(file=io.StringIO(), width=80)
        display = Display(console)
        for step, is_asked_for in ((1, False), (2, False), (3, True)):
            display.validated(validation(step, is_asked_for=is_asked_for))
        shown = console.file.getvalue()
        self.assertEqual(re.findall(r"step (\d)", shown), ["1", "3"])

    def test_duration(self):
        self.assertEqual(duration(0.4), "0 s")
        self.assertEqual(duration(61), "1 min 1 s")
        self.assertEqual(duration(7260), "2 h 1 min")


if __name__ == "__main__":
    absltest.main()
