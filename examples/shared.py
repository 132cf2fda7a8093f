"""What the examples share: their start, the digits, pictures in a grid.

Import it before Keras: it says what has to be installed, and keeps
TensorFlow from filling the terminal with notes.
"""

import functools
import sys
import time
from collections.abc import Callable
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

try:
    import numpy as np
    from absl import flags
    from PIL import Image
    from PIL import ImageDraw
    from PIL import ImageFont

    from kerasrnn.command_line import program
    from kerasrnn.command_line import quiet_tensorflow
    from kerasrnn.errors import UserError

    # These are slow to import: it is enough to know that they are there.
    for package in ("keras", "sklearn", "tensorflow"):
        if find_spec(package) is None:
            raise ModuleNotFoundError(name=package)
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the examples need {error.name}, which is not installed here: "
        "run `pip install '.[examples]'` in the folder above the examples."
    )

quiet_tensorflow.install()


def run(
    main: Callable[[flags.FlagValues], None],
    output: str,
    **numbers: tuple[int | float, str],
) -> None:
    """Calls `main(options)` with the flags of the command line.

    All of Keras' random numbers follow from the flag `--seed`. At the end
    the time that the example took is printed.

    Args:
        main: The example.
        output: Default of the flag `--output`: the file to look at.
        **numbers: Further flags: each one's default value and help.
    """

    def define_flags(values):
        flags.DEFINE_string(
            "output", output, "File to write.", flag_values=values
        )
        flags.DEFINE_integer(
            "seed",
            0,
            "Of everything random: what is held out, first weights, batches.",
            flag_values=values,
        )
        for name, (default, text) in numbers.items():
            whole = isinstance(default, int)
            define = flags.DEFINE_integer if whole else flags.DEFINE_float
            define(name, default, text, lower_bound=0, flag_values=values)

    @functools.wraps(main)
    def timed(argv):
        del argv
        options, start = flags.FLAGS, time.monotonic()
        folder = Path(options.output).absolute().parent
        if not folder.is_dir():
            raise UserError(
                f"--output={options.output}: there is no folder {folder}. "
                "Make it, or name another file."
            )
        import keras

        keras.utils.set_random_seed(options.seed)
        main(options)
        seconds = time.monotonic() - start
        print(
            f"wrote {options.output} after {seconds:.0f} seconds "
            f"({time.process_time():.0f} of processor time)"
        )

    program.run(timed, define_flags)


def load_digits(seed: int) -> tuple[tuple, tuple]:
    """Returns the 1,797 handwritten digits of scikit-learn.

    Args:
        seed: Of the choice of what is held out: 450 images, of all classes
            alike. (They are of the same 13 people as the others.)

    Returns:
        `(images, labels), (held-out images, held-out labels)`: float32
        [N, 8, 8] from 0 (paper) to 1 (ink), and the digits, int [N].
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        (digits.images / 16).astype("float32"),
        digits.target,
        test_size=450,
        random_state=seed,
        stratify=digits.target,
    )
    return (train_x, train_y), (test_x, test_y)


def write_grid(
    path: str,
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    columns: int = 8,
    scale: int = 8,
    right: Sequence[bool] | None = None,
) -> None:
    """Writes a PNG of pictures side by side, each over its caption.

    Args:
        path: The file.
        images: Each from 0 (white) to 1 (black), [height, width], or in
            colours [height, width, 3] from 0 (black) to 1; all of one shape.
        captions: A text an image, of one line or more.
        columns: Pictures in a row.
        scale: Side of a pixel of the images in the PNG.
        right: Whether an image's caption is right; if not, it is red.
    """
    font = ImageFont.load_default(14)
    lines = max(caption.count("\n") + 1 for caption in captions)
    height, width = np.shape(images[0])[0], np.shape(images[0])[1]
    texts = [font.getlength(x) for c in captions for x in c.split("\n")]
    across = int(max(width * scale, *texts)) + 12
    down = height * scale + 18 * lines + 12
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * across, rows * down), "white")
    draw = ImageDraw.Draw(sheet)
    for index, image in enumerate(images):
        left = index % columns * across + 6
        top = index // columns * down + 6
        sheet.paste(to_picture(image, scale), (left, top))
        draw.multiline_text(
            (left, top + height * scale + 2),
            captions[index],
            font=font,
            fill="black" if right is None or right[index] else "firebrick",
        )
    sheet.save(path)


def to_picture(image: np.ndarray, scale: int) -> Image.Image:
    """Returns an image as `write_grid` takes it, enlarged, for Pillow."""
    image = np.clip(image, 0, 1)
    if image.ndim == 2:
        image = np.repeat(1 - image[:, :, None], 3, axis=2)
    picture = Image.fromarray((image * 255).astype("uint8"))
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)


def write_lines(
    path: str,
    lines: Sequence[str],
    colours: Sequence[Sequence[tuple[int, int, int]]],
    notes: Sequence[str],
) -> None:
    """Writes a PNG of lines of text, each character on its own colour.

    Args:
        path: The file.
        lines: The texts.
        colours: A colour (red, green, blue) a character, for each line.
        notes: What stands behind each line.
    """
    font = ImageFont.load_default(14)
    width, height = 10, 20  # Of a character.
    columns = max(map(len, lines))
    size = (columns * width + 100, len(lines) * height + 10)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, (line, note) in enumerate(zip(lines, notes, strict=True)):
        top = row * height + 5
        for column, character in enumerate(line):
            left = column * width + 5
            box = (left, top, left + width, top + height - 2)
            draw.rectangle(box, colours[row][column])
            middle = (left + width / 2, top + 14)
            draw.text(middle, character, "black", font, anchor="ms")
        draw.text((len(line) * width + 12, top + 1), note, "black", font)
    sheet.save(path)
