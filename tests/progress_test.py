"""Tests of what a training shows, in a terminal and elsewhere."""

import io

import rich.console
from absl.testing import absltest

from kerasrnn.training import progress
from kerasrnn.training.units import Evaluation

STATUS = progress.Status(
    step=1200,
    total_steps=21150,
    epoch=2.84,
    loss=1.5,
    characters_per_second=61234.5,
    seconds_left=3725.0,
)


def show(terminal):
    """Returns what is shown of a short training, 80 columns wide."""
    console = rich.console.Console(
        file=io.StringIO(), force_terminal=terminal, width=80
    )
    with progress.Display(console) as display:
        display.activity("counting the text", 0.5)
        display.status(STATUS)
        display.status(STATUS)
        display.validation(1200, "tail", Evaluation(300.0, 200), True)
        display.sample(1200, "[bold]x = [1]\n")
    return console.file.getvalue()


class DisplayTest(absltest.TestCase):
    def test_plain_lines_are_few_and_whole(self):
        output = show(terminal=False)
        self.assertEqual(
            output.splitlines(),
            [
                "counting the text: 50%",
                "step 1,200: validation loss 1.5000 nats (2.164 bits) a "
                "character, tail split, the best so far",
                "--- sample after step 1,200 ---",
                "[bold]x = [1]",
                "",
                "---",
            ],
        )

    def test_status_as_a_plain_line(self):
        console = rich.console.Console(file=io.StringIO(), width=80)
        with progress.Display(console) as display:
            display.status(STATUS)
        self.assertEqual(
            console.file.getvalue(),
            "step 1,200 of 21,150, epoch 2.84: loss 1.5000 nats (2.164 bits) "
            "a character, 61,234 characters/s, 1 h 2 min left\n",
        )

    def test_terminal_shows_everything_in_80_columns(self):
        output = show(terminal=True)
        for text in (
            "step 1,200 of 21,150",
            "1 h 2 min left",
            "loss 1.5000 nats (2.164 bits) a character, 61,234 characters/s",
            "epoch 2.84",
            "[bold]x = [1]",
        ):
            self.assertIn(text, output)
        self.assertNotIn("…", output)
        self.assertTrue(output.rstrip().endswith("\x1b[2K"), repr(output))

    def test_duration(self):
        self.assertEqual(progress.duration(0.4), "0 s")
        self.assertEqual(progress.duration(61), "1 min 1 s")
        self.assertEqual(progress.duration(7260), "2 h 1 min")


if __name__ == "__main__":
    absltest.main()
