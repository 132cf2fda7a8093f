"""The window of examples/reading.py: what it shows, and where it was.

It is that of Gregor et al. 2015 ("DRAW"): Gaussian filters, so that what it
shows changes smoothly as it moves.
"""

import numpy as np
import shared
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

# isort: split
from handwritten_numbers import HEIGHT
from handwritten_numbers import STOP
from handwritten_numbers import WIDTH
from keras import ops

WINDOW = 12  # points in a row of the window
COLOURS = ("crimson", "royalblue", "seagreen", "darkorange")  # in order


def look(pictures, window):
    """Returns what the window shows [B, 12, 12]: Gregor et al., (19)-(27)."""
    x, y, distance = ops.split(window, 3, axis=1)
    down = filters(y, distance, HEIGHT)  # [B, 12, height]
    across = filters(x, distance, WIDTH)  # [B, 12, width]
    return down @ pictures @ ops.transpose(across, [0, 2, 1])


def filters(centre, distance, length):
    """Returns a Gaussian over pixels for each point of a window's side.

    The farther the points lie apart, the wider they are: a large window is
    blurred.

    Args:
        centre: Of the window, in pixels [B, 1].
        distance: Of its points, in pixels [B, 1].
        length: Of the picture's side, in pixels.

    Returns:
        Weights [B, 12, length], which sum to about 1 inside the picture.
    """
    points = ops.arange(WINDOW, dtype="float32") - (WINDOW - 1) / 2
    points = (centre + distance * points)[:, :, None]  # [B, 12, 1]
    pixels = ops.arange(length, dtype="float32") + 0.5  # [length]
    width = 0.6 * distance[:, :, None]
    density = ops.exp(-(((pixels - points) / width) ** 2) / 2)
    return density / (width * np.sqrt(2 * np.pi).astype("float32"))


def show(path, pictures, named, windows):
    """Writes a PNG with a row a picture; see `show_one`."""
    rows = [
        np.asarray(show_one(*row))
        for row in zip(pictures, named, windows, strict=True)
    ]
    Image.fromarray(np.concatenate(rows)).save(path)


def show_one(picture, named, windows, scale=5, margin=12):
    """Returns a picture with the windows as frames, and what they showed.

    Each look has a colour of its own.
    """
    side, start = WINDOW * scale, WIDTH * scale + 4 * margin
    row = Image.new(
        "RGB",
        (start + len(windows) * (side + margin), HEIGHT * scale + 2 * margin),
        "white",
    )
    draw = ImageDraw.Draw(row)
    row.paste(shared.to_picture(picture, scale), (margin, margin))
    frame = (WIDTH * scale, HEIGHT * scale)
    draw.rectangle((margin, margin, *np.add(frame, margin)), outline="silver")
    font = ImageFont.load_default(28)
    for step, (digit, colour) in enumerate(zip(named, COLOURS, strict=True)):
        x, y, distance = windows[step] * scale
        reach = WINDOW * distance / 2
        corners = np.array([x - reach, y - reach, x + reach, y + reach])
        draw.rectangle((corners + margin).tolist(), outline=colour, width=3)
        seen = np.asarray(look(picture[None], windows[None, step])[0])
        left, top = start + step * (side + margin), 2 * margin
        row.paste(shared.to_picture(seen, scale), (left, top))
        draw.rectangle(
            (left, top, left + side, top + side), outline=colour, width=3
        )
        word = "stop" if digit == STOP else str(digit)
        draw.text((left, top + side), word, colour, font)
        if digit == STOP:
            break
    return row
